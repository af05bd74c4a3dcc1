"""`dulcet table`: the tables of PS3.8 as this program has them, so that they can be laid beside the page."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import click

from dulcet.escape import quote
from dulcet.ul.fields import Layout
from dulcet.ul.items import USER_SUB_ITEMS, Item
from dulcet.ul.pdata import PRESENTATION_DATA_VALUE
from dulcet.ul.pdu import PDU_TYPES
from dulcet.ul.table import ACTIONS, TRANSITIONS, Action, Event, State, Step

STATE_TABLE = "9-10"
_ACTION_TABLES = {
    "9-6": "Associate establishment related actions",
    "9-7": "Data transfer related actions",
    "9-8": "Associate release related actions",
    "9-9": "Associate abort related actions",
}
_REPEATED = {
    "9-19": "9-15",
    "9-20": "9-16",
    "D.1-2": "D.1-1",
    "D.3-2": "D.3-1",
    "D.3-4": "D.3-3",
    "D.3-8": "D.3-7",
    "D.3-10": "D.3-9",
}
"""Tables of the A-ASSOCIATE-AC that say what those of the A-ASSOCIATE-RQ say."""
_BLANK = "."


class Table(NamedTuple):
    """A table to print."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


@click.command()
@click.argument("name", default=STATE_TABLE, metavar="[TABLE]")
@click.option("--format", "form", type=click.Choice(("text", "csv", "dot")), default="text", show_default=True)
@click.option(
    "--role", type=click.Choice(("requestor", "acceptor")), help="With dot: only what this side of an association does."
)
def table(name: str, form: str, role: str | None) -> int:
    """Print a table of PS3.8: 9-10 if none is named, the state table.

    TABLE is 9-6 to 9-9 (actions), 9-11 to 9-26 (PDUs and items: their octets), D.1-1 and D.3-... (user information),
    or states, events, actions, list. dot is a graph: dulcet table --format dot | dot -Tsvg > machine.svg
    """
    if form == "dot":
        if name != STATE_TABLE:
            raise click.UsageError("only the state table is a graph")
        click.echo(_graph(role))
        return 0
    if role is not None:
        raise click.UsageError("--role needs --format dot")
    found = _find(name)
    click.echo(_csv(found) if form == "csv" else _text(found), nl=False)
    return 0


def _find(name: str) -> Table:
    plain = name.lower().removeprefix("table").strip()
    plain = plain.replace("d.", "D.")
    makers: dict[str, Callable[[], Table]] = {
        STATE_TABLE: _state_table,
        "states": _states,
        "events": _events,
        "actions": lambda: _actions(None),
        "list": _list,
    }
    if plain in makers:
        return makers[plain]()
    if plain in _ACTION_TABLES:
        return _actions(plain)
    layout = _layouts().get(_REPEATED.get(plain, plain))
    if layout is None:
        raise click.UsageError(f"there is no table '{quote(name)}'; `dulcet table list` names them all")
    return _octets(plain, layout)


def _layouts() -> dict[str, Layout]:
    items: list[type[Item]] = sorted(Item.__subclasses__(), key=lambda item: item.ITEM_TYPE)
    assert set(USER_SUB_ITEMS) <= set(items)
    layouts = [pdu.LAYOUT for pdu in PDU_TYPES.values()] + [PRESENTATION_DATA_VALUE] + [item.LAYOUT for item in items]
    return {layout.table: layout for layout in layouts}


def _type_codes() -> dict[str, int]:
    codes = {pdu.LAYOUT.table: code for code, pdu in PDU_TYPES.items()}
    return codes | {item.LAYOUT.table: item.ITEM_TYPE for item in Item.__subclasses__()}


# The tables ---------------------------------------------------------------------------------------------------------


def _state_table() -> Table:
    rows = []
    for event in Event:
        actions = (TRANSITIONS.get((event, state)) for state in State)
        cells = (_BLANK if action is None else action.name for action in actions)
        rows.append((str(event), *cells, event.meaning))
    head = ("", *(str(state) for state in State), "")
    note = (
        f"{_BLANK} the standard defines nothing; `dulcet table actions` and `dulcet table states` say what names mean"
    )
    return Table("PS3.8 Table 9-10: Upper Layer Protocol State Table", head, rows, (note,))


def _states() -> Table:
    rows = [(str(state), state.meaning) for state in State]
    return Table("PS3.8 Tables 9-1 to 9-5: states", ("state", "meaning"), rows)


def _events() -> Table:
    rows = [(str(event), event.meaning) for event in Event]
    return Table("PS3.8 Table 9-10, first column: events", ("event", "meaning"), rows)


def _actions(number: str | None) -> Table:
    rows = [
        (action.name, _steps(action), _next(action)) for action in ACTIONS.values() if number in (None, action.table)
    ]
    title = "PS3.8 Tables 9-6 to 9-9: actions"
    if number is not None:
        title = f"PS3.8 Table {number}: {_ACTION_TABLES[number]}"
    return Table(title, ("action", "what is done", "next state"), rows)


def _steps(action: Action) -> str:
    text = _joined(action.steps)
    if action.alternative_steps:
        return f"acceptable: {text}; not acceptable: {_joined(action.alternative_steps)}"
    return text


def _joined(steps: Sequence[Step]) -> str:
    return ", ".join(step.value for step in steps) or "ignore PDU"


def _next(action: Action) -> str:
    return " or ".join(str(state) for state in action.next_states)


def _octets(number: str, layout: Layout) -> Table:
    code = _type_codes().get(layout.table)
    rows = []
    for octets, field in layout.octet_column():
        is_type = field in ("pdu_type", "item_type") and code is not None
        rows.append((octets, field, f"{code:02X}H" if is_type else ""))
    same = f" (as Table {layout.table})" if number != layout.table else ""
    part = layout.clause.split()[0]
    return Table(f"{part} Table {number}: {layout.title}{same}", ("octets", "field", "value"), rows)


def _list() -> Table:
    layouts = _layouts()
    titles = {number: layout.title for number, layout in layouts.items()}
    titles |= {number: titles[same] for number, same in _REPEATED.items()}
    titles |= {**_ACTION_TABLES, STATE_TABLE: "Upper Layer Protocol State Table"}
    rows = [(number, titles[number]) for number in sorted(titles, key=_order)]
    return Table("Tables that `dulcet table` prints", ("table", "title"), rows)


def _order(number: str) -> tuple[str, list[int]]:
    chapter, _, rest = number.partition("-")
    return chapter[0], [int(part) for part in (*chapter.lstrip("D.").split("."), rest) if part]


# How they are printed -----------------------------------------------------------------------------------------------


def _text(found: Table) -> str:
    lines = [found.title, ""]
    rows = [found.head, *found.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(found.head))]
    lines += ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    if found.notes:
        lines += ["", *found.notes]
    return "\n".join(lines) + "\n"


def _csv(found: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found.head)
    writer.writerows([["" if cell == _BLANK else cell for cell in row] for row in found.rows])
    return text.getvalue()


def _graph(role: str | None) -> str:
    """The state machine for Graphviz: an edge for each pair of states, its label the actions and their events."""
    edges: dict[tuple[State, State], dict[str, list[Event]]] = {}
    reached = _reached(role)
    for (event, state), action in TRANSITIONS.items():
        if state not in reached or _is_of_other_role(event, state, role):
            continue
        for following in _next_states(action, role):
            edges.setdefault((state, following), {}).setdefault(action.name, []).append(event)
    lines = [
        "digraph upper_layer {",
        '  label="PS3.8 Table 9-10: Upper Layer Protocol State Machine' + (f', {role}"' if role else '"'),
        "  node [shape=box, style=rounded];",
    ]
    lines += (f'  {state} [label="{state}\\n{state.meaning}"];' for state in State if state in reached)
    for (state, following), actions in sorted(edges.items(), key=lambda edge: (edge[0][0].number, edge[0][1].number)):
        label = "\\n".join(f"{name}: {' '.join(map(str, events))}" for name, events in actions.items())
        lines.append(f'  {state} -> {following} [label="{label}"];')
    return "\n".join((*lines, "}"))


def _reached(role: str | None) -> set[State]:
    """The states that a role can come to from Sta1."""
    reached, left = {State.STA1}, [State.STA1]
    while left:
        state = left.pop()
        for (event, start), action in TRANSITIONS.items():
            if start is state and not _is_of_other_role(event, state, role):
                new = set(_next_states(action, role)) - reached
                reached |= new
                left += new
    return reached


def _is_of_other_role(event: Event, state: State, role: str | None) -> bool:
    """An association is asked for (Evt1) or indicated (Evt5)."""
    other = {"requestor": Event.EVT5, "acceptor": Event.EVT1}.get(role or "")
    return state is State.STA1 and event is other


def _next_states(action: Action, role: str | None) -> tuple[State, ...]:
    """AR-8 depends on the role; AE-6 on the request."""
    if role is None or action.alternative_state is None or action.alternative_steps:
        return action.next_states
    return (action.next_state if role == "requestor" else action.alternative_state,)
