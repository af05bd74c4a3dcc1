"""One line for what happened: time, the step of each machine, and an arrow between them."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from dulcet.conformance.captures.machines import MachineStep, Side

NUMBER_WIDTH, TIME_WIDTH, STEP_WIDTH, ARROW_WIDTH = 5, 11, 19, 26
DETAIL = " " * (NUMBER_WIDTH + TIME_WIDTH + 2)
"""What details under a line are indented with."""

_NANOSECONDS = 1_000_000_000


class Style(Enum):
    """How a line may be coloured."""

    PLAIN = "plain"
    HEADING = "heading"
    LADDER = "ladder"
    DIM = "dim"
    DEVIATION = "deviation"
    ERROR = "error"


class Line(NamedTuple):
    """One line for a terminal; nothing in it is a peer's string as it came."""

    text: str
    style: Style = Style.PLAIN


def head() -> Line:
    """What the columns are."""
    number, time = f"{'#':>{NUMBER_WIDTH}}", f"{'seconds':>{TIME_WIDTH}}"
    return Line(f"{number}{time}  {'requestor':<{STEP_WIDTH}}{'':<{ARROW_WIDTH}}  acceptor", Style.DIM)


def ladder(number: str, nanoseconds: int | None, what: str, sender: Side | None, steps: Sequence[MachineStep]) -> Line:
    """`   0   0.000102  Evt2  AE-2 Sta5  ---- A-ASSOCIATE-RQ ---->  Evt6  AE-6 Sta3`."""
    time = "" if nanoseconds is None else f"{nanoseconds / _NANOSECONDS:.6f}"
    by_side = {step.side: step for step in steps}
    left, right = show_step(by_side.get(Side.REQUESTOR)), show_step(by_side.get(Side.ACCEPTOR))
    text = f"{number:>{NUMBER_WIDTH}}{time:>{TIME_WIDTH}}  {left:<{STEP_WIDTH}}{_arrow(what, sender)}  {right}"
    return Line(text.rstrip(), Style.LADDER)


def show_step(step: MachineStep | None) -> str:
    """`Evt10 DT-2  Sta6`; `*` marks an event that was concluded, `----` that the table is blank."""
    if step is None:
        return ""
    event = f"{step.event}{'*' if step.is_inferred else ''}"
    action = "----" if step.action is None else step.action.name
    return f"{event:<6} {action:<5} {step.new_state}"


def _arrow(what: str, sender: Side | None) -> str:
    match sender:
        case Side.REQUESTOR:
            return f"--- {what} ".ljust(ARROW_WIDTH - 1, "-") + ">"
        case Side.ACCEPTOR:
            return "<" + f"--- {what} ".ljust(ARROW_WIDTH - 1, "-")
        case _:
            return f"    {what}".ljust(ARROW_WIDTH)
