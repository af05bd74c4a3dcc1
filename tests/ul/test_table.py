"""Table 9-10 and Tables 9-6 to 9-9 against a transcription that was made apart from ours."""

import json
from pathlib import Path

import pytest

from dulcet.ul.table import ACTIONS, TRANSITIONS, Action, Event, State, Step, next_state

TRANSCRIPTION = json.loads((Path(__file__).parents[1] / "data" / "state_table.json").read_text())
CELLS = {
    (event, state): (cell["action"], cell["next"])
    for event, row in TRANSCRIPTION["cells"].items()
    for state, cell in row.items()
}
PAIRS = [(event, state) for event in Event for state in State]


@pytest.mark.parametrize(("event", "state"), PAIRS, ids=lambda part: str(part))
def test_each_pair_of_event_and_state_is_as_transcribed(event: Event, state: State) -> None:
    action = TRANSITIONS.get((event, state))
    found = None if action is None else (action.name, [str(following) for following in action.next_states])
    assert found == CELLS.get((str(event), str(state)))


def test_there_are_123_cells_and_124_blanks() -> None:
    assert len(TRANSITIONS) == 123
    assert len(PAIRS) - len(TRANSITIONS) == 124


@pytest.mark.parametrize("name", list(TRANSCRIPTION["actions"]))
def test_each_action_is_as_transcribed(name: str) -> None:
    check_action(ACTIONS[name])


def check_action(action: Action) -> None:
    """Its row of Tables 9-6 to 9-9, as far as the transcription has it: not the order of the steps."""
    expected = TRANSCRIPTION["actions"][action.name]
    assert [str(state) for state in action.next_states] == expected["next"]
    assert f"PS3.8 Table {action.table}" == expected["clause"]
    steps = {*action.steps, *action.alternative_steps}
    assert (Step.CLOSE in steps) == (expected.get("transport") == "close")
    assert (Step.START_ARTIM in steps) == ("start" in expected.get("artim", ""))
    assert (Step.STOP_ARTIM in steps) == ("stop" in expected.get("artim", ""))
    assert bool(_sends(action)) == bool(expected["sends"])


def test_there_are_28_actions_in_the_order_of_the_tables() -> None:
    assert list(ACTIONS) == list(TRANSCRIPTION["actions"])
    assert len(ACTIONS) == 28


@pytest.mark.parametrize("abort", ["AA-1", "AA-8"])
def test_the_source_of_an_abort_is_as_transcribed(abort: str) -> None:
    source = {Step.SEND_ABORT_USER: "A-ABORT source=0", Step.SEND_ABORT_PROVIDER: "A-ABORT source=2"}
    assert [source[step] for step in _sends(ACTIONS[abort])] == TRANSCRIPTION["actions"][abort]["sends"]


def test_the_two_actions_with_a_choice() -> None:
    assert next_state(ACTIONS["AE-6"], is_requestor=False) is State.STA3
    assert next_state(ACTIONS["AE-6"], is_requestor=False, acceptable=False) is State.STA13
    assert next_state(ACTIONS["AR-8"], is_requestor=True) is State.STA9
    assert next_state(ACTIONS["AR-8"], is_requestor=False) is State.STA10


def _sends(action: Action) -> list[Step]:
    return [step for step in (*action.steps, *action.alternative_steps) if step.name.startswith("SEND")]
