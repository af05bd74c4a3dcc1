"""Screens over the screens: a question, a text to read."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Click
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Static

MODAL_CSS = """
{name} {{ align: center middle; background: $background 60%; }}
{name} > .box {{
    width: 76; max-width: 96%; height: auto; max-height: 94%;
    background: $surface; border: round $primary; padding: 0 1; border-title-color: $text-primary;
}}
"""


class Question(ModalScreen[bool]):
    """Yes or no; Enter is no, since what is asked can't be undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No", key_display="n"),
        Binding("left,right", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = (
        MODAL_CSS.format(name="Question")
        + """
    Question .buttons { height: auto; align-horizontal: right; margin-top: 1; }
    Question Button { margin-left: 2; }
    """
    )

    def __init__(self, title: str, text: str, yes: str = "Yes") -> None:
        super().__init__()
        self._title, self._text, self._yes = title, text, yes

    def compose(self) -> ComposeResult:
        """The question and its two answers."""
        with Vertical(classes="box") as box:
            box.border_title = Text(self._title)
            yield Static(self._text, markup=False)
            with Horizontal(classes="buttons"):
                yield Button("No", id="no", compact=True)
                yield Button(self._yes, id="yes", variant="error", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """An answer by mouse, or by Enter."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """An answer by key."""
        self.dismiss(answer)


class Reading(ModalScreen[None]):
    """A text to read, which may grow while it is shown. Memory: the text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "app.pop_screen", "Close", key_display="Esc"),
        Binding("c", "copy", "Copy"),
    ]
    DEFAULT_CSS = (
        MODAL_CSS.format(name="Reading")
        + """
    Reading > .box { width: 100; height: auto; }
    Reading VerticalScroll { height: auto; max-height: 100%; scrollbar-size: 1 1; }
    """
    )

    def __init__(self, title: str, text: str = "") -> None:
        super().__init__()
        self._title, self.text = title, text

    def compose(self) -> ComposeResult:
        """The text in a box."""
        with Vertical(classes="box") as box:
            box.border_title = Text(self._title)
            with VerticalScroll(can_focus=True):
                yield Static(Text(self.text), id="text")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """The arrows scroll."""
        self.query_one(VerticalScroll).focus()

    def on_click(self, event: Click) -> None:
        """Beside the box is away."""
        if event.widget is self:
            self.dismiss()

    def put(self, text: str) -> None:
        """Show this instead."""
        self.text = text
        for shown in self.query("#text").results(Static):  # none when it has been closed
            shown.update(Text(text))

    def action_copy(self) -> None:
        """To the terminal's clipboard."""
        self.app.copy_to_clipboard(self.text)
        self.notify("Copied.")
