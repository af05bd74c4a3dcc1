"""Just enough octets of PS3.8 and PS3.7 for the floors: what a sender and a receiver cost that have no layers at all.

Nothing here checks what a peer sent; dulcet's own code is not used, so that it is not measured against itself.
"""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
IMPLEMENTATION_CLASS_UID = b"2.25.201326592"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"

ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA_TF, RELEASE_RQ, RELEASE_RP = 1, 2, 4, 5, 6
C_STORE_RQ, C_ECHO_RQ, RESPONSE = 0x0001, 0x0030, 0x8000
COMMAND_LAST, DATA, DATA_LAST = 0x03, 0x00, 0x02
PDU_AND_PDV_HEADER = struct.Struct(">BxIIBB")
PDU_HEADER = struct.Struct(">BxI")
PDV_HEADER_OCTETS = 6
LARGEST_PDU_OCTETS = 131_072
SUCCESS = 0x0000
AFFECTED_SOP_CLASS_UID, COMMAND_FIELD, MESSAGE_ID = 0x0002, 0x0100, 0x0110
AFFECTED_SOP_INSTANCE_UID = 0x1000


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an association came to."""

    contexts: dict[int, tuple[str, str]]
    """Accepted presentation contexts: id -> abstract syntax (empty in an answer) and transfer syntax."""
    maximum_length: int
    """The other side's maximum length received, in octets."""


def item(item_type: int, content: bytes) -> bytes:
    """An item or sub-item: type, reserved, length, content."""
    return struct.pack(">BxH", item_type, len(content)) + content


def items(octets: bytes) -> list[tuple[int, bytes]]:
    """The items that `octets` consist of."""
    found, position = [], 0
    while position < len(octets):
        item_type, length = struct.unpack_from(">BxH", octets, position)
        found.append((item_type, octets[position + 4 : position + 4 + length]))
        position += 4 + length
    return found


def _user_information() -> bytes:
    return item(0x50, item(0x51, struct.pack(">I", LARGEST_PDU_OCTETS)) + item(0x52, IMPLEMENTATION_CLASS_UID))


def _association(pdu_type: int, titles: bytes, contexts: bytes) -> bytes:
    body = (
        struct.pack(">Hxx", 1) + titles + bytes(32) + item(0x10, APPLICATION_CONTEXT) + contexts + _user_information()
    )
    return PDU_HEADER.pack(pdu_type, len(body)) + body


def association_request(called: str, calling: str, proposed: Sequence[tuple[str, Sequence[str]]]) -> bytes:
    """An A-ASSOCIATE-RQ with a presentation context for each (abstract syntax, transfer syntaxes)."""
    contexts = b"".join(
        item(
            0x20,
            bytes((2 * n + 1, 0, 0, 0)) + item(0x30, abstract.encode()) + b"".join(item(0x40, t.encode()) for t in ts),
        )
        for n, (abstract, ts) in enumerate(proposed)
    )
    return _association(ASSOCIATE_RQ, called.encode().ljust(16) + calling.encode().ljust(16), contexts)


def read_association(pdu: bytes) -> Accepted:
    """The contexts and the maximum length in the body of an A-ASSOCIATE-RQ (the syntax to prefer) or -AC."""
    contexts, maximum_length = {}, 0
    for item_type, content in items(pdu[68:]):
        if item_type == 0x20 or (
            item_type == 0x21 and content[2] == 0
        ):  # in a request the octet is reserved, DCMTK's is FFH
            names = [(kind, value.rstrip(b"\0").decode()) for kind, value in items(content[4:])]
            abstract = next((name for kind, name in names if kind == 0x30), "")
            syntaxes = [name for kind, name in names if kind == 0x40]
            preferred = EXPLICIT_VR_LITTLE_ENDIAN if EXPLICIT_VR_LITTLE_ENDIAN in syntaxes else syntaxes[0]
            contexts[content[0]] = (abstract, preferred)
        elif item_type == 0x50:
            maximum_length = next(struct.unpack(">I", value)[0] for kind, value in items(content) if kind == 0x51)
    return Accepted(contexts, min(maximum_length or LARGEST_PDU_OCTETS, LARGEST_PDU_OCTETS))


def association_accept(request: bytes, accepted: Accepted) -> bytes:
    """The A-ASSOCIATE-AC that accepts everything with the syntax of `accepted`."""
    contexts = b"".join(
        item(0x21, bytes((context_id, 0, 0, 0)) + item(0x40, syntax.encode()))
        for context_id, (_, syntax) in accepted.contexts.items()
    )
    return _association(ASSOCIATE_AC, request[4:36], contexts)


def command_set(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """A command set of group 0000 elements, Implicit VR Little Endian, with its group length."""
    octets = b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(octets)) + octets


def read_command_set(octets: bytes) -> dict[int, bytes]:
    """Element number -> value."""
    elements, position = {}, 0
    while position < len(octets):
        _, number, length = struct.unpack_from("<HHI", octets, position)
        elements[number] = octets[position + 8 : position + 8 + length]
        position += 8 + length
    return elements


def uid(text: str) -> bytes:
    """A UID padded to even length."""
    return text.encode() + b"\0" * (len(text) % 2)


def us(number: int) -> bytes:
    """An unsigned short."""
    return struct.pack("<H", number)


def store_request(message_id: int, sop_class: str, sop_instance: str) -> bytes:
    """The command set of a C-STORE-RQ."""
    return command_set(
        [
            (AFFECTED_SOP_CLASS_UID, uid(sop_class)),
            (COMMAND_FIELD, us(C_STORE_RQ)),
            (MESSAGE_ID, us(message_id)),
            (0x0700, us(0)),
            (0x0800, us(1)),
            (AFFECTED_SOP_INSTANCE_UID, uid(sop_instance)),
        ]
    )


def response(request: dict[int, bytes]) -> bytes:
    """The command set that answers a C-STORE-RQ or C-ECHO-RQ with success."""
    field = struct.unpack("<H", request[COMMAND_FIELD])[0] | RESPONSE
    elements = [
        (AFFECTED_SOP_CLASS_UID, request[AFFECTED_SOP_CLASS_UID]),
        (COMMAND_FIELD, us(field)),
        (0x0120, request[MESSAGE_ID]),
        (0x0800, us(0x0101)),
        (0x0900, us(SUCCESS)),
    ]
    if AFFECTED_SOP_INSTANCE_UID in request:
        elements.append((AFFECTED_SOP_INSTANCE_UID, request[AFFECTED_SOP_INSTANCE_UID]))
    return command_set(elements)


def command_pdu(context_id: int, octets: bytes) -> bytes:
    """A P-DATA-TF with one PDV: a whole command set."""
    length = len(octets) + 2
    return PDU_AND_PDV_HEADER.pack(P_DATA_TF, length + 4, length, context_id, COMMAND_LAST) + octets


def release(pdu_type: int) -> bytes:
    """An A-RELEASE-RQ or -RP."""
    return PDU_HEADER.pack(pdu_type, 4) + bytes(4)


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """`count` octets; fewer, none perhaps, when the connection ends before."""
    return connection.recv(count, socket.MSG_WAITALL)
