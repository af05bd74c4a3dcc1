"""Every state that the machine and its neighbours can reach together: nobody is let down, nobody waits for ever."""

from dataclasses import replace

import pytest

from dulcet.ul.table import ACTIONS, TRANSITIONS, Event, State, Step


def test_against_any_environment_every_cell_is_reached(model) -> None:
    """No undefined event, ARTIM exactly in Sta2 and Sta13, one close, only A-ABORT after A-ABORT: all are judged."""
    acceptor = model.check_against_anything(TRANSITIONS, is_requestor=False)
    requestor = model.check_against_anything(TRANSITIONS, is_requestor=True)
    assert (len(acceptor.cells), len(requestor.cells)) == (88, 79)
    assert acceptor.cells | requestor.cells == set(TRANSITIONS)
    assert len(TRANSITIONS) == 123


def test_two_machines_without_faults_never_abort(model) -> None:
    explored = model.check_pair(TRANSITIONS, faults=False)
    assert explored.states > 50
    assert not any(action.startswith("AA") for action in names(explored) - {"AA-4"})


def test_two_machines_with_aborts_timers_and_cut_connections(model) -> None:
    explored = model.check_pair(TRANSITIONS, faults=True)
    assert explored.states > 500
    assert {event for event, _ in explored.cells} == set(Event) - {Event.EVT19}


def names(explored) -> set[str]:
    return {TRANSITIONS[cell].name for cell in explored.cells}


def with_cell(event: Event, state: State, action: str | None):
    table = dict(TRANSITIONS)
    if action is None:
        del table[event, state]
    else:
        table[event, state] = ACTIONS[action]
    return table


def with_steps(name: str, *steps: Step):
    changed = replace(ACTIONS[name], steps=steps)
    return {cell: changed if action.name == name else action for cell, action in TRANSITIONS.items()}


BROKEN = {
    "an undefined event": (with_cell(Event.EVT13, State.STA7, None), "not defined"),
    "ARTIM never expires": (
        {cell: action for cell, action in TRANSITIONS.items() if cell[0] is not Event.EVT18},
        "not defined",
    ),
    "data after a release request": (with_cell(Event.EVT9, State.STA7, "DT-1"), "cannot happen in"),
    "ARTIM still runs in Sta3": (with_steps("AE-6", Step.INDICATE), "ARTIM runs elsewhere than in Sta2 and Sta13"),
    "no ARTIM in Sta13": (with_steps("AR-4", Step.SEND_RELEASE_RP), "ARTIM runs elsewhere than in Sta2 and Sta13"),
    "ARTIM of the request goes on": (with_cell(Event.EVT19, State.STA2, "AA-7"), "without a fresh ARTIM"),
    "a release after an abort": (with_steps("AA-6", Step.SEND_RELEASE_RP), "speaks unasked"),
    "no close": (with_steps("AA-2", Step.STOP_ARTIM), "does not close"),
    "two closes": (with_steps("AA-3", Step.INDICATE, Step.CLOSE, Step.CLOSE), "closes what is not open"),
    "a lost connection that nobody hears of": (with_steps("AA-4"), "deceives the user"),
    "a provider's abort in the user's name": (with_cell(Event.EVT19, State.STA6, "AA-1"), "as the provider"),
    "the user before the peer": (
        with_steps("AA-8", Step.INDICATE_PROVIDER_ABORT, Step.SEND_ABORT_PROVIDER, Step.START_ARTIM),
        "tells the user before the peer",
    ),
    "data in transit lost": (with_cell(Event.EVT10, State.STA7, "AA-8"), "nobody did anything wrong"),
    "a collision taken for a fault": (with_cell(Event.EVT12, State.STA7, "AA-8"), "nobody did anything wrong"),
    "an answer that stays here": (with_steps("AE-7", Step.INDICATE), "indicates nothing that came"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_promise_is_noticed(fault: str, model) -> None:
    table, text = BROKEN[fault]
    with pytest.raises(model.Violation, match=text):
        model.check_all(table)


def test_a_state_without_a_way_out_is_noticed(model) -> None:
    graph = {1: [2], 2: [3, 4], 3: [], 4: [2]}
    model.check_return(graph, lambda state: state == 3)
    with pytest.raises(model.Violation, match="no way out of 2"):
        model.check_return(graph, lambda state: state == 1)
