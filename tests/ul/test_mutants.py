"""Every wrong table, one change each, is noticed by what the machine does: without a look at the transcription."""

import pytest


def test_there_are_as_many_mutants_as_the_table_has_room_for(mutants) -> None:
    made: dict[str, int] = {}
    for mutant in mutants.mutants():
        made[mutant.kind] = made.get(mutant.kind, 0) + 1
    assert made == {
        "another action": 123 * 27,
        "a blank filled": 124 * 28,
        "a cell blanked": 123,
        "another next state": 123 * 12 + 2 * 12,
        "other steps": made["other steps"],
    }
    assert made["other steps"] > 28 * 10


EQUAL = ({"AE-3", "DT-2"}, {"AE-7", "DT-1"}, {"AE-8", "AR-4"}, {"AA-5", "AR-5"}, {"AA-3", "AE-4", "AR-3"})
"""Actions that do the same for some event and lead to the same state: only their name, which is reported, differs."""


@pytest.mark.parametrize(
    "kind", ["another action", "a blank filled", "a cell blanked", "another next state", "other steps"]
)
def test_each_mutant_is_noticed_by_what_the_machine_does_or_a_broken_promise(mutants, kind: str) -> None:
    killers = mutants.Killers()
    survivors = [
        mutant
        for mutant in mutants.mutants()
        if mutant.kind == kind and not (killers.effects(mutant) or killers.promises(mutant))
    ]
    for mutant in survivors:
        assert killers.report(mutant), mutant.name
        other, _, action = mutant.name.partition(": ")[2].partition(" for ")
        assert any({other, action} <= equal for equal in EQUAL), mutant.name


def test_the_unchanged_table_is_noticed_by_nobody(mutants) -> None:
    killers = mutants.Killers()
    for cell, action in mutants.TRANSITIONS.items():
        same = mutants.Mutant("another action", "nothing", dict(mutants.TRANSITIONS), (cell,))
        assert not killers.transcription(same)
        assert not killers.effects(same), action.name
        assert not killers.report(same)
    assert not killers.promises(same)
