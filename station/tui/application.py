"""The workstation on a terminal: five screens over the node book, the queue, the vault and what runs.

It is a process of its own under asyncio. It reads files, in threads, and acts through dulcet's own commands, as child
processes; nothing in it speaks DICOM.
"""

import asyncio
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, TabbedContent, TabPane
from textual.worker import WorkerFailed

from dulcet.escape import legible
from dulcet.station.book.nodes import Node
from dulcet.station.tui.help_screen import HelpScreen
from dulcet.station.tui.nodes_pane import NodesPane
from dulcet.station.tui.pane import Pane, beside, key
from dulcet.station.tui.query_pane import QueryPane
from dulcet.station.tui.queue_pane import QueuePane
from dulcet.station.tui.received_pane import ReceivedPane
from dulcet.station.tui.sources import Sources
from dulcet.station.tui.status_pane import StatusPane

ROOMY_COLUMNS = 100
WARNING_SECONDS = 20.0
CLOSE_SECONDS = 2.0  # for a database that is locked; its thread ends with the process
DARK, LIGHT = "textual-dark", "textual-light"


class Workstation(App[int]):
    """Runs until it is left; children that still run are ended then."""

    TITLE = "dulcet"
    PANES: ClassVar[tuple[type[Pane], ...]] = (NodesPane, QueryPane, QueuePane, ReceivedPane, StatusPane)
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            binding
            for number, pane in enumerate(PANES, 1)
            for binding in key(
                f"{number},f{number}", f"go({number})", pane.TITLE, tip=f"The screen {pane.TITLE}", show=False
            )
        ),
        *key("question_mark", "help", "Help", tip="This page", shown_as="?"),
        *key("ctrl+t", "shade", "Light or dark", tip="Light or dark", show=False),
        *key("q,ctrl+q", "quit", "Quit", tip="Leave; what is queued goes on", shown_as="q"),
    ]
    CSS = """
    Workstation { background: $background; }
    TabbedContent, ContentSwitcher { height: 1fr; }
    TabPane { padding: 0; }
    """

    def __init__(self, sources: Sources, *, theme: str = DARK) -> None:
        super().__init__()
        self.sources = sources
        self.theme = theme

    def compose(self) -> ComposeResult:
        """A tab for each screen."""
        with TabbedContent():
            for number, pane in enumerate(self.PANES, 1):
                with TabPane(f"{number} {pane.TITLE}", id=f"tab-{number}"):
                    yield pane()
        yield Footer(compact=True)

    def on_resize(self, event: Resize) -> None:
        """The footer of a narrow terminal is for the keys of the screen."""
        self.screen_stack[0].query_one(Footer).show_command_palette = event.size.width >= ROOMY_COLUMNS

    def on_mount(self) -> None:
        """Be ended by signals as by a key."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(RuntimeError, ValueError):  # not the main thread: somebody else's program
                loop.add_signal_handler(number, self.exit, 128 + number)

    @property
    def fault(self) -> BaseException | None:
        """What ended it, when that was a fault of ours: it is told by whoever started this, in a sentence."""
        error = self._exception
        return error.error if isinstance(error, WorkerFailed) else error

    def _handle_exception(self, error: Exception) -> None:
        cause = error.error if isinstance(error, WorkerFailed) else error
        if (self._exit or not self.is_running) and isinstance(cause, NoMatches):  # what came too late to be shown
            return
        super()._handle_exception(error)
        self._exit_renderables.clear()  # a traceback, with the values of all variables: patients' names among them

    async def on_unmount(self) -> None:
        """Leave no child behind."""
        sources = self.sources
        await sources.commands.close()
        for each in (sources.pictures, sources.vault, sources.jobs):
            with suppress(TimeoutError):
                await asyncio.wait_for(beside(each.close), CLOSE_SECONDS)

    def on_tabbed_content_tab_activated(self) -> None:
        """The screen gets the keys, and looks whether it is still right."""
        pane = self.front
        if pane is not None and self.focused is not None and pane in self.focused.ancestors:
            return
        if pane is not None:
            pane.query_one(pane.FOCUS).focus()
            pane.shown()

    @property
    def front(self) -> Pane | None:
        """The screen that is shown."""
        for tabs in self.screen_stack[0].query(TabbedContent) if self.screen_stack else ():  # none when we are leaving
            active = tabs.active_pane
            return None if active is None else active.query_one(Pane)
        return None

    @property
    def node(self) -> Node | None:
        """The one under the cursor of the screen Nodes."""
        return self.screen_stack[0].query_one(NodesPane).node

    def nodes_changed(self, nodes: Sequence[Node]) -> None:
        """The book was read: who offers nodes offers these."""
        screen = self.screen_stack[0]
        screen.query_one(QueryPane).offer(nodes)
        screen.query_one(QueuePane).offer(nodes)
        screen.query_one(ReceivedPane).offer(nodes)

    def warn(self, text: str) -> None:
        """Show a sentence on top of everything, from any thread."""
        if self._loop is not None:
            show = partial(self.notify, legible(text, 500), severity="error", timeout=WARNING_SECONDS, markup=False)
            self._loop.call_soon_threadsafe(show)

    # Keys -----------------------------------------------------------------------------------------------------------

    def action_go(self, number: int) -> None:
        """To a screen."""
        self.query_one(TabbedContent).active = f"tab-{number}"

    def action_help(self) -> None:
        """Every key."""
        rooms = [(pane.TITLE, pane.BINDINGS) for pane in self.PANES]
        self.push_screen(HelpScreen([*rooms, ("Everywhere", self.BINDINGS)]))

    def action_shade(self) -> None:
        """From dark to light, and back."""
        self.theme = LIGHT if self.current_theme.dark else DARK

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: the screens, what the one in front can do, and what textual brings."""
        for number, pane in enumerate(self.PANES, 1):
            yield SystemCommand(pane.TITLE, f"Go to the screen {pane.TITLE}", lambda n=number: self.action_go(n))
        yield from super().get_system_commands(screen)
