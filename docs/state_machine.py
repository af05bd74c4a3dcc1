"""Draws PS3.8 Table 9-10 from the data that dulcet interprets: `python docs/state_machine.py` writes both pictures.

`state-machine.svg` has each of the 123 cells once: what establishes, uses and releases an association (Tables 9-6 to
9-8) is an arrow; what stays, and what aborts (Table 9-9), is a line in the box of its state. `state-table.md` is the
grid with what its names mean. Both files are kept in the repository; a test holds them against the table.
"""

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from dulcet.ul.table import ACTIONS, TRANSITIONS, Action, Event, State

HERE = Path(__file__).parent
STANDARD = "https://dicom.nema.org/medical/dicom/current/output/chtml/part08/sect_9.2"
ABORTS = "9-9"
WIDTH, HEIGHT = 1240, 1630
BOX = 300
LINE = 18
FONT, MONO = "Helvetica, Arial, sans-serif", "Menlo, Consolas, 'DejaVu Sans Mono', monospace"
INK, ARROW, ABORT, STAY, PAPER = "#1b1f24", "#0b5394", "#a61c00", "#38761d", "#ffffff"
REQUESTOR, BOTH, ACCEPTOR = 220, 620, 1020  # the three columns: their centres
PLACES = {  # centre and top of each box; Sta1 stands at both ends
    State.STA1: (BOTH, 50),
    State.STA4: (REQUESTOR, 210),
    State.STA2: (ACCEPTOR, 210),
    State.STA5: (REQUESTOR, 400),
    State.STA3: (ACCEPTOR, 400),
    State.STA6: (BOTH, 600),
    State.STA7: (REQUESTOR, 810),
    State.STA8: (ACCEPTOR, 810),
    State.STA9: (REQUESTOR, 1050),
    State.STA10: (BOTH, 1050),
    State.STA11: (REQUESTOR, 1260),
    State.STA12: (BOTH, 1260),
    State.STA13: (ACCEPTOR, 1450),
}
END = (REQUESTOR, 1470)
LEGEND = (
    (INK, "the requestor's side on the left, the acceptor's on the right"),
    (ARROW, "arrows: Tables 9-6, 9-7 and 9-8"),
    (STAY, "the state stays"),
    (ABORT, "Table 9-9: aborts and failures"),
)


class Arrow(NamedTuple):
    """A route and where its words stand: corners, the label's point, and its anchor."""

    corners: str
    x: int
    y: int
    anchor: str = "start"
    columns: int = 34


ROUTES = {  # corners as an SVG path
    (State.STA1, State.STA4): Arrow("M470,84 H220 V210", 230, 145),
    (State.STA1, State.STA2): Arrow("M770,84 H1020 V210", 1010, 145, "end"),
    (State.STA5, State.STA1): Arrow("M70,450 H30 V64 H470", 40, 36, columns=60),
    (State.STA4, State.STA5): Arrow("M220,300 V400", 230, 346),
    (State.STA2, State.STA3): Arrow("M1020,340 V400", 1010, 360, "end"),
    (State.STA5, State.STA6): Arrow("M370,450 H540 V600", 530, 572, "end"),
    (State.STA3, State.STA6): Arrow("M870,450 H700 V600", 710, 560),
    (State.STA2, State.STA13): Arrow("M1170,260 H1222 V1510 H1170", 1214, 360, "end", 26),
    (State.STA3, State.STA13): Arrow("M1170,450 H1202 V1490 H1170", 1194, 572, "end"),
    (State.STA6, State.STA7): Arrow("M470,650 H220 V810", 230, 724),
    (State.STA6, State.STA8): Arrow("M770,650 H1020 V810", 1010, 724, "end"),
    (State.STA7, State.STA9): Arrow("M220,940 V1050", 230, 982),
    (State.STA7, State.STA10): Arrow("M370,870 H620 V1050", 630, 982),
    (State.STA9, State.STA11): Arrow("M220,1170 V1260", 230, 1218),
    (State.STA10, State.STA12): Arrow("M620,1170 V1260", 630, 1218),
    (State.STA7, State.STA1): Arrow("M70,870 H30 V1495 H70", 40, 982, columns=18),
    (State.STA11, State.STA1): Arrow("M220,1380 V1470", 230, 1424),
    (State.STA8, State.STA13): Arrow("M1020,930 V1450", 1010, 1090, "end"),
    (State.STA12, State.STA13): Arrow("M770,1310 H920 V1450", 910, 1424, "end"),
    (State.STA13, State.STA1): Arrow("M870,1500 H370", 620, 1474, "middle", 60),
}


class Cell(NamedTuple):
    """One cell of the table, and one of the states that it leads to."""

    event: Event
    action: Action
    state: State
    condition: str = ""

    @property
    def words(self) -> str:
        """What happens, and when AE-6 and AR-8 go this way."""
        return self.event.meaning + (f", {self.condition}" if self.condition else "")


def cells(state: State) -> Iterator[Cell]:
    """The cells of a column, from the top; one with two next states comes twice."""
    for event in Event:
        action = TRANSITIONS.get((event, state))
        if action is None:
            continue
        if action.alternative_state is None:
            yield Cell(event, action, action.next_state)
            continue
        first, second = (
            ("acceptable", "not acceptable") if action.alternative_steps else ("we are requestor", "we are acceptor")
        )
        yield Cell(event, action, action.next_state, first)
        yield Cell(event, action, action.alternative_state, second)


def inside(state: State) -> list[tuple[str, str]]:
    """The lines within a box, each with its colour: what stays first, then what aborts, an action a line."""
    lines: dict[tuple[Action, State], list[Event]] = {}
    for cell in cells(state):
        if cell.action.table == ABORTS or cell.state is state:
            lines.setdefault((cell.action, cell.state), []).append(cell.event)
    shown = []
    for (action, after), events in sorted(lines.items(), key=lambda line: line[0][0].table):
        numbers = " ".join(str(event.number) for event in events)
        goes = "stays" if after is state else f"→ {after}"
        shown.append((f"Evt{numbers}: {action.name} {goes}", ABORT if action.table == ABORTS else STAY))
    return shown


def outgoing() -> Iterator[tuple[State, State, list[Cell]]]:
    """Every pair of states that an arrow joins, with the cells that it stands for."""
    for state in State:
        targets: dict[State, list[Cell]] = {}
        for cell in cells(state):
            if cell.action.table != ABORTS and cell.state is not state:
                targets.setdefault(cell.state, []).append(cell)
        for target, found in targets.items():
            yield state, target, found


# The picture --------------------------------------------------------------------------------------------------------


def text(
    x: int, y: int, words: str, *, size: int = 15, colour: str = INK, style: str = "", anchor: str = "start"
) -> str:
    """A line of text; `style` is further attributes."""
    place = f'x="{x}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f"<text {place} {style}>{escape(words)}</text>"


def wrapped(words: str, columns: int = 38) -> list[str]:
    """Lines of at most so many characters."""
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) >= columns:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def box(state: State, centre: int, top: int, *, lines: list[tuple[str, str]]) -> Iterator[str]:
    """A state: its name, what it means, and what happens without an arrow."""
    meaning = wrapped(state.meaning)
    left = centre - BOX // 2
    height = 26 + LINE * (len(meaning) + len(lines)) + (12 if lines else 4)
    yield f'<rect x="{left}" y="{top}" width="{BOX}" height="{height}" rx="10" fill="#f4f7fb" stroke="{INK}"/>'
    yield text(centre, top + 21, str(state), size=17, anchor="middle", style='font-weight="bold"')
    y = top + 21
    for line in meaning:
        y += LINE
        yield text(centre, y, line, anchor="middle")
    y += 8
    for line, colour in lines:
        y += LINE
        yield text(left + 10, y, line, size=13, colour=colour, style=f'font-family="{MONO}"')


def arrow(found: list[Cell], route: Arrow) -> Iterator[str]:
    """The route, and for each cell its event and action over what the event is."""
    yield f'<path d="{route.corners}" fill="none" stroke="{ARROW}" stroke-width="1.6" marker-end="url(#head)"/>'
    y = route.y
    for cell in found:
        named = f"{cell.event}: {cell.action.name}"
        yield text(route.x, y, named, colour=ARROW, anchor=route.anchor, style='font-weight="bold"')
        for line in wrapped(cell.words, route.columns):
            y += LINE - 2
            yield text(route.x, y, line, size=14, colour=ARROW, anchor=route.anchor)
        y += LINE + 2


def picture() -> str:
    """The whole drawing, an SVG document."""
    title = "The state machine of the DICOM Upper Layer: PS3.8 Table 9-10"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="{FONT}" role="img">',
        f"<title>{title}</title>",
        '<defs><marker id="head" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto">'
        f'<path d="M0,0 L9,4 L0,8 z" fill="{ARROW}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        text(BOTH, 24, title, size=18, anchor="middle", style='font-weight="bold"'),
    ]
    for state, target, found in outgoing():
        parts += arrow(found, ROUTES[state, target])
    for state, (centre, top) in PLACES.items():
        parts += box(state, centre, top, lines=inside(state))
    parts += box(State.STA1, *END, lines=[])
    for number, (colour, words) in enumerate(LEGEND):
        parts.append(text(BOTH, 140 + LINE * number, words, size=14, colour=colour, anchor="middle"))
    return "\n".join([*parts, "</svg>"]) + "\n"


# The grid -----------------------------------------------------------------------------------------------------------


def grid() -> str:
    """The page: Table 9-10, then the states, events and actions by name."""
    states = list(State)
    rows = [
        f"| **{event}** {event.meaning} | "
        + " | ".join(action.name if (action := TRANSITIONS.get((event, state))) else "" for state in states)
        + " |"
        for event in Event
    ]
    return "\n".join(
        [
            "<!-- Written by docs/state_machine.py from dulcet.ul.table: don't edit. -->",
            "# Table 9-10 as dulcet has it",
            "",
            f"The state table of [PS3.8 9.2.3]({STANDARD}.3.html), printed from the data that the program interprets.",
            "A row is an event, a column a state, a cell the action that is taken. Where a cell is empty, the standard",
            "defines nothing. `dulcet table` prints the same on a terminal, and [the tour](tour.md) shows it at work.",
            "",
            "![The state machine](state-machine.svg)",
            "",
            "## The grid",
            "",
            "| | " + " | ".join(str(state) for state in states) + " |",
            "|---|" + "---|" * len(states),
            *rows,
            "",
            "## The states",
            "",
            "| state | meaning |",
            "|---|---|",
            *(f"| {state} | {state.meaning} |" for state in states),
            "",
            "## The actions",
            "",
            "| action | what is done, in this order | then |",
            "|---|---|---|",
            *(_action_row(action) for action in ACTIONS.values()),
            "",
        ]
    )


def _action_row(action: Action) -> str:
    steps = ", ".join(step.value for step in action.steps) or "nothing"
    if action.alternative_steps:
        steps += "; a request that can't be accepted: " + ", ".join(step.value for step in action.alternative_steps)
    return f"| {action.name} | {steps} | {' or '.join(str(state) for state in action.next_states)} |"


FILES = {"state-machine.svg": picture, "state-table.md": grid}


def main(folder: Path = HERE) -> None:
    """Write each file that is not yet as it should be."""
    for name, made in FILES.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != made():
            path.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
