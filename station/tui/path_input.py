"""A path to be entered, completed as in a shell."""

import os
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Footer, Input, Static

from dulcet.station.tui.dialogs import MODAL_CSS
from dulcet.station.tui.pane import beside

MAX_ENTRIES = 20_000  # of a folder that are looked at


def completed(text: str) -> str | None:
    """The first path, by the alphabet, that begins as `text` does; a folder with a slash at its end. Synchronous."""
    expanded = os.path.expanduser(text)
    folder, beginning = os.path.split(expanded)
    best: os.DirEntry[str] | None = None
    try:
        with os.scandir(folder or ".") as entries:
            for _, entry in zip(range(MAX_ENTRIES), entries, strict=False):
                name = entry.name
                if not name.startswith(beginning) or not name.isprintable() or (name[0] == "." and not beginning):
                    continue
                if best is None or name < best.name:
                    best = entry
        if best is None:
            return None
        return text + best.name[len(beginning) :] + ("/" if best.is_dir() else "")
    except OSError:
        return None


class PathSuggester(Suggester):
    """What a path may be going to be."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """See `completed`."""
        return (await beside(lambda: completed(value)))[0] if value else None


class PathInput(Input):
    """Tab takes what is suggested; when nothing is, it goes to the next field."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "Complete", key_display="Tab", priority=True)]

    def __init__(self, hint: str, *, id: str) -> None:
        super().__init__(placeholder=hint, suggester=PathSuggester(), id=id, compact=True)

    def action_complete(self) -> None:
        """See above."""
        if self._suggestion and self._suggestion != self.value:
            self.action_cursor_right()
        else:
            self.screen.focus_next()


class Suggestion(Static):
    """What Tab would take: a long path hides it in the field itself."""

    DEFAULT_CSS = "Suggestion { color: $text-muted; height: 1; text-wrap: nowrap; }"

    def on_mount(self) -> None:
        """Watch the field."""
        self.watch(self.screen.query_one(PathInput), "_suggestion", self.show_end)

    def show_end(self, path: str) -> None:
        """The last part of the path, as far as it is new."""
        name = os.path.basename(path.rstrip("/")) + ("/" if path.endswith("/") else "")
        self.update(Text(f"Tab: {name}" if path else ""))


class PathQuestion(ModalScreen[str | None]):
    """Returns the path that was entered; None when there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel", key_display="Esc")]
    DEFAULT_CSS = MODAL_CSS.format(name="PathQuestion")

    def __init__(self, title: str, text: str, hint: str) -> None:
        super().__init__()
        self._asks, self._text, self._hint = title, text, hint

    def compose(self) -> ComposeResult:
        """A line of text over a field."""
        with Vertical(classes="box") as box:
            box.border_title = Text(self._asks)
            yield Static(self._text, markup=False)
            yield PathInput(self._hint, id="path")
            yield Suggestion()
        yield Footer(show_command_palette=False, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        self.dismiss(event.value.strip() or None)
