"""Which files to send, and to whom."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Input, Label, Select, Static

from dulcet.station.book.nodes import Node
from dulcet.station.tui.dialogs import MODAL_CSS
from dulcet.station.tui.path_input import PathInput, Suggestion


class SendForm(ModalScreen[tuple[str, str] | None]):
    """Returns (the node's name, the path); None when nothing is to be sent."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", key_display="Esc"),
        Binding("ctrl+s", "send", "Send", key_display="^s"),
        Binding("enter", "next", show=False, priority=True),
    ]
    DEFAULT_CSS = (
        MODAL_CSS.format(name="SendForm")
        + """
    SendForm Horizontal { height: 1; }
    SendForm Label { width: 8; }
    SendForm Input { width: 1fr; }
    SendForm Select { width: 30; }
    SendForm .fault { color: $text-error; height: auto; }
    SendForm .buttons { height: 1; align-horizontal: right; margin-top: 1; }
    SendForm Button { margin-left: 2; }
    """
    )

    def __init__(self, nodes: Sequence[Node], path: str = "", what: str = "") -> None:
        super().__init__()
        self._names = [node.name for node in nodes]
        self._path = path
        self._what = what

    def compose(self) -> ComposeResult:
        """What, and to whom."""
        with Vertical(classes="box") as box:
            box.border_title = Text("Send" if not self._what else "Forward")
            with Horizontal():
                yield Label("What")
                if self._what:
                    yield Static(self._what, markup=False)
                else:
                    hint = "a file, a folder with all below it, a DICOMDIR, a zip file"
                    yield PathInput(hint, id="path")
            with Horizontal():
                yield Label("To")
                value = self._names[0] if len(self._names) == 1 else Select.NULL
                names = [(name, name) for name in self._names]
                yield Select[str](names, prompt="choose a node", value=value, id="to", compact=True)
            if not self._what:
                yield Suggestion()
            yield Static("", classes="fault", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Send", id="send", variant="primary", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def action_next(self) -> None:
        """Enter goes on to the node, if there is one to be chosen. At once: the next key is for that field."""
        if not isinstance(self.focused, Input):
            raise SkipAction
        if self.query_one("#to", Select).value is Select.NULL:
            self.set_focus(self.query_one("#to"))
        else:
            self.action_send()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """By mouse, or by Enter."""
        if event.button.id == "send":
            self.action_send()
        else:
            self.dismiss(None)

    def action_send(self) -> None:
        """Leave with what was entered, or say what is wrong."""
        path = self._path if self._what else self.query_one("#path", Input).value.strip()
        node = self.query_one("#to", Select).value
        path = os.path.abspath(os.path.expanduser(path)) if path and not self._what else path
        fault = ""
        if not path:
            fault = "What should be sent?"
        elif not self._what and not Path(path).exists():
            fault = "There is no such file or folder."
        elif not isinstance(node, str):
            fault = "To which node? Enter one in the screen Nodes." if not self._names else "To which node?"
        self.query_one(".fault", Static).update(Text(fault))
        if not fault and isinstance(node, str):
            self.dismiss((node, path))
