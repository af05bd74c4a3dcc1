"""A model of Table 9-10 and its neighbours: the local user, the transport, the timer and the peer.

The machine is the real table with the real steps of its actions. The neighbours are written down apart from it, each
from the standard's prose: what a user may say and be told (PS3.8 section 7), in which order PDUs may go out, when a
connection is open, when ARTIM runs. Exploring every state that they can reach together shows whether each always gets
what it was promised; the first broken promise is raised as `Violation`. Nothing here knows Table 9-10's transcription.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from dulcet.ul.table import Action, Event, State, Step, next_state

Table = Mapping[tuple[Event, State], Action]
MAX_IN_FLIGHT = 2  # PDUs of P-DATA in each direction
BEGINNINGS = ((Event.EVT1, State.STA1), (Event.EVT5, State.STA1))  # one for each role


class Violation(Exception):
    """A neighbour of the machine did not get what the standard promises."""


RECEIVED = {
    Event.EVT3: "AC",
    Event.EVT4: "RJ",
    Event.EVT6: "RQ",
    Event.EVT10: "DATA",
    Event.EVT12: "RELEASE-RQ",
    Event.EVT13: "RELEASE-RP",
    Event.EVT16: "ABORT",
    Event.EVT19: "INVALID",
}
BY_PDU = {name: event for event, name in RECEIVED.items()}

# The local user, PS3.8 section 7: phase -> what may be issued, and what may be indicated or confirmed ---------------

ISSUED: dict[str, dict[Event, str]] = {
    "nobody": {Event.EVT1: "awaits answer"},
    "awaits answer": {},
    "must answer": {Event.EVT7: "associated", Event.EVT8: "over"},
    "associated": {Event.EVT9: "associated", Event.EVT11: "awaits release"},
    "awaits release": {},  # 7.2.2.1: nothing but A-ABORT
    "must release": {Event.EVT9: "must release", Event.EVT14: "over"},  # 7.2.2.2
    "collision, answers first": {Event.EVT14: "collision, awaits release"},  # 7.2.2.7 a
    "collision, awaits release": {},  # 7.2.2.7 c
    "collision, waits": {},  # 7.2.2.7 b
    "collision, answers last": {Event.EVT14: "over"},
    "over": {},
}
TOLD: dict[str, dict[str, str]] = {
    "nobody": {"RQ": "must answer"},
    "awaits answer": {"AC": "associated", "RJ": "over"},
    "associated": {"DATA": "associated", "RELEASE-RQ": "must release"},
    "awaits release": {"DATA": "awaits release", "RELEASE-RP": "over", "RELEASE-RQ": "collision"},
    "collision, awaits release": {"RELEASE-RP": "over"},
    "collision, waits": {"RELEASE-RP": "collision, answers last"},
}
NOT_ALIVE = ("nobody", "over")
SAYS = {
    Event.EVT7: "AC",
    Event.EVT8: "RJ",
    Event.EVT9: "DATA",
    Event.EVT11: "RELEASE-RQ",
    Event.EVT14: "RELEASE-RP",
}
PRIMITIVES = {Event.EVT1, Event.EVT15, *SAYS}

# The peer: what has gone out -> what may follow -----------------------------------------------------------------------

FOLLOWS: dict[str, dict[str, str]] = {
    "nothing": {"RQ": "talk", "AC": "talk", "RJ": "end"},
    "talk": {"DATA": "talk", "RELEASE-RQ": "asked", "RELEASE-RP": "end"},
    "asked": {"RELEASE-RP": "end"},
    "end": {},
    "abort": {},
}


class Node(NamedTuple):
    """The machine and what its neighbours know."""

    state: State = State.STA1
    user: str = "nobody"
    sent: str = "nothing"
    transport: str = "none"
    artim: bool = False


class Outcome(NamedTuple):
    """What one event led to."""

    node: Node
    sent: tuple[str, ...]


class Side:
    """One machine with its user, timer and transport. Every event fired is judged."""

    def __init__(self, table: Table, *, is_requestor: bool) -> None:
        self.table = table
        self.is_requestor = is_requestor
        self.cells: set[tuple[Event, State]] = set()
        self._outcomes: dict[tuple[Node, Event, bool], Outcome] = {}

    def legal(self, node: Node) -> set[Event]:
        """The events that can happen now."""
        events = set(ISSUED[node.user])
        if node.user not in NOT_ALIVE:
            events.add(Event.EVT15)
        if node.user == "nobody" and not self.is_requestor:
            events = {Event.EVT5} if node.transport == "none" else set()
        if node.transport == "opening":
            events |= {Event.EVT2, Event.EVT17}
        if node.transport == "open":
            events |= {*RECEIVED, Event.EVT17}
        if node.artim:
            events.add(Event.EVT18)
        return events

    def fire(self, node: Node, event: Event, acceptable: bool = True) -> Outcome:
        """What happens; Violation when a neighbour is let down."""
        key = (node, event, acceptable)
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcomes[key] = self._fire(node, event, acceptable)
        return outcome

    def _fire(self, node: Node, event: Event, acceptable: bool) -> Outcome:
        action = self.table.get((event, node.state))
        if action is None:
            raise Violation(f"{event} is not defined in {node}")
        self.cells.add((event, node.state))
        refused = not acceptable and bool(action.alternative_steps)
        step = _Judge(self, node, event)
        for each in action.alternative_steps if refused else action.steps:
            step.perform(each)
        return step.judge(next_state(action, is_requestor=self.is_requestor, acceptable=not refused))


class _Judge:
    """One event: the steps performed, then whether everybody can be content."""

    def __init__(self, side: Side, node: Node, event: Event) -> None:
        self.side = side
        self.before = node
        self.event = event
        self.user = node.user
        self.transport = node.transport
        self.artim = node.artim
        self.has_started = False
        self.is_told = False
        self.sent: list[str] = []
        if event in PRIMITIVES:
            self.user = "over" if event is Event.EVT15 else ISSUED[node.user][event]
        elif event is Event.EVT2 or event is Event.EVT5:
            self.transport = "open"
        elif event is Event.EVT17:
            self.transport = "closed"
        elif event is Event.EVT18:
            self.artim = False

    def perform(self, step: Step) -> None:
        """One step of the action."""
        if step is Step.CONNECT:
            self.demand(self.transport == "none", "connects twice")
            self.transport = "opening"
        elif step is Step.CLOSE:
            self.demand(self.transport in ("opening", "open"), "closes what is not open")
            self.transport = "closed"
        elif step in (Step.START_ARTIM, Step.STOP_ARTIM):
            self.artim = self.has_started = step is Step.START_ARTIM
        elif step is Step.INDICATE:
            self.demand(self.event in RECEIVED and self.event is not Event.EVT19, "indicates nothing that came")
            self.tell(RECEIVED[self.event])
        elif step is Step.INDICATE_PROVIDER_ABORT:
            self.tell("ABORT")
        else:
            self.send(self.pdu_of(step))

    def pdu_of(self, step: Step) -> str:
        """What a sending step sends."""
        if step is Step.SEND:
            pdu = "RQ" if self.event in (Event.EVT1, Event.EVT2) else SAYS.get(self.event) or RECEIVED.get(self.event)
            self.demand(pdu is not None, "sends without a PDU")
            return str(pdu)
        return {
            Step.SEND_REJECT: "RJ",
            Step.SEND_RELEASE_RQ: "RELEASE-RQ",
            Step.SEND_RELEASE_RP: "RELEASE-RP",
            Step.SEND_ABORT_USER: "ABORT by user",
            Step.SEND_ABORT_PROVIDER: "ABORT by provider",
            Step.SEND_ABORT: "ABORT by provider",
        }[step]

    def tell(self, what: str) -> None:
        """An indication or confirmation."""
        self.demand(not self.is_told, "tells the user twice")
        self.is_told = True
        if what == "ABORT":
            self.demand(self.user not in NOT_ALIVE, "tells somebody who is not there of an abort")
            self.user = "over"
            return
        told = TOLD.get(self.user, {}).get(what)
        self.demand(told is not None, f"tells a user who {self.user} of {what}")
        if told == "collision":
            told = "collision, answers first" if self.side.is_requestor else "collision, waits"
        self.user = str(told)

    def send(self, pdu: str) -> None:
        """A PDU goes out."""
        self.demand(self.transport == "open", f"sends {pdu} without a connection")
        self.demand(not self.is_told, "tells the user before the peer")
        self.demand(not self.has_started, "starts ARTIM before the PDU is out")
        self.sent.append(pdu)

    def judge(self, state: State) -> Outcome:
        """The node that comes of it, when nobody was let down."""
        before, event, sent = self.before, self.event, tuple(self.sent)
        self.judge_what_was_sent(sent)
        if sent and self.user == "nobody":  # rejected or aborted before anybody was asked
            self.user = "over"
        alive = before.user not in NOT_ALIVE
        if event in RECEIVED and before.user != "over" and event is not Event.EVT16:
            self.demand(self.is_told or bool(sent), "ignores a PDU")
        if event is Event.EVT16 or event is Event.EVT18:
            self.demand(not sent and self.transport == "closed", "does not close, or has more to say")
        if alive and event is Event.EVT16:
            self.demand(self.is_told, "does not tell the user of an abort")
        self.demand((self.user in NOT_ALIVE) == (state in (State.STA1, State.STA2, State.STA13)), "deceives the user")
        self.demand((self.transport in ("none", "closed")) == (state is State.STA1), "deceives the transport")
        self.demand((self.transport == "opening") == (state is State.STA4), "deceives the transport")
        self.demand((state in (State.STA2, State.STA13)) == self.artim, "ARTIM runs elsewhere than in Sta2 and Sta13")
        if state is State.STA13 and before.state is not State.STA13:
            self.demand(self.has_started, "waits for the close without a fresh ARTIM")
        return Outcome(Node(state, self.user, self.following(sent), self.transport, self.artim), sent)

    def judge_what_was_sent(self, sent: tuple[str, ...]) -> None:
        """A primitive sends what it says, an opened connection the request, and a fault an abort."""
        before, event = self.before, self.event
        if event in SAYS:
            self.demand(sent == (SAYS[event],), "does not say what the user says")
        elif event is Event.EVT15 and before.transport == "open":
            self.demand(sent == ("ABORT by user",), "does not abort as the user")
        elif event is Event.EVT2:
            self.demand(sent == ("RQ",), "does not ask")
        elif event is Event.EVT6 and before.user == "nobody":
            self.demand(self.is_told or sent[:1] in (("RJ",), ("ABORT by user",), ("ABORT by provider",)), "is rude")
        elif event in RECEIVED and before.user not in NOT_ALIVE:
            self.demand(sent in ((), ("ABORT by provider",)), "does not abort as the provider")
        else:
            self.demand(all(pdu.startswith("ABORT") for pdu in sent), "speaks unasked")
        self.demand(len(sent) <= 1, "says two things at once")

    def following(self, sent: tuple[str, ...]) -> str:
        """The order in which PDUs go out: nothing but an A-ABORT after an A-ABORT."""
        said = self.before.sent
        for pdu in sent:
            if pdu.startswith("ABORT"):
                said = "abort"
            else:
                self.demand(pdu in FOLLOWS[said], f"sends {pdu} after {said}")
                said = FOLLOWS[said][pdu]
        return said

    def demand(self, holds: bool, otherwise: str) -> None:
        """Or raise."""
        if not holds:
            raise Violation(f"{self.event} in {self.before}: {otherwise}")


# One machine against any environment --------------------------------------------------------------------------------


class Explored(NamedTuple):
    """What an exploration saw."""

    states: int
    steps: int
    cells: frozenset[tuple[Event, State]]


def explore(start: Any, moves: Callable[[Any], Iterable[Any]]) -> dict[Any, list[Any]]:
    """Every state that `moves` lead to from `start`, with its followers."""
    graph: dict[Any, list[Any]] = {}
    queue = deque([start])
    while queue:
        current = queue.popleft()
        if current in graph:
            continue
        graph[current] = followers = list(moves(current))
        queue.extend(follower for follower in followers if follower not in graph)
    return graph


def check_return(graph: Mapping[Any, Iterable[Any]], is_end: Callable[[Any], bool]) -> None:
    """From every state an end can be reached; a state that nothing leads out of is one."""
    leads_to: dict[Any, list[Any]] = {}
    for state, followers in graph.items():
        for follower in followers:
            leads_to.setdefault(follower, []).append(state)
    can_end = {state for state in graph if is_end(state)}
    queue = list(can_end)
    while queue:
        for state in leads_to.get(queue.pop(), ()):
            if state not in can_end:
                can_end.add(state)
                queue.append(state)
    stuck = [state for state in graph if state not in can_end]
    if stuck:
        raise Violation(f"no way out of {stuck[0]}")


def check_against_anything(table: Table, *, is_requestor: bool) -> Explored:
    """The peer sends anything at any time, the connection breaks, the user says whatever the service allows.

    What can happen is defined and what can't happen is not; without the peer's help everything comes to an end.
    """
    side = Side(table, is_requestor=is_requestor)

    def moves(node: Node) -> Iterable[Node]:
        legal = side.legal(node)
        for event in Event:
            if event in legal:
                yield side.fire(node, event).node
                if event is Event.EVT6:
                    yield side.fire(node, event, False).node
            elif (event, node.state) in table and (event, node.state) not in BEGINNINGS:
                raise Violation(f"{event} cannot happen in {node} and is defined")

    graph = explore(Node(), moves)
    without_peer = {
        node: [side.fire(node, event).node for event in side.legal(node) - {*RECEIVED, Event.EVT17}] for node in graph
    }
    check_return(without_peer, lambda node: node.state is State.STA1)
    return Explored(len(graph), sum(map(len, graph.values())), frozenset(side.cells))


# Two machines that talk to each other -------------------------------------------------------------------------------

END = "END"


class Pair(NamedTuple):
    """Both nodes and what is on its way: a connection keeps the order of each direction."""

    requestor: Node
    acceptor: Node
    to_acceptor: tuple[str, ...] = ()
    to_requestor: tuple[str, ...] = ()


class _Wire:
    """The moves of a pair. With faults: aborts, rejections, timers at any time, connections that fail or are cut."""

    def __init__(self, table: Table, *, faults: bool) -> None:
        self.faults = faults
        self.sides = (Side(table, is_requestor=True), Side(table, is_requestor=False))

    def moves(self, pair: Pair) -> Iterable[Pair]:
        for index in (0, 1):
            yield from self.of_one_side(pair, index)
        requestor, acceptor = pair.requestor, pair.acceptor
        if requestor.transport == "opening" and acceptor.transport == "none":
            yield self.fire(pair, 1, Event.EVT5)
        if requestor.transport == "opening" and acceptor.transport != "none":
            yield self.fire(pair, 0, Event.EVT2)
        if self.faults and requestor.transport == acceptor.transport == "open" and END not in pair.to_acceptor:
            yield pair._replace(to_acceptor=(END,), to_requestor=(END,))

    def of_one_side(self, pair: Pair, index: int) -> Iterable[Pair]:
        node, incoming, outgoing = pair[index], pair[3 - index], pair[2 + index]
        for event in self.sides[index].legal(node):
            is_fault = event in (Event.EVT8, Event.EVT15, Event.EVT18) or (
                event is Event.EVT17 and node.transport == "opening"
            )
            is_blocked = event is Event.EVT9 and outgoing.count("DATA") >= MAX_IN_FLIGHT
            if (self.faults and is_fault) or (event in PRIMITIVES and not is_fault and not is_blocked):
                yield self.fire(pair, index, event)
        if incoming and node.transport == "open":
            first, rest = incoming[0], incoming[1:]
            after = pair._replace(**{("to_requestor", "to_acceptor")[index]: rest})
            event = Event.EVT17 if first == END else BY_PDU[first.partition(" ")[0]]
            yield self.fire(after, index, event)
            if self.faults and first == "RQ":
                yield self.fire(after, index, event, False)

    def fire(self, pair: Pair, index: int, event: Event, acceptable: bool = True) -> Pair:
        node, other = pair[index], pair[1 - index]
        after, sent = self.sides[index].fire(node, event, acceptable)
        if not self.faults and any(pdu.startswith("ABORT") for pdu in sent):
            raise Violation(f"{event} in {node}: aborts though nobody did anything wrong ({pair})")
        incoming, outgoing = pair[3 - index], pair[2 + index]
        if other.transport != "closed":
            outgoing += sent
        if after.transport == "closed":
            incoming = ()
            if other.transport == "open" and END not in outgoing:
                outgoing = (*outgoing, END)
        if len(outgoing) > MAX_IN_FLIGHT + 4:
            raise Violation(f"{event} in {node}: no bound to what is on its way ({pair})")
        nodes, wires = ([after, other], [outgoing, incoming]) if index == 0 else ([other, after], [incoming, outgoing])
        return Pair(*nodes, *wires)


def _is_over(pair: Pair) -> bool:
    return pair.requestor.transport == "closed" and pair.acceptor.transport in ("none", "closed")


def check_pair(table: Table, *, faults: bool) -> Explored:
    """Two machines with users who keep to the service: nobody is let down, nobody waits for ever.

    Without faults no A-ABORT goes out.
    """
    wire = _Wire(table, faults=faults)
    graph = explore(Pair(Node(), Node()), wire.moves)
    check_return(graph, _is_over)
    cells = wire.sides[0].cells | wire.sides[1].cells
    return Explored(len(graph), sum(map(len, graph.values())), frozenset(cells))


def check_all(table: Table) -> frozenset[tuple[Event, State]]:
    """Every check, the quickest first; the cells that were reached. Violation for the first that does not hold."""
    cells = check_against_anything(table, is_requestor=False).cells
    cells |= check_against_anything(table, is_requestor=True).cells
    check_pair(table, faults=False)
    check_pair(table, faults=True)
    if cells != set(table):
        raise Violation("never reached: " + ", ".join(f"{event} in {state}" for event, state in set(table) - cells))
    return cells
