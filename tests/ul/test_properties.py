"""What holds for any octets, any cut, any order of events."""

import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dulcet.errors import DecodeError, LocalProtocolError
from dulcet.ul.connection import (
    Close,
    Connection,
    Indicate,
    IndicateProviderAbort,
    Send,
    StartArtim,
    StopArtim,
)
from dulcet.ul.fields import MAX_DEVIATIONS
from dulcet.ul.item import Item
from dulcet.ul.items import ApplicationContext, PresentationContextAC, PresentationContextRQ, UserInformation
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import (
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AETitle,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    decode_pdu,
)
from dulcet.ul.table import State
from dulcet.ul.validity import why_invalid

TITLES = {"called_ae_title": AETitle("CALLED"), "calling_ae_title": AETitle("CALLING")}
RQ = AAssociateRQ(
    **TITLES,
    items=(
        ApplicationContext(),
        PresentationContextRQ.propose(1, "1.2.840.10008.1.1", ["1.2.840.10008.1.2"]),
        UserInformation(sub_items=()),
    ),
)
AC = AAssociateAC(
    **TITLES,
    items=(
        ApplicationContext(),
        PresentationContextAC.answer(1, 0, "1.2.840.10008.1.2"),
        UserInformation(sub_items=()),
    ),
)
DATA = PDataTF(values=(PresentationDataValue(1, True, True, b"\0\0"),))
MAX_PDU_LENGTH = 64
PRIMITIVES = [RQ, AC, AAssociateRJ(result=1, source=1, reason=1), DATA, AReleaseRQ(), AReleaseRP(), AAbort()]


def streams(strategies: ModuleType) -> st.SearchStrategy[bytes]:
    """PDUs that belong here, PDUs that don't, and what is none."""
    ours = st.sampled_from([pdu.encode() for pdu in PRIMITIVES])
    theirs = strategies.pdus.map(lambda pdu: pdu.encode())
    return st.lists(st.one_of(ours, theirs, strategies.nearly_pdus(), strategies.short), max_size=5).map(b"".join)


def in_state(name: str) -> Connection:
    """A connection that may receive."""
    connection = Connection(is_requestor=name.endswith("requestor"), max_pdu_length=MAX_PDU_LENGTH)
    if connection.is_requestor:
        connection.send(RQ)
        connection.transport_connected()
    else:
        connection.transport_accepted()
    if name.startswith(("associated", "releasing", "aborted")):
        connection.receive((AC if connection.is_requestor else RQ).encode())
        if not connection.is_requestor:
            connection.send(AC)
    if name.startswith("releasing"):
        connection.send(AReleaseRQ())
    if name.startswith("aborted"):
        connection.send(AAbort())
    return connection


STATES = [
    f"{phase} {role}"
    for phase in ("beginning", "associated", "releasing", "aborted")
    for role in ("requestor", "acceptor")
]


def frozen(effect: object) -> object:
    """An effect with its views copied: they are valid until more is received."""
    if isinstance(effect, Send):
        return "send", b"".join(effect.buffers)
    if isinstance(effect, Indicate) and isinstance(effect.pdu, PDataTF):
        return "indicate", [(*value[:3], bytes(value.fragment)) for value in effect.pdu.values], effect.deviations
    if isinstance(effect, IndicateProviderAbort):
        return "provider abort", str(effect.cause)
    return effect


def run(connection: Connection, chunks: list[bytes]) -> list[object]:
    """Every effect of a stream that comes in these chunks, as a shell reads them."""
    effects: list[object] = []
    for chunk in chunks:
        while chunk:
            buffer = connection.receive_buffer()
            count = min(len(buffer), len(chunk))
            buffer[:count] = chunk[:count]
            connection.received(count)
            chunk = chunk[count:]
            while (more := connection.next_effects()) is not None:
                effects += map(frozen, more)
    return effects


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream in pieces."""
    places = sorted({0, len(stream), *(position % (len(stream) + 1) for position in cuts)})
    return [stream[start:stop] for start, stop in pairwise(places)]


@pytest.mark.parametrize("name", STATES)
@settings(max_examples=60)
@given(data=st.data())
def test_any_stream_in_any_pieces_has_the_same_effects(name: str, data, strategies) -> None:
    stream = data.draw(streams(strategies))
    whole, pieces = in_state(name), in_state(name)
    expected = run(whole, [stream])
    assert run(pieces, cut(stream, data.draw(st.lists(st.integers(0, 500), max_size=8)))) == expected
    assert run(in_state(name), [bytes((octet,)) for octet in stream]) == expected
    assert pieces.state is whole.state
    assert pieces.pending_octets == whole.pending_octets


@pytest.mark.parametrize("name", STATES)
@settings(max_examples=60)
@given(data=st.data())
def test_after_an_error_only_aborts_go_out_and_nothing_is_indicated(name: str, data, strategies) -> None:
    connection = in_state(name)
    effects = run(connection, [data.draw(streams(strategies)), data.draw(streams(strategies))])
    is_over = name.startswith("aborted")
    for effect in effects:
        if isinstance(effect, tuple) and effect[0] == "send":
            is_rejection = name == "beginning acceptor" and effect[1][0] == 0x03
            assert effect[1][:6] == bytes.fromhex("07 00 00000004") or (is_rejection and not is_over)
            is_over = True
        elif is_over:
            is_told = isinstance(effect, tuple) and effect[0] == "provider abort"
            assert is_told or isinstance(effect, StartArtim | StopArtim | Close)
    assert connection.pending_octets <= 64 * 1024 + 5


@settings(max_examples=300)
@given(data=st.data())
def test_round_trip(data, strategies) -> None:
    pdu = data.draw(strategies.pdus)
    octets = pdu.encode()
    decoded = decode_pdu(octets).pdu
    assert decoded == pdu
    assert decoded.encode() == octets


@settings(max_examples=500)
@given(data=st.data())
def test_any_octets_are_a_pdu_or_a_decode_error(data, strategies) -> None:
    """And what was understood says the same when it is sent again."""
    octets = data.draw(st.one_of(strategies.nearly_pdus(), st.binary(max_size=40)))
    try:
        decoded = decode_pdu(octets)
    except DecodeError as raised:
        error = raised
    else:
        why_invalid(decoded.pdu, RQ)
        assert decode_pdu(decoded.pdu.encode()).pdu == decoded.pdu
        return
    assert error.table
    assert 0 <= error.offset <= len(octets)
    assert error.abort_reason in (1, 6)


UID_ITEMS = [item for item in Item.__subclasses__() if item.IS_UID]


@settings(max_examples=300)
@given(
    item=st.sampled_from(UID_ITEMS),
    body=st.one_of(st.from_regex(r"[0-9. \0]{0,66}", fullmatch=True).map(str.encode), st.binary(max_size=70)),
    promised=st.sampled_from([0, 0, 0, 1, -1, 256]),
    found_before=st.sampled_from([0, MAX_DEVIATIONS - 1, MAX_DEVIATIONS]),
)
def test_a_uid_read_by_hand_is_what_the_layout_reads(item, body: bytes, promised: int, found_before: int) -> None:
    octets = bytes((item.ITEM_TYPE, 0)) + max(0, len(body) + promised).to_bytes(2, "big") + body
    (field,) = item.LAYOUT.octet_column()[3:]

    def read(decode: Callable[..., object]) -> tuple[object, list[object]]:
        deviations: list[object] = [None] * found_before
        try:
            decoded = decode(octets, deviations)
        except DecodeError as error:
            return str(error), []
        return decoded, deviations[found_before:]

    by_hand, found = read(lambda *arguments: getattr(item.decode(*arguments), field[1]))
    assert (by_hand, found) == read(lambda *arguments: item.LAYOUT.decode(*arguments)[field[1]])


CALLS: list[Callable[[Connection], object]] = [
    Connection.transport_connected,
    Connection.transport_accepted,
    Connection.transport_closed,
    Connection.artim_expired,
    Connection.next_effects,
    lambda connection: connection.reject_received(DecodeError("whatever", abort_reason=5)),
    *(partial(lambda pdu, connection: connection.send(pdu), pdu) for pdu in PRIMITIVES),
]


@settings(max_examples=300)
@given(data=st.data())
def test_any_order_of_events_raises_nothing_but_a_local_protocol_error(data, strategies) -> None:
    """And one that was refused has changed nothing."""
    connection = Connection(is_requestor=data.draw(st.booleans()), max_pdu_length=MAX_PDU_LENGTH)
    calls = st.one_of(st.sampled_from(CALLS), streams(strategies))
    for call in data.draw(st.lists(calls, max_size=12)):
        before = connection.state, connection.request
        try:
            if isinstance(call, bytes):
                connection.receive(call)
            else:
                call(connection)
        except LocalProtocolError:
            assert (connection.state, connection.request) == before or isinstance(call, bytes)


# Work and memory ----------------------------------------------------------------------------------------------------


def request_with(items: bytes) -> bytes:
    body = RQ.encode()[6:74] + items
    return b"\x01\0" + len(body).to_bytes(4, "big") + body


def in_item(item_type: int, head: bytes, sub_items: bytes) -> bytes:
    return bytes((item_type, 0)) + len(head + sub_items).to_bytes(2, "big") + head + sub_items


def many(octets: bytes, count: int, *, head: bytes = b"", item_type: int | None = None) -> bytes:
    """A request with `count` copies of an item, or of a sub-item of one."""
    return request_with(octets * count if item_type is None else in_item(item_type, head, octets * count))


HOSTILE = {
    "unknown items": partial(many, bytes.fromhex("77 00 0000")),
    "application contexts": partial(many, bytes.fromhex("10 00 0000")),
    "presentation contexts": partial(many, bytes.fromhex("20 00 0004 01000000")),
    "transfer syntaxes": partial(many, bytes.fromhex("40 00 0000"), head=bytes(4), item_type=0x20),
    "padded UIDs": partial(many, bytes.fromhex("52 00 0002 3100"), item_type=0x50),
    "roles with octets behind them": partial(many, bytes.fromhex("54 00 0005 0000 0000 00"), item_type=0x50),
    "related classes": lambda count: many(
        bytes.fromhex("57 00") + (6 + 2 * count).to_bytes(2, "big") + bytes(4) + (2 * count).to_bytes(2, "big")
        + bytes(2 * count), 1, item_type=0x50
    ),
}  # fmt: skip


def calls_of(work: Callable[[], object]) -> int:
    """How many functions were called."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("what", HOSTILE)
def test_the_work_grows_as_the_octets_do(what: str) -> None:
    once, twice = HOSTILE[what](1000), HOSTILE[what](2000)
    few, many_calls = calls_of(partial(validated, once)), calls_of(partial(validated, twice))
    assert many_calls <= 2.1 * few
    assert few <= 150 * 1000


def validated(octets: bytes) -> None:
    why_invalid(decode_pdu(octets).pdu, None)


@pytest.mark.parametrize("what", HOSTILE)
def test_the_memory_is_bounded_by_what_may_be_announced(what: str) -> None:
    """The largest A-ASSOCIATE-RQ that is taken, full of the smallest items, costs a few megabytes."""
    longest = max(range(1000, 16500, 100), key=lambda count: fitting(HOSTILE[what], count))
    octets = HOSTILE[what](longest)
    tracemalloc.start()
    try:
        validated(octets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def fitting(make: Callable[[int], bytes], count: int) -> int:
    try:
        size = len(make(count))
    except OverflowError:
        return 0
    return size if size <= 64 * 1024 else 0


def test_a_connection_holds_one_buffer_whatever_comes() -> None:
    connection = in_state("associated acceptor")
    buffer = connection.receive_buffer().obj
    for _ in range(2000):
        connection.receive(DATA.encode() * 20)
        assert connection.receive_buffer().obj is buffer
    assert connection.state is State.STA6
