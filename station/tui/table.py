"""A table that fits the terminal and is changed in place: what did not change is not drawn again."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.binding import BindingType
from textual.events import Resize
from textual.widgets import DataTable

CELL_PADDING = 1  # columns of the terminal on each side of a cell


class Column(NamedTuple):
    """How a column shares the width of the terminal."""

    title: str
    width: int
    """In columns of the terminal, at least."""
    share: int = 0
    """Of the width that is left."""
    drop: int = 0
    """Where the terminal is too narrow the columns with the highest are left out first; 0 never is."""
    is_right: bool = False
    keeps_end: bool = False
    """What is too long is cut at its beginning: paths."""


class Row(NamedTuple):
    """A row: what it is about, and what its cells show."""

    key: str
    cells: tuple[str | Text, ...]
    """Printable; one for each column, also for one that is left out."""


def fit(columns: Sequence[Column], width: int) -> list[tuple[int, int]]:
    """(index, width) of the columns that are shown in `width`."""
    shown = list(range(len(columns)))
    while sum(columns[index].width + 2 * CELL_PADDING for index in shown) > width:
        last = max(shown, key=lambda index: columns[index].drop)
        if not columns[last].drop:
            break
        shown.remove(last)
    spare = max(width - sum(columns[index].width + 2 * CELL_PADDING for index in shown), 0)
    shares = sum(columns[index].share for index in shown) or 1
    return [(index, columns[index].width + spare * columns[index].share // shares) for index in shown]


class Table(DataTable[Text]):
    """Rows under a cursor; `show` says what they are."""

    BINDINGS: ClassVar[list[BindingType]] = [("j", "cursor_down"), ("k", "cursor_up")]
    DEFAULT_CSS = "Table { height: 1fr; scrollbar-size: 1 1; }"

    def __init__(self, columns: Sequence[Column], *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=CELL_PADDING)
        self._columns = tuple(columns)
        self._fitted: list[tuple[int, int]] = []
        self._shown: dict[str, Row] = {}

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor; None when there is none."""
        keys = list(self._shown)
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    def on_resize(self, event: Resize) -> None:
        """Share the width anew."""
        self._draw(self._shown)

    def show(self, rows: Sequence[Row]) -> None:
        """These rows, in this order. The cursor stays with what it is on."""
        wanted = {row.key: row for row in rows}
        if list(wanted) != list(self._shown) or not self._fitted:
            self._draw(wanted)
            return
        for key, row in wanted.items():
            before = self._shown[key].cells
            for index, width in self._fitted:
                if row.cells[index] != before[index]:
                    self.update_cell(key, str(index), self._cell(row, index, width))
        self._shown = wanted

    def select(self, key: str) -> None:
        """Move the cursor to a row, if it is there."""
        if key in self._shown:
            self.move_cursor(row=list(self._shown).index(key))

    def _draw(self, rows: dict[str, Row]) -> None:
        selected, top = self.selected, self.scroll_offset.y
        row_before = self.cursor_row
        self._shown = rows
        self._fitted = fit(self._columns, self.size.width) if self.size.width else []
        with self.app.batch_update():
            self.clear(columns=True)
            for index, width in self._fitted:
                column = self._columns[index]
                title = Text(column.title, justify="right" if column.is_right else "left")
                self.add_column(title, width=width, key=str(index))
            for row in rows.values() if self._fitted else ():
                self.add_row(*(self._cell(row, index, width) for index, width in self._fitted), key=row.key)
            if selected in rows:
                self.move_cursor(row=list(rows).index(selected), scroll=False)
            elif rows and self._fitted:
                self.move_cursor(row=min(row_before, len(rows) - 1), scroll=False)
            self.scroll_to(y=top, animate=False)

    def _cell(self, row: Row, index: int, width: int) -> Text:
        value = row.cells[index]
        text = value.copy() if isinstance(value, Text) else Text(value)
        text.no_wrap = True
        text.justify = "right" if self._columns[index].is_right else "left"
        too_long = text.cell_len - width
        if self._columns[index].keeps_end and too_long > 0:
            text = Text("…", no_wrap=True) + text[too_long + 1 :]
        text.truncate(width, overflow="ellipsis")
        return text
