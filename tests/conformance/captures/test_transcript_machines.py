"""Events, actions and states of both machines: recorded conversations, and what must hold of every step."""

from pathlib import Path

import pytest

from dulcet.conformance.captures.machines import RECEIVED, SENT, Machines, Side
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.transcript import PDURecord, TransportEvent
from dulcet.ul.pdu import AAbort, AAssociateRJ, AReleaseRP, AReleaseRQ
from dulcet.ul.table import TRANSITIONS, Event, State, Step

TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT
REQUESTOR, ACCEPTOR = Side.REQUESTOR, Side.ACCEPTOR
CAPTURES = sorted(path.stem for path in (Path(__file__).parents[2] / "captures").glob("*.pcap"))


def ladder(stream):
    """`name: requestor's step | acceptor's step` of everything that moved a machine."""
    lines = []
    for entry in stream.entries:
        name = entry.name if isinstance(entry, PDURecord) else getattr(entry, "what", "no PDU")
        steps = {step.side: _show(step) for step in getattr(entry, "steps", ())}
        if steps:
            lines.append(f"{name}: {steps.get(REQUESTOR, '')} | {steps.get(ACCEPTOR, '')}")
    return lines


def _show(step):
    action = "blank" if step.action is None else step.action.name
    return f"{step.event}{'*' if step.is_inferred else ''} {action} {step.new_state}"


ESTABLISHED = [
    "open: Evt1 AE-1 Sta4 | Evt5 AE-5 Sta2",
    "A-ASSOCIATE-RQ: Evt2 AE-2 Sta5 | Evt6 AE-6 Sta3",
    "A-ASSOCIATE-AC: Evt3 AE-3 Sta6 | Evt7 AE-7 Sta6",
]
ECHOED = [
    *ESTABLISHED,
    "P-DATA-TF: Evt9 DT-1 Sta6 | Evt10 DT-2 Sta6",
    "P-DATA-TF: Evt10 DT-2 Sta6 | Evt9 DT-1 Sta6",
]
RELEASED = [
    "A-RELEASE-RQ: Evt11 AR-1 Sta7 | Evt12 AR-2 Sta8",
    "A-RELEASE-RP: Evt13 AR-3 Sta1 | Evt14 AR-4 Sta13",
]
RECORDED = {
    "echo__dcmtk-echoscu__orthanc": [*ECHOED, *RELEASED, "FIN:  | Evt17 AR-5 Sta1"],
    "release-collision__pynetdicom__raw": [
        *ECHOED,
        "A-RELEASE-RQ: Evt11 AR-1 Sta7 | Evt12 AR-8 Sta10",
        "A-RELEASE-RQ: Evt12 AR-8 Sta9 | Evt11 AR-1 Sta7",
        "A-RELEASE-RP: Evt14 AR-9 Sta11 | Evt13 AR-10 Sta12",
        "A-RELEASE-RP: Evt13 AR-3 Sta1 | Evt14 AR-4 Sta13",
        "FIN:  | Evt17 AR-5 Sta1",
    ],
    "release-by-acceptor__pynetdicom__pynetdicom": [
        *ECHOED,
        "A-RELEASE-RQ: Evt12 AR-2 Sta8 | Evt11 AR-1 Sta7",
        "A-RELEASE-RP: Evt14 AR-4 Sta13 | Evt13 AR-3 Sta1",
        "FIN: Evt17* AR-5 Sta1 | ",
    ],
    "reject-protocol-version__raw__pynetdicom": [
        "open: Evt1 AE-1 Sta4 | Evt5 AE-5 Sta2",
        "A-ASSOCIATE-RQ: Evt2 AE-2 Sta5 | Evt6 AE-6 Sta13",
        "A-ASSOCIATE-RJ: Evt4 AE-4 Sta1 | ",
        "FIN:  | Evt17* AR-5 Sta1",
    ],
    "reject-called-ae__pynetdicom__dcmtk-dcmqrscp": [
        "open: Evt1 AE-1 Sta4 | Evt5 AE-5 Sta2",
        "A-ASSOCIATE-RQ: Evt2 AE-2 Sta5 | Evt6 AE-6 Sta3",
        "A-ASSOCIATE-RJ: Evt4 AE-4 Sta1 | Evt8 AE-8 Sta13",
        "FIN:  | Evt17* AR-5 Sta1",
    ],
    "abort-bad-pdv__raw__pynetdicom": [
        *ESTABLISHED,
        "P-DATA-TF: Evt9 DT-1 Sta6 | Evt19 AA-8 Sta13",
        "A-ABORT: Evt16 AA-3 Sta1 | ",
        "FIN:  | Evt17* AR-5 Sta1",
    ],
    "abort-provider-garbage__raw__orthanc": [
        *ESTABLISHED,
        "no PDU:  | Evt19 AA-8 Sta13",
        "A-ABORT: Evt16 AA-3 Sta1 | ",
        "RST:  | Evt17* AR-5 Sta1",
    ],
    "abort-unexpected-pdu__raw__dcmtk-storescp": [
        "open: Evt1 AE-1 Sta4 | Evt5 AE-5 Sta2",
        "P-DATA-TF: Evt9 blank Sta4 | Evt10 AA-1 Sta13",
        "RST: Evt17 AA-4 Sta1 | Evt17* AR-5 Sta1",
    ],
    "timeout-artim__raw__pynetdicom": [
        "open: Evt1 AE-1 Sta4 | Evt5 AE-5 Sta2",
        "FIN: Evt17 AA-4 Sta1 | Evt18* AA-2 Sta1",
    ],
    "connection-lost__raw__dcmtk-storescp": [
        *ESTABLISHED,
        "P-DATA-TF: Evt9 DT-1 Sta6 | Evt10 DT-2 Sta6",
        "FIN: Evt17* AA-4 Sta1 | Evt17 AR-5 Sta1",
        "A-ABORT:  | Evt15 AA-1 Sta13",  # sent before the end of the connection was looked at
    ],
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded(recording, name):
    assert ladder(recording(name).transcript.streams[0]) == RECORDED[name]


@pytest.mark.parametrize("name", CAPTURES)
def test_each_step_is_a_cell_of_the_table_and_begins_where_the_last_ended(recording, name):
    for stream in recording(name).transcript.streams:
        steps = [step for entry in stream.entries for step in getattr(entry, "steps", ())]
        for step in steps:
            assert step.action is TRANSITIONS.get((step.event, step.state))
            assert step.new_state in ((step.state,) if step.action is None else step.action.next_states)
        for side in Side:
            _follow([step for step in steps if step.side is side])


def _follow(steps):
    """The steps of one machine are one path from Sta1; a step that crossed another one comes after it."""
    state, early = State.STA1, []
    for step in steps:
        early.append(step)
        while (found := next((each for each in early if each.state is state), None)) is not None:
            early.remove(found)
            state = found.new_state
    assert early == []


@pytest.mark.parametrize("name", CAPTURES)
def test_real_peers_are_not_blamed_for_what_is_right(recording, name):
    """Only the scripted peer, and those who were seen to, departed from the standard."""
    wrong = [
        (entry, deviation)
        for stream in recording(name).transcript.streams
        for entry in stream.entries
        for deviation in getattr(entry, "deviations", ())
    ]
    assert bool(wrong) == (name in DEVIATING), [deviation.explanation for _, deviation in wrong]


DEVIATING = {
    "abort-garbage-first__raw__pynetdicom": "goes on sending A-ABORT on a closed connection",
    "abort-scu-mid__dcmjs-dimse__dcmtk-storescp": "sends a P-DATA-TF after its A-ABORT",
    "abort-unexpected-pdu__raw__dcm4che-storescp": "P-DATA-TF before association",
    "abort-unexpected-pdu__raw__dcmjs-dimse": "P-DATA-TF before association",
    "abort-unexpected-pdu__raw__dcmtk-storescp": "P-DATA-TF before association",
    "abort-unexpected-pdu__raw__pynetdicom": "P-DATA-TF before association",
    "connection-lost__raw__dcmtk-storescp": "closes in the middle of a PDU",
    "no-acceptable-context__dcmtk-findscu__dcmtk-storescp": "closes when no context was accepted",
    "reject-application-context__raw__dcmtk-storescp": "another application context",
    "reject-application-context__raw__pynetdicom": "another application context",
    "reject-protocol-version__raw__dcmtk-storescp": "protocol version 2",
    "reject-protocol-version__raw__pynetdicom": "protocol version 2",
    "release-collision__dcmtk-echoscu__raw": "closes in a release collision",
    "release-collision__pynetdicom__pynetdicom": "closes in a release collision",
    "release-collision__raw__pynetdicom": "closes in a release collision",
    "timeout-assoc-response__dcmtk-echoscu__raw": "closes when no answer comes",
    "tls-plain-mismatch__dcmtk-echoscu__pynetdicom": "resets a connection that doesn't speak TLS",
    "user-identity__dcmtk-storescu__pynetdicom": "closes when its identity is not confirmed",
}


# Made-up conversations ----------------------------------------------------------------------------------------------


class Talk:
    """Two machines that are told what went over the wire."""

    def __init__(self):
        self.machines = Machines()
        self.entry = 0
        self.time = 0
        self.machines.connected(0, 0, is_accepted=True)

    def say(self, sender, pdu_type, **how):
        self.entry += 1
        self.time += how.pop("seconds", 0) * 1_000_000_000
        return self.machines.pdu(self.entry, self.time, sender, pdu_type, **how)

    def close(self, side, seconds=0):
        self.entry += 1
        self.time += seconds * 1_000_000_000
        return self.machines.closed(self.entry, self.time, side)

    def established(self):
        self.say(REQUESTOR, 1)
        self.say(ACCEPTOR, 2)
        return self

    def steps(self, entry=None):
        return [
            f"{step.side.value} {_show(step)}" for step in self.machines.steps(self.entry if entry is None else entry)
        ]


def test_each_pdu_type_is_two_events():
    assert set(SENT) == set(RECEIVED) == set(range(1, 8))
    assert [str(SENT[number]) for number in range(1, 8)] == ["Evt1", "Evt7", "Evt8", "Evt9", "Evt11", "Evt14", "Evt15"]
    assert [RECEIVED[n] for n in (1, 2, 3)] == [Event.EVT6, Event.EVT3, Event.EVT4]


def test_release_requests_that_cross_are_both_sent_in_sta6():
    talk = Talk().established()
    talk.say(REQUESTOR, AReleaseRQ.PDU_TYPE)
    assert talk.steps() == ["requestor Evt11 AR-1 Sta7", "acceptor Evt12 AR-2 Sta8"]
    assert talk.say(ACCEPTOR, AReleaseRQ.PDU_TYPE) is None
    assert talk.steps(3) == ["requestor Evt11 AR-1 Sta7", "acceptor Evt12 AR-8 Sta10"]
    assert talk.steps(4) == ["requestor Evt12 AR-8 Sta9", "acceptor Evt11 AR-1 Sta7"]


def test_data_on_its_way_when_an_abort_comes():
    talk = Talk().established()
    talk.say(ACCEPTOR, AAbort.PDU_TYPE)
    assert talk.say(REQUESTOR, 4) is None
    assert talk.steps(3) == ["requestor Evt16 AA-3 Sta1", "acceptor Evt15 AA-1 Sta13"]
    assert talk.steps(4) == ["requestor Evt9 DT-1 Sta6", "acceptor Evt10 AA-6 Sta13"]


def test_one_answer_can_not_cross_twice():
    talk = Talk().established()
    talk.say(ACCEPTOR, AAbort.PDU_TYPE)
    talk.say(REQUESTOR, 4)
    assert "sent in Sta1" in talk.say(REQUESTOR, 4).explanation


def test_a_peer_that_goes_on_instead_of_aborting():
    talk = Talk().established()
    talk.say(REQUESTOR, 4, is_valid=False)
    assert talk.steps() == ["requestor Evt9 DT-1 Sta6", "acceptor Evt19 AA-8 Sta13"]
    deviation = talk.say(ACCEPTOR, 4)
    assert deviation.clause == "PS3.8 Table 9-10"
    assert deviation.explanation == "an A-ABORT was to be sent in Sta6, and the association went on instead"
    assert talk.steps() == ["requestor Evt10 DT-2 Sta6", "acceptor Evt9 DT-1 Sta6"]
    assert talk.say(REQUESTOR, AReleaseRQ.PDU_TYPE) is None


def test_the_abort_that_was_owed_is_no_event_of_its_sender():
    talk = Talk().established()
    talk.say(REQUESTOR, 4, is_valid=False)
    assert talk.say(ACCEPTOR, AAbort.PDU_TYPE, source=2) is None
    assert talk.steps() == ["requestor Evt16 AA-3 Sta1"]


def test_an_abort_of_the_provider_without_a_cause_that_we_see():
    talk = Talk().established()
    assert talk.say(ACCEPTOR, AAbort.PDU_TYPE, source=2) is None
    assert talk.steps() == ["requestor Evt16 AA-3 Sta1", "acceptor Evt19* AA-8 Sta13"]


@pytest.mark.parametrize(("source", "expected"), [(1, "Evt8 AE-8 Sta13"), (2, None), (3, None)])
def test_who_rejects(source, expected):
    talk = Talk()
    talk.say(REQUESTOR, 1, is_acceptable=source == 1)
    assert talk.steps()[1] == f"acceptor Evt6 AE-6 {'Sta3' if source == 1 else 'Sta13'}"
    assert talk.say(ACCEPTOR, AAssociateRJ.PDU_TYPE, source=source) is None
    assert talk.steps() == ["requestor Evt4 AE-4 Sta1", *([f"acceptor {expected}"] if expected else [])]


def test_a_provider_that_had_to_reject_and_accepts():
    talk = Talk()
    talk.say(REQUESTOR, 1, is_acceptable=False)
    assert "sent in Sta13" in talk.say(ACCEPTOR, 2).explanation


@pytest.mark.parametrize("seconds", [0, 30])
def test_an_idle_connection_is_closed_by_the_timer(seconds):
    talk = Talk()
    assert talk.close(ACCEPTOR, seconds) is None
    assert talk.steps() == ["requestor Evt17 AA-4 Sta1", "acceptor Evt18* AA-2 Sta1"]


@pytest.mark.parametrize(("seconds", "event"), [(0, "Evt17* AR-5"), (30, "Evt18* AA-2")])
def test_who_waits_for_the_close_ends_by_it_or_by_the_timer(seconds, event):
    talk = Talk().established()
    talk.say(REQUESTOR, AReleaseRQ.PDU_TYPE)
    talk.say(ACCEPTOR, AReleaseRP.PDU_TYPE)
    assert talk.close(ACCEPTOR, seconds) is None
    assert talk.steps() == [f"acceptor {event} Sta1"]


def test_closing_an_association_is_against_the_table():
    talk = Talk().established()
    assert talk.close(REQUESTOR).explanation.startswith("closed in Sta6")
    assert talk.steps() == ["requestor Evt17* AA-4 Sta1", "acceptor Evt17 AA-4 Sta1"]
    assert talk.close(ACCEPTOR) is None
    assert talk.steps() == []


def test_a_connection_that_nobody_accepted():
    machines = Machines()
    machines.connected(0, 0, is_accepted=False)
    machines.closed(1, 0, ACCEPTOR)
    assert [_show(step) for step in machines.steps(0)] == ["Evt1 AE-1 Sta4"]
    assert [_show(step) for step in machines.steps(1)] == ["Evt17 AA-4 Sta1"]


@pytest.mark.parametrize(
    ("pdu_type", "steps"),
    [
        (1, ["requestor Evt2 AE-2 Sta5", "acceptor Evt6 AE-6 Sta3"]),
        (4, ["requestor Evt9 DT-1 Sta6", "acceptor Evt10 DT-2 Sta6"]),
        (5, ["requestor Evt11 AR-1 Sta7", "acceptor Evt12 AR-2 Sta8"]),
        (6, ["requestor Evt14 AR-4 Sta13", "acceptor Evt13 AR-3 Sta1"]),
        (7, ["requestor Evt15 AA-1 Sta13", "acceptor Evt16 AA-3 Sta1"]),
    ],
)
def test_the_states_of_a_conversation_that_was_joined_late(pdu_type, steps):
    machines = Machines()
    assert machines.closed(0, 0, REQUESTOR) is None
    assert machines.pdu(1, 0, REQUESTOR, pdu_type) is None
    assert [f"{step.side.value} {_show(step)}" for step in machines.steps(1)] == steps


@pytest.mark.parametrize("pdu_type", [2, 3])
def test_the_answer_of_a_conversation_that_was_joined_late(pdu_type):
    machines = Machines()
    assert machines.pdu(1, 0, ACCEPTOR, pdu_type, source=1) is None
    assert {step.state for step in machines.steps(1)} == {State.STA5, State.STA3}


def test_every_cell_that_a_received_pdu_can_meet():
    """From every state, each PDU type: the receiver does what Table 9-10 says, or nothing where it is blank."""
    for state in State:
        for pdu_type, event in RECEIVED.items():
            machines = Machines()
            machines._is_known = True
            receiver = machines._machines[ACCEPTOR]
            receiver.state = state
            machines.pdu(1, 0, REQUESTOR, pdu_type)
            steps = [step for step in machines.steps(1) if step.side is ACCEPTOR]
            action = TRANSITIONS.get((event, state))
            assert [step.action for step in steps] == ([] if action is None else [action])
            assert receiver.state in ((state,) if action is None else action.next_states)


def test_every_cell_that_a_sent_pdu_can_come_from():
    """From every state, each PDU type: an action that sends it, or a deviation."""
    for state in State:
        for pdu_type in SENT:
            machines = Machines()
            machines._is_known = True
            machines._machines[REQUESTOR].state = state
            deviation = machines.pdu(1, 0, REQUESTOR, pdu_type)
            (step,) = (step for step in machines.steps(1) if step.side is REQUESTOR)
            assert (deviation is None) == (step.action is not None and bool(_sending(step.action, pdu_type)))


def _sending(action, pdu_type):
    names = {5: "SEND_RELEASE_RQ", 6: "SEND_RELEASE_RP"}
    aborts = {Step.SEND_ABORT, Step.SEND_ABORT_USER, Step.SEND_ABORT_PROVIDER}
    wanted = aborts if pdu_type == 7 else {Step[names.get(pdu_type, "SEND")]}
    return wanted.intersection(action.steps)


def test_transport_events_are_in_the_transcript(recording):
    (stream,) = recording("echo__dcmtk-echoscu__orthanc").transcript.streams
    events = [entry for entry in stream.entries if isinstance(entry, TransportEvent)]
    assert [(event.what, event.direction) for event in events] == [
        ("open", TO_SERVER),
        ("FIN", TO_SERVER),
        ("FIN", TO_CLIENT),
    ]
