"""Query: what a node has, as a tree that is asked for level by level, and retrieved through the queue."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from dulcet.escape import legible
from dulcet.station.book.nodes import Node
from dulcet.station.tui import matches
from dulcet.station.tui.children import MAX_SENTENCE_CHARACTERS, Ended, Running, parse_event
from dulcet.station.tui.figures import count
from dulcet.station.tui.matches import Item
from dulcet.station.tui.pane import Pane, key
from dulcet.station.tui.query_form import QueryForm

EXIT_PARTLY_FAILED = 1
_BELOW = {"studies": "series", "series": "images"}


@dataclass
class Found:
    """What has come of a query so far."""

    count: int = 0
    unreadable: int = 0
    is_cancelled: bool = False
    """By us: by the limit, or by Esc."""

    def take(self, line: str) -> Mapping[str, Any] | None:
        """The identifier in a line of `dulcet find --json`; None when it has none."""
        event = parse_event(line) or {}
        if event.get("event") == "find.ended":
            self.is_cancelled = bool(event.get("cancelled"))
        if event.get("event") != "find.match":
            return None
        self.count += 1
        identifier = event.get("identifier")
        self.unreadable += not isinstance(identifier, dict)
        return identifier if isinstance(identifier, dict) else None


class QueryPane(Pane):
    """The screen."""

    TITLE, FOCUS = "Query", "#key-patient"
    BINDINGS: ClassVar[list[BindingType]] = [
        *key("f,slash", "form", "Form", tip="Go to the keys of the query", shown_as="f"),
        *key("r", "retrieve", "Retrieve", tip="Retrieve what is selected, through the queue"),
        *key("escape", "stop", "Stop", tip="Cancel the query, or go from the form to the results", shown_as="Esc"),
        *key("n", "new", "New query", tip="Empty the form"),
    ]
    DEFAULT_CSS = "QueryPane Tree { height: 1fr; margin-top: 1; scrollbar-size: 1 1; background: $background; }"

    def __init__(self) -> None:
        super().__init__(id="query-pane")
        self._asking: Running | None = None
        self._was_stopped = False
        self._asked_node = self._meant = ""
        self._patients: dict[tuple[str, str], tuple[TreeNode[Item], Mapping[str, Any]]] = {}

    def compose(self) -> ComposeResult:
        """The form, the tree and the line."""
        yield QueryForm()
        tree = Tree[Item](Text("patients"), id="tree")
        tree.show_root = False
        tree.guide_depth = 3
        yield tree
        yield self.says()

    def on_mount(self) -> None:
        """Say how to begin."""
        self.say("Choose a node, enter what is looked for, then Enter.")

    def offer(self, nodes: Sequence[Node]) -> None:
        """These nodes may be asked."""
        self.query_one(QueryForm).offer(nodes)

    def shown(self) -> None:
        """Until somebody chooses another, the node under the cursor of the screen Nodes is the one that is meant."""
        form, node = self.query_one(QueryForm), self.station.node
        if node is not None and form.node in ("", self._meant):
            form.choose(node.name)
            self._meant = node.name

    @property
    def results(self) -> Tree[Item]:
        """What was found."""
        return self.query_one("#tree", Tree)

    # Asking ---------------------------------------------------------------------------------------------------------

    def on_query_form_asked(self) -> None:
        """Enter in the form."""
        form = self.query_one(QueryForm)
        if not form.node:
            self.say("Which node? Choose one, or enter one in the screen Nodes.", is_error=True)
            form.query_one("#node").focus()
            return
        self.ask(form.node, form.words)

    @work(group="query", exclusive=True)
    async def ask(self, node: str, words: tuple[str, ...]) -> None:
        """Ask a node for studies, and show them below their patients as they come."""
        self.results.clear()
        self._patients.clear()
        self._asked_node = node
        found = Found()

        def show(identifier: Mapping[str, Any]) -> None:
            self._show_study(identifier)
            if found.count == 1:
                self.results.focus()
                self.results.move_cursor(self.results.root.children[0])
            self.say(f"{count(found.count, 'study', 'studies')} so far ... (Esc stops)")

        self.say(f"asking {node} ... (Esc stops)")
        ended = await self._find(found, show, node, "studies", *words)
        patients = f" of {count(len(self._patients), 'patient')}" if self._patients else ""
        self._tell(found, ended, f"{count(found.count, 'study', 'studies')}{patients}")

    async def _find(self, found: Found, show: Any, node: str, level: str, *words: str) -> Ended:
        """Run a query to its end, or to where it is stopped."""
        commands = self.station.sources.commands
        self._was_stopped = False
        try:
            running = await commands.start("find", "--json", *words, "--", node, level)
        except (OSError, ValueError) as error:
            return Ended(1, (f"dulcet: the command can't be started: {legible(str(error), 200)}",))
        self._asking = running
        try:
            async with aclosing(running.lines()) as lines:
                async for line in lines:
                    identifier = found.take(line)
                    if identifier is not None:
                        show(identifier)
            return await running.ended()
        finally:
            if self._asking is running:
                self._asking = None

    def _tell(self, found: Found, ended: Ended, counted: str) -> None:
        but = f"; {count(found.unreadable, 'match', 'matches')} can't be read" if found.unreadable else ""
        if self._was_stopped:
            self.say(f"{counted}{but}; stopped")
        elif ended.code not in (0, EXIT_PARTLY_FAILED) or (ended.code and not found.unreadable):
            self.say(" ".join((ended.sentence, *ended.advice[:2]))[:MAX_SENTENCE_CHARACTERS], is_error=True)
        elif found.is_cancelled:
            self.say(f"{counted}{but}; there are more: the limit was reached")
        elif not found.count:
            self.say(" ".join(ended.advice) or "nothing matched.")
        else:
            self.say(counted + but)

    def _show_study(self, identifier: Mapping[str, Any]) -> None:
        study = matches.study(identifier)
        patient = matches.patient_key(identifier)
        if patient not in self._patients:
            item = matches.patient(identifier, study.study)
            node = self.results.root.add(_label(item, "bold"), data=item, expand=True)
            self._patients[patient] = (node, identifier)
        else:
            node, first = self._patients[patient]
            assert node.data is not None
            node.data = matches.patient(first, (*node.data.study, *study.study))
            node.set_label(_label(node.data, "bold"))
        node.add(_label(study), data=study)

    # Below a study --------------------------------------------------------------------------------------------------

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Item]) -> None:
        """Ask for what is below, the first time."""
        node = event.node
        if node.data is not None and node.data.level in _BELOW and not node.children:
            self.look_below(node, node.data)

    @work(group="query", exclusive=True)
    async def look_below(self, node: TreeNode[Item], above: Item) -> None:
        """Ask for the series of a study, or the images of a series."""
        level = _BELOW[above.level]
        make = matches.series if level == "series" else matches.image
        found, items = Found(), list[Item]()
        waiting = node.add_leaf(Text("…", "dim"))
        self.say(f"asking {self._asked_node} for {level} ... (Esc stops)")
        try:
            ended = await self._find(
                found, lambda each: items.append(make(each, above)), self._asked_node, level, *above.keys
            )
        finally:
            waiting.remove()
        for item in sorted(items, key=_by_number):
            node.add(_label(item), data=item, allow_expand=item.level in _BELOW)
        word = count(found.count, "series", "series") if level == "series" else count(found.count, "image")
        self._tell(found, ended, word)
        if not items:
            node.collapse()

    # What to do with it ---------------------------------------------------------------------------------------------

    def action_form(self) -> None:
        """To the first key."""
        self.query_one("#key-patient").focus()

    def action_new(self) -> None:
        """Forget what was entered."""
        self.query_one(QueryForm).clear()
        self.action_form()

    def action_stop(self) -> None:
        """Cancel the query; when none runs, leave the form."""
        if self._asking is not None:
            self._was_stopped = True
            self._asking.interrupt()
            self.say("stopping ...")
        else:
            self.results.focus()

    @work(group="retrieve")
    async def action_retrieve(self) -> None:
        """Have the queue bring what is under the cursor."""
        node = self.results.cursor_node
        item = None if node is None else node.data
        if item is None:
            self.say("Select what should be retrieved.", is_error=True)
            return
        if not all(item.study) or (item.level in ("series", "images") and not item.keys):
            self.say("The node gave no UID for it, so it can't be retrieved.", is_error=True)
            return
        where = f"--directory={self.station.sources.directory}"
        words = ("retrieve", "--queue", "--json", where, *item.keys, "--", self._asked_node, item.words[0])
        answer = await self.station.sources.commands.run(*words)
        images = "" if item.images is None else f" ({count(item.images, 'image')})"
        self.say_how(answer, f"queued{images}: the screen Queue shows how it goes")


def _label(item: Item, style: str = "") -> Text:
    return Text(item.label, style, no_wrap=True)


def _by_number(item: Item) -> tuple[int, str]:
    first = item.label.split()[0]
    return (int(first) if first.isdecimal() else 1 << 31, item.label)
