"""Every key, on one screen."""

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Table as RichTable
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from dulcet.station.tui.dialogs import MODAL_CSS

_KEYS = {"escape": "Esc", "enter": "⏎", "slash": "/", "question_mark": "?", "delete": "Del", "f1": "F1"}


class HelpScreen(ModalScreen[None]):
    """The keys of each screen, then those that work everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "app.pop_screen", "Close", key_display="Esc"),
    ]
    DEFAULT_CSS = (
        MODAL_CSS.format(name="HelpScreen")
        + """
    HelpScreen VerticalScroll { height: auto; max-height: 100%; scrollbar-size: 1 1; }
    """
    )

    def __init__(self, rooms: Iterable[tuple[str, Iterable[BindingType]]]) -> None:
        super().__init__()
        self._rooms = rooms

    def compose(self) -> ComposeResult:
        """A table."""
        table = RichTable.grid(padding=(0, 2))
        for title, bindings in self._rooms:
            table.add_row(Text(title, "bold"), "")
            for tip, keys in keys_by_tip(bindings).items():
                table.add_row(Text(f"  {' '.join(keys)}"), Text(tip))
        with Vertical(classes="box") as box:
            box.border_title = "Keys"
            with VerticalScroll(can_focus=True):
                yield Static(table)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """The arrows scroll."""
        self.query_one(VerticalScroll).focus()


def keys_by_tip(bindings: Iterable[BindingType]) -> dict[str, list[str]]:
    """What may be done, and the keys for it as they stand on the keyboard."""
    found: dict[str, list[str]] = {}
    for binding in bindings:
        if isinstance(binding, Binding) and binding.tooltip:
            found.setdefault(binding.tooltip, []).append(_on_keyboard(binding.key))
    return found


def _on_keyboard(key: str) -> str:
    known = _KEYS.get(key)
    if known is not None or len(key) == 1:
        return known or key
    return key.replace("ctrl+", "^").replace("f", "F")
