"""The form in which a node is entered and changed."""

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Input, Label, Select, Static

from dulcet.station.book.nodes import (
    RETRIEVE_METHODS,
    Node,
    check_ae_title,
    check_host,
    check_port,
    is_node_name,
)
from dulcet.station.tui.dialogs import MODAL_CSS

_TLS = {"": None, "yes": True, "never": False}


@dataclass(frozen=True, slots=True)
class FormField:
    """A line of the form."""

    name: str
    """Of the field of a node."""
    label: str
    hint: str = ""
    option: str = ""
    """Of `dulcet node`; "" for what is not said in an option."""


FIELDS = (
    FormField("name", "Name", "PACS1: letters, digits, . _ -"),
    FormField("ae_title", "AE title", "as its administrator named it, capitals and all", "--ae-title"),
    FormField("host", "Host", "192.168.1.20 or pacs.example.org", "--host"),
    FormField("port", "Port", "104, 11112, 4242", "--port"),
    FormField("calling_ae_title", "Our AE title", "towards it; what holds for all if empty", "--calling-ae-title"),
    FormField("tls_ca", "TLS CA file", "the authorities that sign its certificate", "--tls-ca"),
    FormField("tags", "Tags", "words to choose nodes by: ct main", "--tag"),
    FormField("notes", "Notes", "for people", "--notes"),
)


class NodeForm(ModalScreen[tuple[str, ...] | None]):
    """Returns the words of the `dulcet node` command that does what was entered; None when nothing is to be done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", key_display="Esc"),
        Binding("ctrl+s", "save", "Save", key_display="^s"),
        Binding("enter", "next", show=False, priority=True),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]
    DEFAULT_CSS = (
        MODAL_CSS.format(name="NodeForm")
        + """
    NodeForm Horizontal { height: 1; }
    NodeForm Label { width: 14; }
    NodeForm Input { width: 1fr; }
    NodeForm Select { width: 20; }
    NodeForm .fault { color: $text-error; height: auto; }
    NodeForm .buttons { height: 1; align-horizontal: right; margin-top: 1; }
    NodeForm Button { margin-left: 2; }
    """
    )

    def __init__(self, node: Node | None = None, suggested: Node | None = None) -> None:
        super().__init__()
        self._node = node
        self._values = _values(node or suggested)

    def compose(self) -> ComposeResult:
        """A line for each field."""
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = Text("New node" if self._node is None else f"Node {self._node.name}")
            for field in FIELDS:
                with Horizontal():
                    yield Label(field.label)
                    is_fixed = field.name == "name" and self._node is not None
                    value = self._values[field.name]
                    yield Input(value, placeholder=field.hint, id=field.name, compact=True, disabled=is_fixed)
            with Horizontal():
                yield Label("TLS")
                yield _choice("tls", {"not said": "", "yes": "yes", "never": "never"}, self._values["tls"])
                yield Label("  Retrieve by")
                methods = {"not said": "", **{method: method for method in RETRIEVE_METHODS}}
                yield _choice("retrieve", methods, self._values["retrieve"])
            yield Static("", classes="fault", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Save", id="save", variant="primary", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Begin at the first field that may be changed."""
        self.query_one("#name" if self._node is None else "#ae_title", Input).focus()

    def action_next(self) -> None:
        """Enter goes to the next field, and from the last one it saves. At once: the next key is for that field."""
        if not isinstance(self.focused, Input):
            raise SkipAction
        if self.focused.id == FIELDS[-1].name:
            self.action_save()
        else:
            self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """By mouse, or by Enter."""
        if event.button.id == "save":
            self.action_save()
        else:
            self.dismiss(None)

    def action_save(self) -> None:
        """Check what was entered; leave with it, or say what is wrong."""
        values = {field.name: self.query_one(f"#{field.name}", Input).value.strip() for field in FIELDS}
        values |= {name: str(self.query_one(f"#{name}", Select).value) for name in ("tls", "retrieve")}
        fault = fault_of(values)
        if fault is None:
            self.dismiss(add_words(values) if self._node is None else edit_words(self._values, values))
            return
        self.query_one(".fault", Static).update(Text(fault[1]))
        self.query_one(f"#{fault[0]}").focus()


def _choice(name: str, words: dict[str, str], value: str) -> Select[str]:
    return Select(list(words.items()), value=value, allow_blank=False, id=name, compact=True)


def _values(node: Node | None) -> dict[str, str]:
    """A node as the form has it."""
    names = [*(field.name for field in FIELDS), "tls", "retrieve"]
    if node is None:
        return dict.fromkeys(names, "")
    values = {name: getattr(node, name) for name in names}
    values["tls"] = next(word for word, tls in _TLS.items() if tls is node.tls)
    values["tags"] = " ".join(node.tags)
    return {name: "" if value is None else str(value) for name, value in values.items()}


def fault_of(values: dict[str, str]) -> tuple[str, str] | None:
    """(field, a sentence) for the first thing that is wrong with what was entered."""
    if not is_node_name(values["name"]):
        return "name", "A name has letters, digits, . _ - and is not digits alone."
    if not values["port"].isdecimal():
        return "port", "A port is a number from 1 to 65535."
    titles = [name for name in ("ae_title", "calling_ae_title") if name == "ae_title" or values[name]]
    for name, check in (*((title, check_ae_title) for title in titles), ("host", check_host)):
        try:
            check(values[name])
        except ValueError as error:
            return name, f"{error}."
    try:
        check_port(int(values["port"]))
    except ValueError as error:
        return "port", f"{error}."
    if values["tls_ca"] and values["tls"] != "yes":
        return "tls", "A TLS CA file needs TLS: yes."
    return None


def add_words(values: dict[str, str]) -> tuple[str, ...]:
    """`node add ...`."""
    host = f"[{values['host']}]" if ":" in values["host"] else values["host"]
    address = f"{values['ae_title']}@{host}:{values['port']}"
    said = {name: value for name, value in values.items() if name not in ("name", "ae_title", "host", "port")}
    return ("node", "add", *_options(said), "--", values["name"], address)


def edit_words(before: dict[str, str], values: dict[str, str]) -> tuple[str, ...] | None:
    """`node edit ...`, with what is new, and --unset for what is said no more; None when nothing changed."""
    changed = {name: value for name, value in values.items() if value != before[name]}
    if not changed:
        return None
    unset = [f"--unset={name}" for name, value in changed.items() if not value]
    return ("node", "edit", *_options(changed), *unset, "--", values["name"])


def _options(values: dict[str, str]) -> list[str]:
    words = []
    for field in FIELDS:
        value = values.get(field.name, "")
        if value and field.option:
            parts = value.split() if field.name == "tags" else [value]
            words += [f"{field.option}={part}" for part in parts]
    if values.get("tls"):
        words.append("--tls" if values["tls"] == "yes" else "--no-tls")
    if values.get("retrieve"):
        words.append(f"--retrieve={values['retrieve']}")
    return words
