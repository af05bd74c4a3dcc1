"""Nodes: the node book, and whether its nodes are there."""

import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from dulcet.escape import legible
from dulcet.station.book.nodes import Node
from dulcet.station.tui.children import Answer
from dulcet.station.tui.dialogs import Question, Reading
from dulcet.station.tui.figures import count, moment
from dulcet.station.tui.node_form import NodeForm
from dulcet.station.tui.pane import Pane, beside, key
from dulcet.station.tui.table import Column, Row, Table

_COLUMNS = (
    Column("Name", 10, share=2),
    Column("AE title", 12, share=1),
    Column("Host", 13, share=2),
    Column("Port", 5, is_right=True),
    Column("TLS", 5, drop=2),
    Column("Echo", 13, share=1),
    Column("At", 8, drop=1),
    Column("Notes", 12, share=3, drop=3),
)
_TLS = {None: "", False: "never", True: "yes"}


@dataclass(frozen=True, slots=True)
class Echo:
    """What an echo brought."""

    milliseconds: float | None = None
    """None: no success."""
    error: str = ""
    at: float | None = None
    """Seconds since 1970; None while it is asked."""


class NodesPane(Pane):
    """The screen."""

    TITLE, FOCUS = "Nodes", "#nodes"
    BINDINGS: ClassVar[list[BindingType]] = [
        *key("e", "echo", "Echo", tip="Ask the node whether it is there (C-ECHO)"),
        *key("E", "echo_all", "Echo all", tip="Ask every node"),
        *key("a", "add", "Add", tip="Enter a new node"),
        *key("m,enter", "edit", "Edit", tip="Change the node", shown_as="⏎"),
        *key("d,delete", "remove", "Remove", tip="Take the node out of the book"),
        *key("o", "doctor", "Doctor", tip="Examine the node stage by stage, and say what is wrong"),
        *key("s", "snippet", "Snippet", tip="What the other side has to enter, so that it knows us"),
    ]

    def __init__(self) -> None:
        super().__init__(id="nodes-pane")
        self._book: dict[str, Node] = {}
        self._as_read: object = None
        self._echoes: dict[str, Echo] = {}

    def compose(self) -> ComposeResult:
        """The table and the line."""
        yield Table(_COLUMNS, id="nodes")
        yield self.says()

    def on_mount(self) -> None:
        """Read the book."""
        self.read()

    def shown(self) -> None:
        """The book may have been changed elsewhere."""
        self.read()

    @property
    def node(self) -> Node | None:
        """The one under the cursor."""
        return self._book.get(self.query_one(Table).selected or "")

    # The book -------------------------------------------------------------------------------------------------------

    @work(group="nodes", exclusive=True)
    async def read(self, then: str = "", select: str = "") -> None:
        """Read the book and show it; `then` is said when it went well."""
        found, fault = await beside(self.station.sources.nodes.read)
        if (found, fault) == self._as_read and not then:
            return
        self._as_read = (found, fault)
        nodes, faults = found or ([], [fault])
        self._book = {node.name: node for node in nodes}
        self._show()
        self.query_one(Table).select(select)
        self.station.nodes_changed(nodes)
        if faults:
            self.say(" · ".join(legible(each, 300) for each in faults), is_error=True)
        else:
            self.say(then or (count(len(nodes), "node") if nodes else "No nodes yet: a enters one."))

    def _show(self) -> None:
        self.query_one(Table).show([_row(node, self._echoes.get(node.name)) for node in self._book.values()])

    def action_add(self) -> None:
        """Enter a new one."""
        self.app.push_screen(NodeForm(), self._save)

    def action_edit(self) -> None:
        """Change the one under the cursor."""
        if self.node is not None:
            self.app.push_screen(NodeForm(self.node), self._save)

    def on_data_table_row_selected(self) -> None:
        """Enter, or a second click."""
        self.action_edit()

    def _save(self, words: tuple[str, ...] | None) -> None:
        if words is not None:
            self._change(words, select=words[words.index("--") + 1])

    def action_remove(self) -> None:
        """Take it out of the book, when that is what is wanted."""
        node = self.node
        if node is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._change(("node", "remove", node.name))

        self.app.push_screen(
            Question("Remove", f"Take {node.name} ({node.address}) out of the node book?", "Remove"), answered
        )

    @work(group="change")
    async def _change(self, words: tuple[str, ...], select: str = "") -> None:
        answer = await self.station.sources.commands.run(*words)
        if answer.code:
            self.say_how(answer, "")
        else:
            said = answer.lines[0] if answer.lines else f"{words[-1]} is gone."
            self.read(then=legible(said, 300), select=select)

    # Is it there? ---------------------------------------------------------------------------------------------------

    def action_echo(self) -> None:
        """Ask the one under the cursor."""
        if self.node is not None:
            self._echo([self.node.name])

    def action_echo_all(self) -> None:
        """Ask every one."""
        if self._book:
            self._echo(list(self._book))

    @work(group="echo")
    async def _echo(self, names: list[str]) -> None:
        self._echoes |= dict.fromkeys(names, Echo())
        self._show()
        self.say(f"asking {names[0] if len(names) == 1 else count(len(names), 'node')} ...")
        answer = await self.station.sources.commands.run("echo", "--json", "--", *names)
        at = time.time()
        found = {name: echo for name in names if (echo := _echo_of(name, answer, at)) is not None}
        self._echoes |= {name: found.get(name) or Echo(error=answer.sentence or "no answer", at=at) for name in names}
        self._show()
        self._tell(names, answer)

    def _tell(self, names: list[str], answer: Answer) -> None:
        echoes = [self._echoes[name] for name in names]
        good = sum(echo.milliseconds is not None for echo in echoes)
        if len(names) > 1:
            self.say(f"{good} of {len(names)} answered", is_error=good < len(names))
        elif good:
            self.say(f"{names[0]} is there: {echoes[0].milliseconds:.1f} ms")
        else:
            self.say(" ".join((echoes[0].error, *answer.advice[:2])), is_error=True)

    @work(group="doctor", exclusive=True)
    async def action_doctor(self) -> None:
        """Examine it; what is found is shown as it comes."""
        node = self.node
        if node is not None:
            await self._read_aloud(f"Doctor: {node.name}", "doctor", "--", node.name)

    @work(group="snippet", exclusive=True)
    async def action_snippet(self) -> None:
        """What its administrator has to enter."""
        node = self.node
        if node is not None:
            await self._read_aloud(f"For the administrator of {node.name}", "node", "snippet", "--", node.name)

    async def _read_aloud(self, title: str, *words: str) -> None:
        reading = Reading(title, "...")
        await self.app.push_screen(reading)
        try:
            running = await self.station.sources.commands.start(*words)
        except OSError as error:
            reading.put(f"The command can't be started: {error.strerror}")
            return
        shown: list[str] = []
        async with aclosing(running.lines()) as lines:
            async for line in lines:
                shown.append(legible(line, 300))
                reading.put("\n".join(shown))
                if not reading.is_attached:
                    return
        ended = await running.ended()
        reading.put("\n".join([*shown, *([""] if ended.errors else []), *ended.errors]) or "(nothing)")


def _row(node: Node, echo: Echo | None) -> Row:
    at = "" if echo is None else moment(echo.at)
    cells = (node.name, node.ae_title, node.host, str(node.port), _TLS[node.tls], state(echo), at, node.notes or "")
    return Row(node.name, cells)


def state(echo: Echo | None) -> Text:
    """A dot that says it without colours, too."""
    if echo is None:
        return Text("○", "dim")
    if echo.at is None:
        return Text("… asking", "dim")
    if echo.milliseconds is None:
        return Text.assemble(("✗", "red"), " no")
    return Text.assemble(("●", "green"), f" {echo.milliseconds:.1f} ms")


def _echo_of(name: str, answer: Answer, at: float) -> Echo | None:
    for event in answer.events:
        if event.get("event") == "echo.result" and str(event.get("peer")).startswith(f"{name} ("):
            if event.get("exit_code") == 0:
                return Echo(milliseconds=float(event["median_ms"]), at=at)
            statuses = ", ".join(map(str, event.get("statuses", ())))
            return Echo(error=legible(str(event.get("error") or f"it answered {statuses}"), 300), at=at)
    return None
