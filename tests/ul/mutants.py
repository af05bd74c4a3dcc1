"""Counts how many wrong tables the tests would notice: `python tests/ul/mutants.py` (`make mutants`).

A mutant is Table 9-10 with one thing changed. Three kinds of tests are asked about each, and each by itself:

- the transcription: the table and its actions against `tests/data/state_table.json` (`test_table.py`);
- the cells: a real `Connection` in the state of the cell, its effects and its next state (`test_cells.py`), and the
  report of the step;
- the model: the neighbours of the machine, who know nothing of the table (`model.py`).
"""

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from dulcet.ul import connection
from dulcet.ul.table import ACTIONS, TRANSITIONS, Action, Event, State, Step

Cell = tuple[Event, State]
Table = dict[Cell, Action]
PAIRS = [(event, state) for event in Event for state in State]


class Mutant(NamedTuple):
    """A wrong table."""

    kind: str
    name: str
    table: Table
    cells: tuple[Cell, ...]
    """Where it differs."""


def mutants() -> Iterator[Mutant]:
    """All of them."""
    yield from _other_actions()
    yield from _filled_blanks()
    yield from _blanked_cells()
    yield from _next_states()
    yield from _changed_steps()


def _with(kind: str, cell: Cell, action: Action | None, what: str) -> Mutant:
    table = {**TRANSITIONS}
    if action is None:
        del table[cell]
    else:
        table[cell] = action
    return Mutant(kind, f"{cell[0]} in {cell[1]}: {what}", table, (cell,))


def _other_actions() -> Iterator[Mutant]:
    for cell, action in TRANSITIONS.items():
        for other in ACTIONS.values():
            if other is not action:
                yield _with("another action", cell, other, f"{other.name} for {action.name}")


def _filled_blanks() -> Iterator[Mutant]:
    for cell in PAIRS:
        if cell not in TRANSITIONS:
            for action in ACTIONS.values():
                yield _with("a blank filled", cell, action, f"{action.name} for a blank")


def _blanked_cells() -> Iterator[Mutant]:
    for cell, action in TRANSITIONS.items():
        yield _with("a cell blanked", cell, None, f"a blank for {action.name}")


def _next_states() -> Iterator[Mutant]:
    for cell, action in TRANSITIONS.items():
        for state in State:
            if state is not action.next_state:
                what = f"{action.name} to {state}"
                yield _with("another next state", cell, replace(action, next_state=state), what)
            if action.alternative_state not in (None, state):
                what = f"{action.name} otherwise to {state}"
                yield _with("another next state", cell, replace(action, alternative_state=state), what)


def _changed_steps() -> Iterator[Mutant]:
    for action in ACTIONS.values():
        cells = tuple(cell for cell, there in TRANSITIONS.items() if there is action)
        for field in ("steps", "alternative_steps"):
            for steps in _variations(getattr(action, field)):
                changed = replace(action, **{field: steps})
                words = ", ".join(step.name for step in steps) or "nothing"
                table = {**TRANSITIONS, **dict.fromkeys(cells, changed)}
                yield Mutant("other steps", f"{action.name} {field}: {words}", table, cells)


def _variations(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """One step left out, two in the other order, one step done as well."""
    for index in range(len(steps)):
        yield steps[:index] + steps[index + 1 :]
    for first, second in pairwise(range(len(steps))):
        yield (*steps[:first], steps[second], steps[first], *steps[second + 1 :])
    for step in Step if steps else ():
        if step not in steps:
            yield (*steps, step)


# Who notices --------------------------------------------------------------------------------------------------------


class Killers:
    """The tests, each asked by itself whether it notices a mutant."""

    def __init__(self) -> None:
        self.model = _module("model")
        self.cells = _module("test_cells")
        self.table = _module("test_table")
        self._expected = {cell[:2]: cell for cell in self.cells.CELLS}

    def transcription(self, mutant: Mutant) -> bool:
        """Names and next states of the cells, and the steps of the actions."""
        for event, state in mutant.cells:
            action = mutant.table.get((event, state))
            found = None if action is None else (action.name, [str(following) for following in action.next_states])
            if found != self.table.CELLS.get((str(event), str(state))):
                return True
        if mutant.kind != "other steps":
            return False
        action = mutant.table[mutant.cells[0]]
        return _notices(lambda: self.table.check_action(action))

    def effects(self, mutant: Mutant) -> bool:
        """What a Connection does and where it is then."""
        return self._any_cell(mutant, self.cells.test_cell, self.cells.test_blank)

    def report(self, mutant: Mutant) -> bool:
        """What a Connection says that it did."""
        return self._any_cell(mutant, self.cells.test_cell_is_reported, self.cells.test_blank)

    def promises(self, mutant: Mutant) -> bool:
        """Whether a neighbour of the machine is let down."""
        return _notices(lambda: self.model.check_all(mutant.table))

    def _any_cell(self, mutant: Mutant, test_cell: Callable[..., None], test_blank: Callable[..., None]) -> bool:
        connection.TRANSITIONS = mutant.table  # type: ignore[misc]
        try:
            for cell in mutant.cells:
                expected = self._expected.get(cell)
                test, arguments = (test_blank, cell) if expected is None else (test_cell, expected)
                if _notices(lambda: test(*arguments)):  # noqa: B023
                    return True
            if any(ACTIONS["AE-6"].name == mutant.table[cell].name for cell in mutant.cells if cell in mutant.table):
                return _notices(self.cells.test_provider_refuses_in_ae_6_what_it_cannot_take)
            return False
        finally:
            connection.TRANSITIONS = TRANSITIONS  # type: ignore[misc]


def _notices(test: Callable[[], object]) -> bool:
    try:
        test()
    except (Exception, pytest.fail.Exception):
        return True
    return False


def _module(name: str) -> ModuleType:
    """The module beside this one."""
    spec = importlib.util.spec_from_file_location(f"mutants_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Count(NamedTuple):
    """How many mutants of one kind there are, and how many each kind of tests notices by itself."""

    made: int
    transcription: int
    effects: int
    report: int
    promises: int
    behaviour: int
    """Effects, report and promises together: without the transcription of the table."""
    equal: list[str]
    """Noticed by the transcription alone."""
    survivors: list[str]
    """Noticed by nothing."""


def count(chosen: Iterator[Mutant] | list[Mutant]) -> dict[str, Count]:
    """By kind."""
    killers = Killers()
    verdicts: dict[str, dict[str, tuple[bool, ...]]] = {}
    for mutant in chosen:
        asked = (killers.transcription, killers.effects, killers.report, killers.promises)
        verdict = tuple(killer(mutant) for killer in asked)
        verdicts.setdefault(mutant.kind, {})[mutant.name] = (*verdict, any(verdict[1:]))
    return {
        kind: Count(
            len(found),
            *(sum(column) for column in zip(*found.values(), strict=True)),
            [name for name, verdict in found.items() if verdict[0] and not verdict[-1]],
            [name for name, verdict in found.items() if not any(verdict)],
        )
        for kind, found in verdicts.items()
    }


def main() -> int:
    """Print the count; 1 when a mutant is noticed by no test at all."""
    counts = count(mutants())
    print(f"{'mutants':22}{'made':>7}{'transcription':>15}{'effects':>9}{'report':>8}{'model':>7}{'behaviour':>11}")
    for kind, found in counts.items():
        print(f"{kind:22}{found.made:7}{found.transcription:15}{found.effects:9}{found.report:8}", end="")
        print(f"{found.promises:7}{found.behaviour:11}")
    print("\nequal in behaviour, so that only the transcription tells them apart:")
    for place, number in Counter(name.partition(":")[0] for found in counts.values() for name in found.equal).items():
        print(f"  {place}: {number}")
    survivors = [name for found in counts.values() for name in found.survivors]
    print(f"\nnoticed by nothing: {len(survivors)}", *survivors, sep="\n  ")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
