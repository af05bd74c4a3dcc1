"""Asks an archive and counts what it answers, with as little work of its own as Python allows.

`python -m benchmarks.archive_asker find AET PORT LEVEL COUNT [UID...]`: one C-FIND, COUNT matches expected
`python -m benchmarks.archive_asker move AET PORT DESTINATION COUNT UID`: one C-MOVE of a study of COUNT objects

Prints the seconds from the request to the final response.
"""

import socket
import struct
import sys
import time
from collections.abc import Callable

from benchmarks import wire

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
C_FIND_RQ, C_MOVE_RQ = 0x0020, 0x0021
MOVE_DESTINATION, STATUS, COMPLETED = 0x0600, 0x0900, 0x1021
PENDING = (0xFF00, 0xFF01)

LEVEL, STUDY, SERIES, INSTANCE = 0x00080052, 0x0020000D, 0x0020000E, 0x00080018
RETURNED = {
    "STUDY": (0x00080020, 0x00080030, 0x00080050, 0x00081030, 0x00100010, 0x00100020, 0x00100030, STUDY, 0x00200010),
    "IMAGE": (0x00080016, INSTANCE, 0x00200013),
}
"""The keys of a query like a viewer's."""


def identifier(values: dict[int, str]) -> bytes:
    """A data set in Implicit VR Little Endian."""
    octets = b""
    for tag, text in sorted(values.items()):
        value = text.encode()
        value += (b" " if tag == LEVEL else b"\0") * (len(value) % 2)
        octets += struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value
    return octets


class Asker:
    """One association, one request."""

    def __init__(self, called: str, port: int, sop_class: str) -> None:
        self.sop_class = sop_class
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        proposed = [(sop_class, [wire.IMPLICIT_VR_LITTLE_ENDIAN])]
        self.connection.sendall(wire.association_request(called, "BENCH", proposed))
        header = wire.read_exactly(self.connection, wire.PDU_HEADER.size)
        if header[0] != wire.ASSOCIATE_AC:
            raise ConnectionError(f"{header.hex()} came instead of an A-ASSOCIATE-AC")
        wire.read_exactly(self.connection, wire.PDU_HEADER.unpack(header)[1])
        self.buffer = bytearray()

    def ask(self, field: int, values: dict[int, str], more: list[tuple[int, bytes]]) -> tuple[int, dict[int, bytes]]:
        """(pending responses, the final response)."""
        elements = [
            (wire.AFFECTED_SOP_CLASS_UID, wire.uid(self.sop_class)),
            (wire.COMMAND_FIELD, wire.us(field)),
            (wire.MESSAGE_ID, wire.us(1)),
            *more,
            (0x0700, wire.us(0)),
            (0x0800, wire.us(1)),
        ]
        data = identifier(values)
        length = len(data) + 2
        request = wire.command_pdu(1, wire.command_set(elements))
        request += wire.PDU_AND_PDV_HEADER.pack(wire.P_DATA_TF, length + 4, length, 1, wire.DATA_LAST) + data
        self.connection.sendall(request)
        pending = 0
        while True:
            for response in self.responses():
                if struct.unpack("<H", response[STATUS])[0] not in PENDING:
                    self.connection.sendall(wire.release(wire.RELEASE_RQ))
                    return pending, response
                pending += 1

    def responses(self) -> list[dict[int, bytes]]:
        """The command sets in what one read of the connection brings; data sets are passed over."""
        octets = self.connection.recv(1 << 20)
        if not octets:
            raise ConnectionError("the archive closed the connection")
        self.buffer += octets
        found, position = [], 0
        while len(self.buffer) - position >= wire.PDU_HEADER.size:
            length = wire.PDU_HEADER.unpack_from(self.buffer, position)[1]
            end = position + wire.PDU_HEADER.size + length
            if end > len(self.buffer):
                break
            at = position + wire.PDU_HEADER.size
            while at < end:
                value_length = int.from_bytes(self.buffer[at : at + 4], "big")
                if self.buffer[at + 5] & 1:
                    found.append(wire.read_command_set(bytes(self.buffer[at + 6 : at + 4 + value_length])))
                at += 4 + value_length
            position = end
        del self.buffer[:position]
        return found


def find(called: str, port: str, level: str, count: str, *uids: str) -> bool:
    """A C-FIND; whether there were as many matches as expected."""
    asker = Asker(called, int(port), STUDY_ROOT_FIND)
    values = {LEVEL: level, **dict.fromkeys(RETURNED[level], ""), **dict(zip((STUDY, SERIES), uids, strict=False))}
    started = time.perf_counter()
    pending, final = asker.ask(C_FIND_RQ, values, [])
    print(f"{time.perf_counter() - started:.6f}")
    return pending == int(count) and final[STATUS] == wire.us(0)


def move(called: str, port: str, destination: str, count: str, study: str) -> bool:
    """A C-MOVE; whether all sub-operations completed."""
    asker = Asker(called, int(port), STUDY_ROOT_MOVE)
    title = destination.encode() + b" " * (len(destination) % 2)
    started = time.perf_counter()
    _, final = asker.ask(C_MOVE_RQ, {LEVEL: "STUDY", STUDY: study}, [(MOVE_DESTINATION, title)])
    print(f"{time.perf_counter() - started:.6f}")
    completed = final.get(COMPLETED, b"\0\0")
    return final[STATUS] == wire.us(0) and struct.unpack("<H", completed)[0] in (int(count), 0)


REQUESTS: dict[str, Callable[..., bool]] = {"find": find, "move": move}

if __name__ == "__main__":
    sys.exit(0 if REQUESTS[sys.argv[1]](*sys.argv[2:]) else 1)
