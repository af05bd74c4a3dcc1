"""What is looked for: the keys of a query, on two or three lines."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, ItemGrid
from textual.message import Message
from textual.widgets import Input, Label, Select

from dulcet.station.book.nodes import Node

DEFAULT_LIMIT = 200  # matches; a whole archive is no answer


class QueryKey(NamedTuple):
    """A field of the form."""

    name: str
    label: str
    hint: str
    option: str
    """Of `dulcet find`."""


KEYS = (
    QueryKey("patient", "Patient", "DOE*", "--patient="),
    QueryKey("patient-id", "ID", "12345", "--patient-id="),
    QueryKey("date", "Date", "today, last7d", "--date="),
    QueryKey("modality", "Modality", "CT", "--modality="),
    QueryKey("accession", "Accession", "A1", "--accession="),
    QueryKey("description", "Study", "*chest*", "--key=StudyDescription="),
    QueryKey("limit", "Limit", str(DEFAULT_LIMIT), "--limit="),
)


class QueryForm(ItemGrid):
    """The form; Enter in any field asks."""

    class Asked(Message):
        """Somebody wants to know."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]
    DEFAULT_CSS = """
    QueryForm { height: auto; padding: 0 1; grid-gutter: 0 2; }
    QueryForm Horizontal { height: 1; }
    QueryForm Label { width: 10; color: $text-muted; }
    QueryForm Input, QueryForm Select { width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="query-form", min_column_width=24)

    def compose(self) -> ComposeResult:
        """The node, then the keys."""
        with Horizontal():
            yield Label("Node")
            yield Select[str]([], prompt="choose one", id="node", compact=True)
        for key in KEYS:
            with Horizontal():
                yield Label(key.label)
                value = str(DEFAULT_LIMIT) if key.name == "limit" else ""
                yield Input(value, placeholder=key.hint, id=f"key-{key.name}", compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        self.post_message(self.Asked())

    def offer(self, nodes: Sequence[Node]) -> None:
        """These nodes may be chosen; what is chosen stays if it is still there."""
        select = self._select
        chosen, names = self.node, [node.name for node in nodes]
        select.set_options([(name, name) for name in names])
        if chosen in names:
            select.value = chosen

    def choose(self, name: str) -> None:
        """Choose a node, which has been offered."""
        self._select.value = name

    def clear(self) -> None:
        """Nothing is looked for; the node and the limit stay."""
        for key in KEYS[:-1]:
            self.query_one(f"#key-{key.name}", Input).value = ""

    @property
    def node(self) -> str:
        """The name of the chosen node; "" when none is."""
        value = self._select.value
        return value if isinstance(value, str) else ""

    @property
    def words(self) -> tuple[str, ...]:
        """What was entered, as options of `dulcet find`."""
        entered = [(key, self.query_one(f"#key-{key.name}", Input).value.strip()) for key in KEYS]
        return tuple(key.option + value for key, value in entered if value)

    @property
    def _select(self) -> Select[str]:
        return self.query_one("#node", Select)
