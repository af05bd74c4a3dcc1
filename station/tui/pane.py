"""What the five screens have in common: a line that tells how things stand, and work beside the interface."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from dulcet.errors import DulcetError
from dulcet.escape import legible
from dulcet.station.tui.children import MAX_SENTENCE_CHARACTERS, Answer

if TYPE_CHECKING:
    from dulcet.station.tui.application import Workstation

T = TypeVar("T")


class Pane(Vertical):
    """One screen under a tab."""

    TITLE: ClassVar[str] = ""
    FOCUS: ClassVar[str] = ""
    """What gets the keys when the screen is shown: a selector."""
    DEFAULT_CSS = """
    Pane { height: 1fr; }
    Pane > .says { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    Pane > .says.-error { color: $text-error; }
    """

    @property
    def station(self) -> "Workstation":
        """The application, by its own type."""
        return cast("Workstation", self.app)

    def says(self) -> Static:
        """The line, to be composed."""
        return Static("", classes="says", markup=False)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Tell in the line how things stand."""
        line = self.query_one(".says", Static)
        line.set_class(is_error, "-error")
        line.update(Text(f"✗ {text}" if is_error and text else text))

    def say_how(self, answer: Answer, success: str) -> None:
        """Tell how a command ended."""
        self.say(answer.sentence or success, is_error=answer.code != 0)

    def shown(self) -> None:
        """The screen has come to the front."""


async def beside(read: Callable[[], T]) -> tuple[T | None, str]:
    """(what `read` returns, "") from a thread; (None, a sentence) when it fails in a way that is no fault of ours."""
    try:
        return await asyncio.to_thread(read), ""
    except DulcetError as error:
        return None, legible(str(error), MAX_SENTENCE_CHARACTERS)
    except sqlite3.Error as error:
        return None, f"the database can't be read: {legible(str(error), MAX_SENTENCE_CHARACTERS)}"
    except OSError as error:
        where = f"{legible(str(error.filename), 200)}: " if error.filename else ""
        return None, f"{where}{error.strerror or error}"


def key(keys: str, action: str, says: str, *, tip: str = "", show: bool = True, shown_as: str = "") -> BindingType:
    """A binding; `tip` is what the help screen says of it."""
    return Binding(keys, action, says, tooltip=tip or says, show=show, key_display=shown_as or None)
