"""What the five screens have in common: a line that tells how things stand, and work beside the interface."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from dulcet.errors import DulcetError
from dulcet.escape import legible
from dulcet.station.tui.children import MAX_SENTENCE_CHARACTERS, Answer

if TYPE_CHECKING:
    from dulcet.station.tui.application import Workstation

T = TypeVar("T")


def station_of(widget: Widget) -> "Workstation":
    """The application, by its own type."""
    return cast("Workstation", widget.app)


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
        return station_of(self)

    def says(self) -> Static:
        """The line, to be composed."""
        return Static("", classes="says", markup=False)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Tell in the line how things stand."""
        for line in self.query(".says").results(Static):  # none when we are leaving
            line.set_class(is_error, "-error")
            line.update(Text(f"✗ {text}" if is_error and text else text))

    def say_how(self, answer: Answer, success: str) -> None:
        """Tell how a command ended."""
        self.say(answer.sentence or success, is_error=answer.code != 0)

    def shown(self) -> None:
        """The screen has come to the front."""


async def beside(read: Callable[[], T]) -> tuple[T | None, str]:
    """(what `read` returns, "") from a thread; (None, a sentence) when it fails in a way that is no fault of ours.

    The thread is a daemon: a database that is locked for long keeps nobody from leaving.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[tuple[T | None, str]] = loop.create_future()

    def settle(outcome: tuple[T | None, str] | BaseException) -> None:
        if result.done():  # nobody waits any more
            return
        if isinstance(outcome, BaseException):
            result.set_exception(outcome)
        else:
            result.set_result(outcome)

    def run() -> None:
        try:
            outcome: tuple[T | None, str] | BaseException = _told(read)
        except BaseException as error:
            outcome = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, daemon=True, name="dulcet-tui-reader").start()
    return await result


def _told(read: Callable[[], T]) -> tuple[T | None, str]:
    try:
        return read(), ""
    except (DulcetError, sqlite3.Error, OSError) as error:
        return None, sentence(error)


def sentence(error: Exception) -> str:
    """What went wrong, safe to show."""
    if isinstance(error, OSError):
        where = f"{legible(str(error.filename), 200)}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    text = legible(str(error), MAX_SENTENCE_CHARACTERS)
    return f"the database can't be read: {text}" if isinstance(error, sqlite3.Error) else text


def key(
    keys: str, action: str, says: str, *, tip: str = "", show: bool = True, shown_as: str = ""
) -> list[BindingType]:
    """A binding for each of `keys`, the first in the footer; `tip` is what the help screen says of them."""
    return [
        Binding(each, action, says, tooltip=tip or says, show=show and not number, key_display=shown_as or None)
        for number, each in enumerate(keys.split(","))
    ]
