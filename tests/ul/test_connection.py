"""The machine as its two neighbours see it: what it refuses, what it does with a broken stream, how it ends."""

from dataclasses import replace

import pytest

from dulcet.errors import DecodeError, LocalProtocolError
from dulcet.ul.connection import (
    Close,
    Connect,
    Connection,
    Indicate,
    IndicateProviderAbort,
    Send,
    StartArtim,
    StopArtim,
    Transition,
)
from dulcet.ul.items import ApplicationContext, MaximumLength, PresentationContextRQ, UserInformation
from dulcet.ul.negotiation import REJECTED_LOCAL_LIMIT, Supported, answer, propose
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF
from dulcet.ul.table import State

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
REQUEST = propose(
    called_ae_title="CALLED",
    calling_ae_title="CALLING",
    contexts=[PresentationContextRQ.propose(1, VERIFICATION, [IMPLICIT])],
    max_pdu_length=16384,
)
ACCEPT = answer(REQUEST, Supported(transfer_syntaxes={VERIFICATION: {IMPLICIT}}, max_pdu_length=16384))
assert isinstance(ACCEPT, AAssociateAC)
DATA = PDataTF(values=(PresentationDataValue(1, True, True, b"\0\0\0\0"),))
ABORT_BY_USER = Send((AAbort(source=0, reason=0).encode(),))


def listening(**options) -> Connection:
    """Sta2."""
    connection = Connection(is_requestor=False, **options)
    assert connection.transport_accepted() == (StartArtim(),)
    return connection


def asked(**options) -> Connection:
    """Sta5."""
    connection = Connection(is_requestor=True, **options)
    assert connection.send(REQUEST) == (Connect(),)
    assert connection.transport_connected() == (Send((REQUEST.encode(),)),)
    return connection


def established(*, is_requestor: bool, **options) -> Connection:
    """Sta6."""
    if is_requestor:
        connection = asked(**options)
        connection.receive(ACCEPT.encode())
    else:
        connection = listening(**options)
        connection.receive(REQUEST.encode())
        connection.send(ACCEPT)
    assert connection.state is State.STA6
    return connection


def provider_abort(reason: int) -> Send:
    return Send((AAbort(source=2, reason=reason).encode(),))


# The local user's faults --------------------------------------------------------------------------------------------


def test_a_request_that_is_refused_does_not_take_the_place_of_the_one_sent() -> None:
    """The answer is judged by the request that went out."""
    connection = asked()
    other = replace(REQUEST, items=(ApplicationContext(),))
    with pytest.raises(LocalProtocolError):
        connection.send(other)
    assert connection.request is REQUEST
    assert connection.receive(ACCEPT.encode()) == [Indicate(ACCEPT)]


@pytest.mark.parametrize("is_requestor", [True, False])
def test_a_request_in_an_association_changes_nothing(is_requestor: bool) -> None:
    connection = established(is_requestor=is_requestor)
    with pytest.raises(LocalProtocolError, match=r"Evt1 .* not defined in Sta6"):
        connection.send(replace(REQUEST, items=()))
    assert connection.request == REQUEST


UNENCODABLE = replace(REQUEST, protocol_version=1 << 16)


def test_a_request_that_cannot_be_encoded_is_refused_before_a_connection_is_opened() -> None:
    connection = Connection(is_requestor=True)
    with pytest.raises(ValueError, match="Table 9-11"):
        connection.send(UNENCODABLE)
    assert (connection.state, connection.request) == (State.STA1, None)
    assert connection.send(REQUEST) == (Connect(),)


def test_an_answer_that_cannot_be_encoded_leaves_the_machine_as_it_was() -> None:
    steps: list[Transition] = []
    connection = listening(on_transition=steps.append)
    connection.receive(REQUEST.encode())
    with pytest.raises(ValueError, match="Table 9-17"):
        connection.send(replace(ACCEPT, protocol_version=-1))
    with pytest.raises(ValueError, match="Table 9-21"):
        connection.send(AAssociateRJ(result=256, source=1, reason=1))
    assert connection.state is State.STA3
    assert len(steps) == 2
    assert connection.send(ACCEPT) == (Send((ACCEPT.encode(),)),)


@pytest.mark.parametrize("values", [(), (PresentationDataValue(256, True, True, b""),)])
def test_data_that_cannot_be_encoded_leaves_the_association_as_it_was(values) -> None:
    connection = established(is_requestor=True)
    with pytest.raises(ValueError, match="Table 9-22"):
        connection.send(PDataTF(values=values))
    assert connection.send(DATA) == (Send((DATA.encode()[:12], DATA.values[0].fragment)),)


def test_data_goes_out_as_views_of_what_was_given() -> None:
    connection = established(is_requestor=True)
    fragment = memoryview(bytearray(64))
    (effect,) = connection.send(PDataTF(values=(PresentationDataValue(1, False, False, fragment),)))
    assert isinstance(effect, Send)
    assert effect.buffers[1] is fragment


@pytest.mark.parametrize("source_and_reason", [(2, 6), (1, 1), (0, 77)])
def test_the_users_abort_goes_out_as_the_users(source_and_reason: tuple[int, int]) -> None:
    """AA-1: service-user source, and the reason is not significant."""
    connection = established(is_requestor=True)
    source, reason = source_and_reason
    assert connection.send(AAbort(source=source, reason=reason)) == (ABORT_BY_USER, StartArtim())


# AE-6: what the service-provider can't take -------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 2, 0xFFFE])
def test_a_version_without_bit_0_is_rejected_before_anybody_is_asked(version: int) -> None:
    seen: list[AAssociateRQ] = []
    connection = listening(refuse=seen.append)
    effects = connection.receive(replace(REQUEST, protocol_version=version).encode())
    rejection = AAssociateRJ(result=1, source=2, reason=2)
    assert effects == [StopArtim(), Send((rejection.encode(),)), StartArtim()]
    assert connection.state is State.STA13
    assert seen == []


def test_another_version_is_rejected_as_such_whatever_its_contexts_are() -> None:
    connection = listening()
    contexts = [PresentationContextRQ.propose(context_id, VERIFICATION, [IMPLICIT]) for context_id in (2, 2)]
    request = replace(REQUEST, protocol_version=2, items=(*REQUEST.items, *contexts))
    assert connection.receive(request.encode())[1] == Send((AAssociateRJ(result=1, source=2, reason=2).encode(),))


def test_refuse_sees_the_request_and_its_answer_goes_out() -> None:
    seen: list[AAssociateRQ] = []
    connection = listening(refuse=lambda request: seen.append(request) or REJECTED_LOCAL_LIMIT)
    effects = connection.receive(REQUEST.encode())
    assert effects == [StopArtim(), Send((REJECTED_LOCAL_LIMIT.encode(),)), StartArtim()]
    assert seen == [REQUEST] == [connection.request]
    with pytest.raises(LocalProtocolError):
        connection.send(ACCEPT)


def test_refuse_may_let_it_pass() -> None:
    connection = listening(refuse=lambda request: None)
    assert connection.receive(REQUEST.encode()) == [StopArtim(), Indicate(REQUEST)]
    assert connection.request == REQUEST


# Before an association: reliability of Sta2 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"\x09", id="unknown type, on its first octet"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n", id="HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
        pytest.param(bytes.fromhex("01 00 ffffffff"), id="A-ASSOCIATE-RQ of 4 GiB, on its header"),
        pytest.param(bytes.fromhex("01 00 00010001"), id="A-ASSOCIATE-RQ above our limit, on its header"),
        pytest.param(bytes.fromhex("01 00 00000000"), id="A-ASSOCIATE-RQ of length 0"),
        pytest.param(bytes.fromhex("01 00 00000028") + bytes(40), id="A-ASSOCIATE-RQ of length 40"),
        pytest.param(bytes.fromhex("05 00 00000005"), id="A-RELEASE-RQ of length 5, on its header"),
        pytest.param(REQUEST.encode().replace(b"\x20\0\0", b"\x20\0\1"), id="item beyond the PDU"),
        pytest.param(DATA.encode(), id="P-DATA-TF"),
        pytest.param(AReleaseRQ().encode(), id="A-RELEASE-RQ"),
        pytest.param(AReleaseRP().encode(), id="A-RELEASE-RP"),
        pytest.param(ACCEPT.encode(), id="A-ASSOCIATE-AC"),
        pytest.param(AAssociateRJ(result=1, source=1, reason=1).encode(), id="A-ASSOCIATE-RJ"),
        pytest.param(
            propose(
                called_ae_title="A",
                calling_ae_title="B",
                contexts=[PresentationContextRQ.propose(2, VERIFICATION, [IMPLICIT])],
                max_pdu_length=0,
            ).encode(),
            id="even context ID",
        ),
    ],
)
def test_what_is_no_request_is_aborted_at_once(octets: bytes) -> None:
    """AA-1: A-ABORT with service-user source; nothing waits for octets that may never come."""
    connection = listening()
    assert connection.receive(octets) == [ABORT_BY_USER, StartArtim()]
    assert connection.state is State.STA13


def test_the_fixed_part_of_a_request_cut_at_every_octet() -> None:
    whole = REQUEST.encode()
    for length in range(68):
        connection = listening()
        cut = b"\x01\0" + length.to_bytes(4, "big") + whole[6 : 6 + length]
        assert connection.receive(cut) == [ABORT_BY_USER, StartArtim()], length


def test_a_request_without_items_is_for_the_user_to_judge() -> None:
    connection = listening()
    empty = replace(REQUEST, items=())
    assert connection.receive(empty.encode()) == [StopArtim(), Indicate(empty)]


def test_a_request_that_is_not_whole_has_no_effect() -> None:
    whole = REQUEST.encode()
    connection = listening()
    for octet in whole[:-1]:
        assert connection.receive(bytes((octet,))) == []
    assert connection.state is State.STA2
    assert connection.pending_octets == len(whole) - 1
    assert connection.receive(whole[-1:]) == [StopArtim(), Indicate(REQUEST)]


def test_announcing_much_costs_the_peer_and_not_us() -> None:
    """100 MB after a header that promises 4 GiB: nothing of it is kept."""
    connection = listening()
    held = len(connection.receive_buffer())
    connection.receive(bytes.fromhex("01 00 ffffffff"))
    megabyte = bytes(1 << 20)
    for _ in range(100):
        assert connection.receive(megabyte) == []
        assert connection.pending_octets == 0
    assert len(connection.receive_buffer()) == held


# A stream that means nothing any more -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_requestor", [True, False])
def test_deaf_after_a_framing_error(is_requestor: bool) -> None:
    connection = established(is_requestor=is_requestor)
    effects = connection.receive(b"\x99")
    assert effects[0] == provider_abort(1)
    assert isinstance(effects[1], IndicateProviderAbort)
    assert effects[2:] == [StartArtim()]
    for octets in (AAbort().encode(), REQUEST.encode(), b"\x99" * 10, AReleaseRQ().encode()):
        assert connection.receive(octets) == []
    assert connection.transport_closed() == (StopArtim(),)
    assert connection.state is State.STA1


def test_octets_behind_a_framing_error_are_not_looked_at() -> None:
    connection = established(is_requestor=True)
    effects = connection.receive(b"\x99" + AAbort().encode())
    assert connection.state is State.STA13
    assert len(effects) == 3


def test_not_deaf_after_a_pdu_that_is_whole_and_wrong() -> None:
    """Its end is known, so an A-ABORT behind it is understood."""
    connection = established(is_requestor=True)
    wrong = bytes.fromhex("04 00 00000000")
    effects = connection.receive(wrong + AAbort().encode())
    assert effects[0] == provider_abort(6)
    assert effects[3:] == [StopArtim(), Close()]
    assert connection.state is State.STA1


@pytest.mark.parametrize("octets", [b"\x99", b"\x05\0\0\0\0\0", REQUEST.encode()], ids=["type", "length", "request"])
def test_in_sta13_what_is_wrong_is_answered_with_an_abort_and_no_timer(octets: bytes) -> None:
    """AA-7."""
    connection = established(is_requestor=True)
    connection.send(AAbort())
    (effect,) = connection.receive(octets)
    assert isinstance(effect, Send)
    assert effect.buffers[0][:9] == bytes.fromhex("07 00 00000004 00 00 02")
    assert connection.state is State.STA13


@pytest.mark.parametrize(
    "octets", [ACCEPT.encode(), AAssociateRJ(result=1, source=1, reason=1).encode(), DATA.encode(),
               AReleaseRQ().encode(), AReleaseRP().encode()]
)  # fmt: skip
def test_in_sta13_other_pdus_are_ignored(octets: bytes) -> None:
    connection = established(is_requestor=True)
    connection.send(AAbort())
    assert connection.receive(octets * 3) == []
    assert connection.state is State.STA13


def test_in_sta1_octets_are_forgotten() -> None:
    connection = established(is_requestor=True)
    connection.receive(AAbort().encode() + REQUEST.encode())
    assert connection.state is State.STA1
    assert connection.next_effects() is None
    assert connection.pending_octets == 0


def test_octets_before_the_connection_is_confirmed_are_the_shells_fault() -> None:
    connection = Connection(is_requestor=True)
    connection.send(REQUEST)
    with pytest.raises(LocalProtocolError, match=r"Evt3 .* not defined in Sta4"):
        connection.receive(ACCEPT.encode())


@pytest.mark.parametrize("is_requestor", [True, False])
def test_the_next_association_hears_again(is_requestor: bool) -> None:
    """A machine that is back in Sta1 may begin anew, on another transport connection."""
    connection = established(is_requestor=is_requestor)
    connection.receive(b"\x99")
    connection.transport_closed()
    if is_requestor:
        connection.send(REQUEST)
        connection.transport_connected()
        assert connection.receive(ACCEPT.encode()) == [Indicate(ACCEPT)]
    else:
        connection.transport_accepted()
        assert connection.receive(REQUEST.encode()) == [StopArtim(), Indicate(REQUEST)]


# The reason of an A-ABORT -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "reason", "text"),
    [
        ("00", 1, "PS3.8 9.3.1 PDU pdu_type: type 00H is not a PDU type"),
        ("ff", 1, "PS3.8 9.3.1 PDU pdu_type: type FFH is not a PDU type"),
        (REQUEST.encode().hex(), 2, "PS3.8 Table 9-10 A-ASSOCIATE-RQ: not expected in Sta6"),
        (ACCEPT.encode().hex(), 2, "PS3.8 Table 9-10 A-ASSOCIATE-AC: not expected in Sta6"),
        ("03 00 00000004 00010101", 2, "PS3.8 Table 9-10 A-ASSOCIATE-RJ: not expected in Sta6"),
        ("06 00 00000004 00000000", 2, "PS3.8 Table 9-10 A-RELEASE-RP: not expected in Sta6"),
        ("05 00 00000000", 6, "PS3.8 9.3.1 A-RELEASE-RQ pdu_length: 0 octets announced, exactly 4 expected"),
        ("07 00 00000005", 6, "PS3.8 9.3.1 A-ABORT pdu_length: 5 octets announced, exactly 4 expected"),
        ("04 00 00020001", 6, "PS3.8 9.3.1 P-DATA-TF pdu_length: 131073 octets announced, at most 131072 expected"),
        ("04 00 00000000", 6, "Table 9-22 values: no Presentation-data-value Item"),
        ("04 00 00000005 00000001 01", 6, "Table 9-23 message_control_header: the octets end before it does"),
        ("04 00 00000006 80000002 01 03", 6, "Table 9-23 item_length: 2147483650 octets promised, 2 present"),
        ("02 00 00000001 00", 6, "Table 9-17 protocol_version: the octets end before it does"),
    ],
)
def test_the_reason_and_the_cause(octets: str, reason: int, text: str) -> None:
    connection = established(is_requestor=True)
    sent, indicated, timer = connection.receive(bytes.fromhex(octets))
    assert sent == provider_abort(reason)
    assert isinstance(indicated, IndicateProviderAbort)
    assert str(indicated.cause).startswith(text)
    assert timer == StartArtim()


@pytest.mark.parametrize("reason", [1, 2, 4, 5, 6])
def test_the_layer_above_chooses_the_reason_of_what_only_it_can_see(reason: int) -> None:
    connection = established(is_requestor=False)
    cause = DecodeError("what only DIMSE can see", abort_reason=reason)
    assert connection.reject_received(cause) == (provider_abort(reason), IndicateProviderAbort(cause), StartArtim())


def test_an_answer_is_judged_by_the_request_only_while_it_is_awaited() -> None:
    connection = asked()
    foreign = replace(ACCEPT, items=(ApplicationContext(name="1.2.3"), *ACCEPT.items[1:]))
    effects = connection.receive(foreign.encode())
    assert effects[0] == provider_abort(6)
    connection = established(is_requestor=True)
    assert connection.receive(foreign.encode())[0] == provider_abort(2)


def test_deviations_come_with_the_indication() -> None:
    connection = listening()
    user = UserInformation(sub_items=(MaximumLength(maximum_length_received=0),))
    padded = replace(REQUEST, items=(ApplicationContext(name="1.2.840.10008.3.1.1.1\0"), REQUEST.items[1], user))
    _, indicated = connection.receive(padded.encode())
    assert isinstance(indicated, Indicate)
    assert [deviation.clause for deviation in indicated.deviations] == ["PS3.8 Annex F"]
    assert isinstance(indicated.pdu, AAssociateRQ)
    assert indicated.pdu.application_context_name == "1.2.840.10008.3.1.1.1"


# Release collision, PS3.8 7.2.2.7 -----------------------------------------------------------------------------------


def test_release_collision_between_two_of_us() -> None:
    requestor, acceptor = established(is_requestor=True), established(is_requestor=False)
    asked_by_requestor, asked_by_acceptor = requestor.send(AReleaseRQ()), acceptor.send(AReleaseRQ())
    assert carry(asked_by_acceptor, requestor) == [Indicate(AReleaseRQ())]
    assert carry(asked_by_requestor, acceptor) == [Indicate(AReleaseRQ())]
    assert (requestor.state, acceptor.state) == (State.STA9, State.STA10)
    with pytest.raises(LocalProtocolError):
        acceptor.send(AReleaseRP())
    assert carry(requestor.send(AReleaseRP()), acceptor) == [Indicate(AReleaseRP())]
    assert (requestor.state, acceptor.state) == (State.STA11, State.STA12)
    answered = acceptor.send(AReleaseRP())
    assert answered[1:] == (StartArtim(),)
    assert carry(answered[:1], requestor) == [Indicate(AReleaseRP()), Close()]
    assert acceptor.transport_closed() == (StopArtim(),)
    assert (requestor.state, acceptor.state) == (State.STA1, State.STA1)


def carry(effects, to: Connection) -> list[object]:
    """What the other side does with what was sent."""
    (sent,) = effects
    return to.receive(b"".join(sent.buffers))


def test_data_still_comes_after_a_release_was_asked_for() -> None:
    connection = established(is_requestor=True)
    connection.send(AReleaseRQ())
    assert connection.receive(DATA.encode() * 2) == [Indicate(DATA), Indicate(DATA)]
    assert connection.receive(AReleaseRP().encode()) == [Indicate(AReleaseRP()), Close()]


def test_data_may_still_go_out_before_a_release_is_answered() -> None:
    connection = established(is_requestor=False)
    connection.receive(AReleaseRQ().encode())
    assert isinstance(connection.send(DATA)[0], Send)
    assert connection.send(AReleaseRP()) == (Send((AReleaseRP().encode(),)), StartArtim())
    with pytest.raises(LocalProtocolError):
        connection.send(DATA)


# Octets in, one PDU at a time ---------------------------------------------------------------------------------------


def test_the_answer_to_one_pdu_can_go_out_before_the_next_is_looked_at() -> None:
    connection = listening()
    octets = REQUEST.encode() + DATA.encode()
    connection.receive_buffer()[: len(octets)] = octets
    connection.received(len(octets))
    assert connection.next_effects() == (StopArtim(), Indicate(REQUEST))
    connection.send(ACCEPT)
    assert connection.next_effects() == (Indicate(DATA),)
    assert connection.next_effects() is None


@pytest.mark.parametrize("max_pdu_length", [0, 7])
def test_a_maximum_that_can_carry_nothing_is_refused(max_pdu_length: int) -> None:
    with pytest.raises(ValueError, match="can carry nothing"):
        Connection(is_requestor=True, max_pdu_length=max_pdu_length)


@pytest.mark.parametrize("effect", ["transport_connected", "transport_accepted", "artim_expired"])
def test_what_did_not_happen_is_refused(effect: str) -> None:
    connection = established(is_requestor=True)
    with pytest.raises(LocalProtocolError):
        getattr(connection, effect)()
    assert connection.state is State.STA6
