"""The floor of a sender in Python: blocking sockets, framing only, no layers.

`python -m benchmarks.floor_sender AET PORT DIR`

Reads each file into a reused buffer and gives the kernel four PDUs in one call, the command with the first of them.
"""

import os
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import wire

PDUS_AT_ONCE = 4  # more leave the second-level cache, fewer cost more calls
META_OCTETS = 1_024  # more than the file meta information that benchmarks.objects writes


class File:
    """A Part 10 file's identity and where its data set starts."""

    __slots__ = ("offset", "path", "sop_class", "sop_instance", "transfer_syntax")

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb", buffering=0) as file:
            head = file.read(META_OCTETS)
        self.offset = 144 + struct.unpack_from("<I", head, 140)[0]
        values: dict[int, str] = {}
        position = 144
        while position < self.offset:
            _, number, vr, length = struct.unpack_from("<HH2sH", head, position)
            position += 8
            if vr == b"OB":
                length = struct.unpack_from("<I", head, position)[0]
                position += 4
            values[number] = head[position : position + length].rstrip(b"\0").decode("latin-1")
            position += length
        self.sop_class, self.sop_instance, self.transfer_syntax = values[0x02], values[0x03], values[0x10]


def send_everything(connection: socket.socket, views: Sequence[memoryview | bytes]) -> None:
    """One vectored write, and what the kernel did not take after it."""
    sent = connection.sendmsg(views)
    for view in views:
        if sent < len(view):
            connection.sendall(memoryview(view)[sent:])
            sent = 0
        else:
            sent -= len(view)


class Sender:
    """One association."""

    def __init__(self, called: str, port: int, files: Sequence[File]) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        proposed = sorted({(file.sop_class, file.transfer_syntax) for file in files})
        self.connection.sendall(
            wire.association_request(called, "FLOOR", [(sop, [syntax]) for sop, syntax in proposed])
        )
        accepted = wire.read_association(self.read_pdu(wire.ASSOCIATE_AC))
        self.context_ids = {sop: 2 * number + 1 for number, (sop, _) in enumerate(proposed)}
        self.fragment = accepted.maximum_length - wire.PDV_HEADER_OCTETS
        self.buffer = memoryview(bytearray(self.fragment * PDUS_AT_ONCE))

    def read_pdu(self, expected_type: int) -> bytes:
        """The body of the next PDU. Raises ConnectionError when it is another one, or the stream ends."""
        header = wire.read_exactly(self.connection, wire.PDU_HEADER.size)
        if not header or header[0] != expected_type:
            raise ConnectionError(f"PDU type {expected_type} expected, {header.hex() or 'the end of the stream'} came")
        return wire.read_exactly(self.connection, wire.PDU_HEADER.unpack(header)[1])

    def send(self, file: File, message_id: int) -> None:
        """One object and its response. Raises ConnectionError unless it is success."""
        context_id = self.context_ids[file.sop_class]
        request = wire.store_request(message_id, file.sop_class, file.sop_instance)
        views: list[memoryview | bytes] = [wire.command_pdu(context_id, request)]
        descriptor = os.open(file.path, os.O_RDONLY)
        left, position = os.fstat(descriptor).st_size - file.offset, file.offset
        while left:
            got = os.preadv(descriptor, [self.buffer], position)
            position, left = position + got, left - got
            for start in range(0, got, self.fragment):
                part = self.buffer[start : min(start + self.fragment, got)]
                control = wire.DATA if left or start + self.fragment < got else wire.DATA_LAST
                length = len(part) + 2
                views += [wire.PDU_AND_PDV_HEADER.pack(wire.P_DATA_TF, length + 4, length, context_id, control), part]
            send_everything(self.connection, views)
            views = []
        os.close(descriptor)
        answer = wire.read_command_set(self.read_pdu(wire.P_DATA_TF)[wire.PDV_HEADER_OCTETS :])
        if answer[0x0900] != wire.us(wire.SUCCESS):
            raise ConnectionError(f"{file.path}: status {answer[0x0900].hex()}")

    def release(self) -> None:
        """End the association."""
        self.connection.sendall(wire.release(wire.RELEASE_RQ))
        self.read_pdu(wire.RELEASE_RP)
        self.connection.close()


def main() -> None:
    """Send every file of a directory over one association."""
    called, port, directory = sys.argv[1:]
    files = [File(path) for path in sorted(Path(directory).iterdir())]
    sender = Sender(called, int(port), files)
    for number, file in enumerate(files):
        sender.send(file, number % 65_535 + 1)
    sender.release()


if __name__ == "__main__":
    main()
