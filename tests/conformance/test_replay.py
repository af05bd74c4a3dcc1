"""A side of a capture played against a scripted peer: what is sent when, and what is told of the answers."""

from pathlib import Path

import pytest
import trio
import trio.testing

from dulcet.conformance.captures.build import read_capture
from dulcet.conformance.captures.machines import Side
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.transcript import PDURecord, TransportEvent
from dulcet.conformance.replay import Player
from dulcet.conformance.replay_compare import compare
from dulcet.conformance.replay_script import END, NO_PDU, Close, Hear, Say, UnitReader, script
from dulcet.dimse.messages import CEchoRSP
from dulcet.errors import NotDICOMError
from dulcet.ul.items import (
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextAC,
    UserInformation,
)
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, PDataTF, decode_pdu

CAPTURES = Path(__file__).parents[1] / "captures"
ECHO = "echo__dcmtk-echoscu__dcmtk-dcmrecv"
NAMES = sorted(path.stem for path in CAPTURES.glob("*.pcap"))
SECONDS = 5


def stream_of(name, number=0):
    key_file = CAPTURES / f"{name}.keylog"
    key_log = key_file.read_bytes() if key_file.exists() else b""
    return read_capture(name, (CAPTURES / f"{name}.pcap").read_bytes(), key_log).streams[number]


def octets_of(stream, direction):
    return [bytes(pdu.octets) for pdu in stream.pdus if pdu.direction is direction]


class Counterpart:
    """The other side: waits for as many octets as were captured, then says what was captured, or what it is told to."""

    def __init__(self, stream, ours, change=lambda octets: octets):
        self.near, self.far = trio.testing.memory_stream_pair()
        self.heard = bytearray()
        self._stream = stream
        self._ours = ours
        self._change = change

    async def run(self):
        expected = 0
        for entry in self._stream.entries:
            if getattr(entry, "direction", self._ours) is self._ours:
                expected += len(entry.octets) if isinstance(entry, PDURecord) else 0
                continue
            while len(self.heard) < expected:
                octets = await self.far.receive_some()
                if not octets:
                    return
                self.heard += octets
            if isinstance(entry, TransportEvent):
                if entry.what == "open":
                    continue
                await self.far.send_eof()
                break
            octets = self._change(bytes(entry.octets))
            if octets is not None:
                await self.far.send_all(octets)
        while octets := await self.far.receive_some():
            self.heard += octets
        await self.far.aclose()


async def play(stream, side, change=lambda octets: octets, seconds=SECONDS, **titles):
    ours = Direction.TO_SERVER if side is Side.REQUESTOR else Direction.TO_CLIENT
    counterpart = Counterpart(stream, ours, change)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(counterpart.run)
        result = await Player(script(stream, side, **titles), counterpart.near, seconds).run()
        nursery.cancel_scope.cancel()
    return result, bytes(counterpart.heard)


PLAYABLE = (
    "async-ops__dcm4che-storescu__dcm4che-storescp",
    "contexts-128__pynetdicom__dcmtk-storescp",
    "echo__dcmtk-echoscu__dcmtk-dcmrecv",
    "find-3__dcmtk-findscu__dcmtk-dcmqrscp",
    "find-cancel__pynetdicom__pynetdicom",
    "get__dcmtk-getscu__dcmtk-dcmqrscp",
    "max-pdu-tiny__dcmtk-storescu__dcmtk-storescp",
    "multi-pdv-in-pdu__raw__dcmtk-storescp",
    "n-services__pynetdicom__pynetdicom",
    "reject-called-ae__pynetdicom__dcmtk-dcmqrscp",
    "release-collision__raw__pynetdicom",
    "reserved-nonzero__raw__dcmtk-storescp",
    "store-many__pynetdicom__dcmtk-dcmrecv",
    "user-identity__dcm4che-storescu__pynetdicom",
)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("name", PLAYABLE)
async def test_a_capture_against_itself_is_equal(name, side, autojump_clock):
    """Both sides of it; every octet of the played side is sent, and as it was."""
    stream = stream_of(name)
    result, heard = await play(stream, side)
    ours = Direction.TO_SERVER if side is Side.REQUESTOR else Direction.TO_CLIENT
    assert result.why_ended == ""
    assert [answer.differences for answer in result.answers if answer.captured.name != END] == [()] * sum(
        answer.captured.name != END for answer in result.answers
    )
    assert heard == b"".join(octets_of(stream, ours))
    assert result.is_equal
    assert result.left == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_side_of_every_capture_has_a_script(name):
    """All octets of the played side are in it, and all whole units of the other one."""
    for stream in read_capture(name, (CAPTURES / f"{name}.pcap").read_bytes()).streams:
        for side in Side:
            if stream.problem or not (stream.pdus or stream.tails):
                with pytest.raises(NotDICOMError):
                    script(stream, side)
                continue
            moves = script(stream, side).moves
            rq = next((pdu.direction for pdu in stream.pdus if pdu.pdu_type == 1), Direction.TO_SERVER)
            ours = rq if side is Side.REQUESTOR else rq.opposite
            said = b"".join(move.octets() for move in moves if isinstance(move, Say))
            tails = [tail for tail in stream.tails if tail.direction is ours]
            assert said[: -sum(tail.length for tail in tails) or None] == b"".join(octets_of(stream, ours))
            assert sum(len(move.octets()) for move in moves if isinstance(move, Say) and move.name == NO_PDU) == sum(
                tail.length for tail in tails
            )
            assert sum(isinstance(move, Close) for move in moves) <= 1


def changed_status(octets):
    """Every C-ECHO-RSP becomes one of 0122H."""
    pdu = decode_pdu(octets).pdu
    if not isinstance(pdu, PDataTF):
        return octets
    answer = CEchoRSP(message_id_being_responded_to=1, status=0x0122, affected_sop_class_uid="1.2.840.10008.1.1")
    (value,) = pdu.values
    return PDataTF(values=(value._replace(fragment=answer.encode()),)).encode()


async def test_another_status_is_a_difference_and_the_play_goes_on(autojump_clock):
    result, _ = await play(stream_of(ECHO), Side.REQUESTOR, changed_status)
    echoes = [answer for answer in result.answers if answer.captured.name == "C-ECHO-RSP"]
    assert [difference.field for difference in echoes[0].differences] == ["Status (0000,0900)"]
    assert echoes[0].differences[0].captured == "0000H"
    assert echoes[0].differences[0].observed == "0122H"
    assert [difference.field for difference in echoes[1].differences] == [
        "MessageIDBeingRespondedTo (0000,0120)",
        "Status (0000,0900)",
    ]
    assert not result.is_equal
    assert result.why_ended == ""
    assert result.left == 0


def answer_with(change):
    """Changes the A-ASSOCIATE-AC, a dataclass of it."""

    def apply(octets):
        pdu = decode_pdu(octets).pdu
        return change(pdu).encode() if isinstance(pdu, AAssociateAC) else octets

    return apply


def rebuilt(pdu, *user_items, items=None):
    kept = [item for item in pdu.items if not isinstance(item, UserInformation)] if items is None else items
    return AAssociateAC(
        called_ae_title=pdu.called_ae_title,
        calling_ae_title=pdu.calling_ae_title,
        reserved=b"\7" * 32,
        items=(*kept, UserInformation(sub_items=user_items)),
    )


async def test_what_is_an_implementation_s_own_is_told_apart(autojump_clock):
    """Name, UID and maximum length, the order of user items, reserved octets: equal all the same."""

    def change(pdu):
        return rebuilt(
            pdu,
            ImplementationVersionName(name="OTHER"),
            ImplementationClassUID(uid="1.2.3"),
            MaximumLength(maximum_length_received=32768),
        )

    result, _ = await play(stream_of(ECHO), Side.REQUESTOR, answer_with(change))
    (accepted, *_) = result.answers
    assert all(difference.nature for difference in accepted.differences)
    fields = " | ".join(difference.field for difference in accepted.differences)
    for expected in ("Implementation Version Name", "Implementation Class UID", "Maximum Length", "order of items"):
        assert expected in fields
    assert "reserved" in fields
    assert result.is_equal


async def test_a_context_that_is_refused_ends_the_play_with_an_abort(autojump_clock):
    def change(pdu):
        contexts = [PresentationContextAC.answer(each.context_id, 3, "") for each in pdu.presentation_contexts]
        return rebuilt(pdu, *pdu.user_items, items=(pdu.items[0], *contexts))

    result, heard = await play(stream_of(ECHO), Side.REQUESTOR, answer_with(change))
    assert result.why_ended == "the capture goes on in context 1, which the peer did not accept"
    assert any(
        difference.field == "Presentation Context Item 1 / result" for difference in result.answers[0].differences
    )
    assert not result.is_equal
    assert result.left == 5
    assert heard.endswith(AAbort().encode())


async def test_a_rejection_where_the_capture_has_none_ends_the_play(autojump_clock):
    def change(octets):
        rejected = AAssociateRJ(result=1, source=1, reason=7).encode()
        return rejected if octets[0] == 2 else None

    result, _ = await play(stream_of(ECHO), Side.REQUESTOR, change)
    assert result.why_ended == "the peer's answer was A-ASSOCIATE-RJ where the capture has A-ASSOCIATE-AC"
    assert result.sent == 1


async def test_silence_is_told_after_the_time_allowed(autojump_clock):
    began = trio.current_time()
    result, _ = await play(
        stream_of(ECHO), Side.REQUESTOR, lambda octets: octets if octets[0] == 2 else None, seconds=SECONDS
    )
    assert result.why_ended == "the peer said nothing for 5 s where the capture has C-ECHO-RSP"
    assert result.answers[-1].observed is None
    assert SECONDS <= trio.current_time() - began <= SECONDS + 2


async def test_titles_are_replaced_and_nothing_else(autojump_clock):
    stream = stream_of(ECHO)
    _, heard = await play(stream, Side.REQUESTOR, called="OTHER", calling="ME")
    captured = b"".join(octets_of(stream, Direction.TO_SERVER))
    assert heard[10:42] == b"OTHER           ME              "
    assert heard[:10] + heard[42:] == captured[:10] + captured[42:]


async def test_the_acceptor_returns_what_the_request_of_today_has(autojump_clock):
    """PS3.8 Table 9-17: octets 11 to 74 of the A-ASSOCIATE-AC are those of the A-ASSOCIATE-RQ."""

    def change(octets):
        return octets[:10] + b"A" * 64 + octets[74:] if octets[0] == 1 else octets

    result, heard = await play(stream_of(ECHO), Side.ACCEPTOR, change)
    assert heard[10:74] == b"A" * 64
    assert [difference.field for difference in result.answers[0].differences if not difference.nature] == [
        "called_ae_title",
        "calling_ae_title",
    ]


async def test_what_no_pdu_is_and_the_end_before_its_time(autojump_clock):
    result, _ = await play(stream_of(ECHO), Side.REQUESTOR, lambda octets: b"HTTP/1.1 400 Bad Request\r\n")
    assert result.answers[-1].observed.name == NO_PDU
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.aclose)
        ended = await Player(script(stream_of(ECHO), Side.REQUESTOR), near, SECONDS).run()
        nursery.cancel_scope.cancel()
    assert END in ended.why_ended or "closed the connection" in ended.why_ended


def test_units_are_the_same_however_messages_are_cut():
    """The data set of a message in one PDU, or each fragment in its own: one unit, and equal."""
    stream = stream_of("find-3__dcmtk-findscu__dcmtk-dcmqrscp")
    whole, cut = UnitReader(), UnitReader()
    before, after = [], []
    for number, octets in enumerate(octets_of(stream, Direction.TO_CLIENT)):
        before += whole.pdu(number, octets)
        pdu = decode_pdu(octets).pdu
        if not isinstance(pdu, PDataTF):
            after += cut.pdu(number, octets)
            continue
        for context, is_command, is_last, fragment in pdu.values:
            half = len(fragment) // 2
            first = PresentationDataValue(context, is_command, False, fragment[:half])
            second = PresentationDataValue(context, is_command, is_last, fragment[half:])
            for value in (first, second):
                after += cut.pdu(number, PDataTF(values=(value,)).encode())
    assert [unit.name for unit in before] == ["A-ASSOCIATE-AC", *["C-FIND-RSP"] * 4, "A-RELEASE-RP"]
    assert [unit.name for unit in after] == [unit.name for unit in before]
    assert all(compare(old, new) == [] for old, new in zip(before, after, strict=True))
    assert sum(isinstance(move, Hear) for move in script(stream, Side.REQUESTOR).moves) == len(before) + 1


def test_a_data_set_that_differs_says_where():
    stream = stream_of("find-3__dcmtk-findscu__dcmtk-dcmqrscp")
    pdus = octets_of(stream, Direction.TO_CLIENT)
    old, new = UnitReader(), UnitReader()
    changed = [octets.replace(b"SHRQR", b"OTHER") if octets[0] == 4 else octets for octets in pdus]
    assert changed != pdus
    before = [unit for number, octets in enumerate(pdus) for unit in old.pdu(number, octets)]
    after = [unit for number, octets in enumerate(changed) for unit in new.pdu(number, octets)]
    (difference,) = compare(before[1], after[1])
    assert difference.field.startswith("data set, from octet ")
    assert difference.observed.startswith("188 octets, 4f 54 48 45 52")


def test_what_can_t_be_played_says_why():
    octets = (CAPTURES / "echo__pynetdicom__orthanc.pcap").read_bytes()
    start = 24
    for _ in range(3):  # SYN, SYN ACK, ACK
        start += 16 + int.from_bytes(octets[start + 8 : start + 12], "little")
    (late,) = read_capture("late", octets[:24] + octets[start:]).streams
    with pytest.raises(NotDICOMError, match="stream 0 can't be played: the begin of the connection was not captured"):
        script(late, Side.REQUESTOR)
    (encrypted,) = read_capture("tls", (CAPTURES / "tls__pynetdicom__dcmtk-storescp.pcap").read_bytes()).streams
    with pytest.raises(NotDICOMError, match="stream 0 is TLS and can't be decrypted"):
        script(encrypted, Side.REQUESTOR)
