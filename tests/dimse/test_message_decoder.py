"""A message that is read by its likeness to the one before is the one that would be read element by element."""

import pytest

from dulcet.dimse.message_decoder import MessageDecoder
from dulcet.dimse.messages import CEchoRQ, CFindRSP, CStoreRQ, CStoreRSP, decode_message
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import DecodeError

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
UID = "1.2.826.0.1.3680043.10.1"  # even, so not padded
ODD_UID = UID + "7"
MESSAGES = {
    "C-STORE-RQ": CStoreRQ(affected_sop_class_uid=CT_IMAGE_STORAGE, message_id=7, affected_sop_instance_uid=UID),
    "C-STORE-RQ, padded": CStoreRQ(
        affected_sop_class_uid=CT_IMAGE_STORAGE, message_id=0xFF00, affected_sop_instance_uid=ODD_UID
    ),
    "C-STORE-RSP": CStoreRSP(
        affected_sop_class_uid=CT_IMAGE_STORAGE,
        message_id_being_responded_to=7,
        status=0,
        affected_sop_instance_uid=ODD_UID,
    ),
    "C-STORE-RSP without UIDs": CStoreRSP(message_id_being_responded_to=7, status=0xA700, error_comment="full"),
    "C-ECHO-RQ": CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=1),
    "C-FIND-RSP": CFindRSP(message_id_being_responded_to=300, status=0xFF00, has_data_set=True),
}
OTHER_OCTETS = (0x00, 0x01, 0x02, 0x20, 0x2E, 0x31, 0x80, 0xFF)


def outcome(decode, octets):
    try:
        return decode(octets)
    except DecodeError as error:
        return str(error)


@pytest.fixture(params=MESSAGES.values(), ids=MESSAGES)
def octets(request):
    return request.param.encode()


def test_every_octet_changed(octets):
    decoder = MessageDecoder()
    for position in range(len(octets)):
        for other in OTHER_OCTETS:
            changed = octets[:position] + bytes([other]) + octets[position + 1 :]
            assert decoder.decode(octets) == decode_message(octets)
            assert outcome(decoder.decode, changed) == outcome(decode_message, changed)


def test_every_length(octets):
    decoder = MessageDecoder()
    for length in (*range(len(octets)), len(octets) + 2):
        changed = octets[:length].ljust(length, b"\0")
        assert decoder.decode(octets) == decode_message(octets)
        assert outcome(decoder.decode, changed) == outcome(decode_message, changed)


@pytest.mark.parametrize("ends", [(b"7\0", b"78"), (b"78", b"7\0"), (b"7\0", b"\0\0"), (b"78", b"7 "), (b"78", b"  ")])
def test_padding_of_the_uid(ends):
    octets = MESSAGES["C-STORE-RSP"].encode()
    first, second = (octets[:-2] + end for end in ends)
    decoder = MessageDecoder()
    assert decoder.decode(first) == decode_message(first)
    assert decoder.decode(second) == decode_message(second)


def test_an_element_that_belongs_to_another_message():
    """A C-FIND-RSP has no SOP Instance UID of its own, and a response no Message ID."""
    stray = bytes.fromhex("0000 0010 0400 0000") + b"1.2\0"
    octets = bytearray(MESSAGES["C-FIND-RSP"].encode() + stray)
    octets[8] += len(stray)
    changed = bytes(octets[:-4]) + b"1.3\0"
    decoder = MessageDecoder()
    assert decoder.decode(bytes(octets)) == decode_message(bytes(octets))
    assert decoder.decode(changed) == decode_message(changed)


def test_what_is_alike_is_not_read_again(monkeypatch):
    decoder = MessageDecoder()
    decoder.decode(MESSAGES["C-STORE-RQ"].encode())
    monkeypatch.setattr("dulcet.dimse.message_decoder.decode_message", None)
    another = CStoreRQ(affected_sop_class_uid=CT_IMAGE_STORAGE, message_id=8, affected_sop_instance_uid=UID[:-1] + "2")
    assert decoder.decode(another.encode()).message == another
