"""P-DATA-TF: what `struct` packs and unpacks is what the layout says, for any values and any octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.errors import DecodeError
from dulcet.ul.framing import Framer
from dulcet.ul.pdata import P_DATA_TF, PresentationDataValue, pack, unpack
from dulcet.ul.pdu import PDataTF, decode_pdu

fragments = st.binary(max_size=40)
values = st.builds(PresentationDataValue, st.integers(0, 255), st.booleans(), st.booleans(), fragments)
value_lists = st.lists(values, min_size=1, max_size=5).map(tuple)


def outcome(decode, octets):
    """The values, or the error's text and place."""
    try:
        return [(*value[:3], bytes(value.fragment)) for value in decode(octets)]
    except DecodeError as error:
        return str(error), error.offset, error.abort_reason


def by_struct(octets):
    return unpack(octets, [])


def by_layout(octets):
    return P_DATA_TF.decode(bytes(octets), [])["values"]


@given(value_lists)
def test_packed_is_what_the_layout_encodes(sent):
    octets = b"".join(pack(sent))
    assert octets == P_DATA_TF.encode({"values": sent})
    assert unpack(octets, []) == by_layout(octets) == sent
    assert decode_pdu(octets) == (PDataTF(values=sent), ())


@given(value_lists, st.data())
def test_packed_survives_every_split_of_the_stream(sent, data):
    octets = b"".join(pack(sent))
    cuts = data.draw(st.lists(st.integers(0, len(octets)), max_size=4))
    framer = Framer(max_pdu_length=1024)
    received = []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(octets)], strict=True):
        framer.receive_buffer()[: stop - start] = octets[start:stop]
        framer.received(stop - start)
        while (frame := framer.next_frame()) is not None:
            received += outcome(by_struct, frame.octets)
    assert received == [*sent]


@st.composite
def damaged(draw):
    """Octets of a P-DATA-TF with a few of them changed, or cut, or lengthened."""
    octets = bytearray(b"".join(pack(draw(value_lists))))
    for _ in range(draw(st.integers(0, 3))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    octets[0] = 4
    del octets[draw(st.integers(6, len(octets))) :]
    octets += draw(st.binary(max_size=8))
    if draw(st.booleans()):
        octets[2:6] = (len(octets) - 6).to_bytes(4, "big")
    return bytes(octets)


@given(damaged())
def test_damaged_octets_are_one_error_for_both(octets):
    assert outcome(by_struct, octets) == outcome(by_layout, octets)


@given(st.binary(max_size=64).map(lambda body: b"\x04\0" + len(body).to_bytes(4, "big") + body))
def test_any_octets_are_one_outcome_for_both(octets):
    assert outcome(by_struct, octets) == outcome(by_layout, octets)


# Identity, not equality ---------------------------------------------------------------------------------------------


def test_fragments_sent_are_not_copied():
    one, two = bytearray(10), memoryview(bytearray(20))
    assert pack((PresentationDataValue(1, False, True, one),))[1] is one
    buffers = pack((PresentationDataValue(1, True, True, one), PresentationDataValue(1, False, True, two)))
    assert buffers[2] is one
    assert buffers[4] is two


@pytest.mark.parametrize("count", [1, 2])
def test_fragments_received_are_views(count):
    octets = bytearray(b"".join(pack((PresentationDataValue(1, False, True, b"abcd"),) * count)))
    received = unpack(memoryview(octets), [])
    octets[-4:] = b"ABCD"
    assert received[-1].fragment.obj is octets
    assert bytes(received[-1].fragment) == b"ABCD"


# The message control header -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", range(256))
def test_bits_2_to_7_are_not_checked(header):
    """PS3.8 E.2: always sent as zero, never checked."""
    (value,) = unpack(bytes.fromhex(f"04 00 00000008 00000004 01 {header:02x} 0000"), [])
    assert (value.is_command, value.is_last) == (bool(header & 1), bool(header & 2))
    assert pack((value,))[0][11] == header & 3


def test_an_empty_fragment_is_received():
    """PS3.8 E.1, note: recommended to be received, not to be sent."""
    assert unpack(bytes.fromhex("04 00 00000006 00000002 01 02"), []) == (PresentationDataValue(1, False, True, b""),)


@pytest.mark.parametrize(
    ("unpackable", "text"),
    [
        ((), "one or more"),
        ((PresentationDataValue(256, True, True, b""),), "Table 9-22"),
        ((PresentationDataValue(-1, True, True, b""),) * 2, "Table 9-22"),
    ],
)
def test_what_does_not_fit_is_refused(unpackable, text):
    with pytest.raises(ValueError, match=text):
        PDataTF(values=unpackable).encode()


def test_more_than_4_gib_are_refused_without_holding_them():
    class Huge(bytes):
        def __len__(self):
            return 1 << 31

    values = (PresentationDataValue(1, False, False, Huge()),) * 2
    with pytest.raises(ValueError, match="Table 9-22"):
        pack(values)
