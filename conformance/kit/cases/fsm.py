"""ul.fsm: what both sides share: each cell of PS3.8 Table 9-10 as a requirement, each event as octets."""

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.product import Patience
from dulcet.conformance.kit.stimuli import COMMAND, LAST, p_data, pdv
from dulcet.conformance.kit.visit import echo_rq
from dulcet.dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN
from dulcet.ul.table import TRANSITIONS, Action, Event, State

CLAUSE = "PS3.8 Table 9-10"

EVIDENCE: dict[str, tuple[str, ...]] = {
    "AA-1": ("ABORT0",),
    "AA-2": ("CLOSE",),
    "AA-3": ("CLOSE",),
    "AA-6": ("CLOSE", "SILENCE"),
    "AA-7": ("ABORT",),
    "AA-8": ("ABORT2",),
}
"""What shows on the wire of the actions that answer a PDU which has no place."""

PDU_OF_EVENT = {
    Event.EVT3: "an A-ASSOCIATE-AC",
    Event.EVT4: "an A-ASSOCIATE-RJ",
    Event.EVT6: "an A-ASSOCIATE-RQ",
    Event.EVT10: "a P-DATA-TF with a C-ECHO-RQ",
    Event.EVT12: "an A-RELEASE-RQ",
    Event.EVT13: "an A-RELEASE-RP",
    Event.EVT16: "an A-ABORT (0,0)",
    Event.EVT19: "a PDU of type 55H",
}

LOST = "a lost connection shows nothing on the wire; the product's own log has to tell"
BY_ITS_USER = "only the product's own user can cause it: nothing that a peer does"

VARIANTS = {
    "type-00": ("a PDU of type 00H", stimuli.pdu(0x00, bytes(4))),
    "type-ff": ("a PDU of type FFH", stimuli.pdu(0xFF, bytes(4))),
    "bad-body": (
        "a P-DATA-TF whose item is longer than the PDU",
        p_data(pdv(1, COMMAND | LAST, bytes(10), length=500)),
    ),
}
"""Evt19 again: other PDUs that are unrecognized or invalid."""


def seconds_in_sta13(event: Event, patience: Patience) -> float:
    """How long to wait for what a product in Sta13 makes of a PDU: for silence, where that is right, not as long."""
    may_be_silent = "SILENCE" in EVIDENCE[TRANSITIONS[event, State.STA13].name]
    return patience.settle * 2 if may_be_silent else patience.answer


def answer_to(request: stimuli.Request) -> bytes:
    """An A-ASSOCIATE-AC that would fit the request."""
    context = stimuli.item(0x21, b"\1\0\0\0" + stimuli.transfer_syntax(IMPLICIT_VR_LITTLE_ENDIAN))
    fixed = b"\0\1\0\0" + request.called + request.calling + bytes(32)
    user = stimuli.user_information(stimuli.maximum_length(), stimuli.implementation_class())
    return stimuli.pdu(0x02, fixed + stimuli.application_context() + context + user)


def octets_of(event: Event, request: stimuli.Request) -> bytes:
    """The PDU that causes the event."""
    return {
        Event.EVT3: answer_to(request),
        Event.EVT4: stimuli.REJECTION,
        Event.EVT6: request.encode(),
        Event.EVT10: stimuli.message(1, echo_rq(1)),
        Event.EVT12: stimuli.RELEASE_RQ,
        Event.EVT13: stimuli.RELEASE_RP,
        Event.EVT16: stimuli.ABORT,
        Event.EVT19: stimuli.UNKNOWN_PDU,
    }[event]


def cell_case(
    state: State,
    event: Event,
    role: Role,
    play: Play | None,
    allowed: tuple[str, ...] | None = None,
    *,
    stimulus: str = "",
    variant: str = "",
    tolerated: tuple[str, ...] = (),
    timing: bool = False,
    waits_artim: bool = False,
    undecidable: str = "",
    needs: tuple[str, ...] = (),
    note: str = "",
) -> Case:
    """The case of one cell; what is allowed follows from the cell's action unless it is given."""
    action = TRANSITIONS[event, state]
    return Case(
        id=f"ul.fsm.{state}.{event}" + (f".{variant}" if variant else ""),
        requirement=sentence(state, event, action),
        stimulus=stimulus or f"{PDU_OF_EVENT.get(event, event.meaning)} in {state} ({state.meaning})",
        clause=CLAUSE,
        level=Level.INFORMATIONAL if timing else Level.REQUIRED,
        role=role,
        allowed=EVIDENCE.get(action.name, ()) if allowed is None else allowed,
        tolerated=tolerated,
        play=play,
        needs=needs,
        probe=not undecidable and role is Role.ACCEPTOR,
        waits_artim=waits_artim,
        timing=timing,
        undecidable=undecidable,
        note=note,
    )


def sentence(state: State, event: Event, action: Action) -> str:
    """`Evt3 (...) in Sta2: AA-1, send A-ABORT PDU (service-user source), start ARTIM; then Sta13.`"""
    steps = ", ".join(step.value for step in action.steps) or "nothing"
    after = " or ".join(str(next_state) for next_state in action.next_states)
    return f"{event} ({event.meaning}) in {state}: {action.name}, {steps}; then {after}."
