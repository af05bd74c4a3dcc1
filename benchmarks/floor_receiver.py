"""The floor of a receiver in Python: framing only, no layers, nothing checked.

`python -m benchmarks.floor_receiver PORT DIR`

Writes each data set behind file meta information, from one reused buffer, and answers success. A thread for each
connection; no fsync.
"""

import os
import socket
import struct
import sys
import threading
from pathlib import Path

from benchmarks import wire
from benchmarks.objects import element

BUFFER_OCTETS = 1 << 20


class Receiver:
    """One association: the octets that were read and not yet used lie in `buffer[start:end]`."""

    def __init__(self, connection: socket.socket, directory: Path) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.directory = directory
        self.buffer = memoryview(bytearray(BUFFER_OCTETS))
        self.start = self.end = 0
        self.answer = b""
        self.file = -1
        self.syntaxes: dict[int, tuple[str, str]] = {}

    def need(self, count: int) -> bool:
        """Make at least `count` octets available; False at the end of the stream."""
        if self.start == self.end:
            self.start = self.end = 0
        elif self.start + count > BUFFER_OCTETS:
            self.buffer[: self.end - self.start] = self.buffer[self.start : self.end]
            self.start, self.end = 0, self.end - self.start
        while self.end - self.start < count:
            got = self.connection.recv_into(self.buffer[self.end :])
            if not got:
                return False
            self.end += got
        return True

    def take(self, count: int) -> bytes:
        """The next `count` octets, copied."""
        self.need(count)
        self.start += count
        return bytes(self.buffer[self.start - count : self.start])

    def run(self) -> None:
        """The association, to its end."""
        while self.need(6):
            pdu_type, left = wire.PDU_HEADER.unpack(self.take(6))
            if pdu_type == wire.ASSOCIATE_RQ:
                request = self.take(left)
                accepted = wire.read_association(request)
                self.syntaxes = accepted.contexts
                self.connection.sendall(wire.association_accept(request, accepted))
            elif pdu_type == wire.RELEASE_RQ:
                self.take(left)
                self.connection.sendall(wire.release(wire.RELEASE_RP))
            elif pdu_type == wire.P_DATA_TF:
                self.values(left)
            else:
                return

    def values(self, left: int) -> None:
        """The PDVs of one P-DATA-TF."""
        while left:
            header = self.take(wire.PDV_HEADER_OCTETS)
            length = int.from_bytes(header[:4], "big") - 2
            left -= length + wire.PDV_HEADER_OCTETS
            if header[5] == wire.COMMAND_LAST:
                self.command(header[4], wire.read_command_set(self.take(length)))
            else:
                self.data(length)
                if header[5] == wire.DATA_LAST:
                    os.close(self.file)
                    self.connection.sendall(self.answer)

    def command(self, context_id: int, request: dict[int, bytes]) -> None:
        """Answer an echo at once; open the file of an object."""
        self.answer = wire.command_pdu(context_id, wire.response(request))
        if request[wire.COMMAND_FIELD] == wire.us(wire.C_ECHO_RQ):
            self.connection.sendall(self.answer)
            return
        sop_instance = request[wire.AFFECTED_SOP_INSTANCE_UID]
        name = sop_instance.rstrip(b"\0").decode()
        self.file = os.open(self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        meta = (
            element(0x00020001, "OB", b"\0\1")
            + element(0x00020002, "UI", request[wire.AFFECTED_SOP_CLASS_UID])
            + element(0x00020003, "UI", sop_instance)
            + element(0x00020010, "UI", self.syntaxes[context_id][1].encode())
            + element(0x00020012, "UI", wire.IMPLEMENTATION_CLASS_UID)
        )
        os.write(self.file, bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta)

    def data(self, length: int) -> None:
        """Write a fragment as it arrives."""
        while length:
            self.need(1)
            part = min(length, self.end - self.start)
            os.write(self.file, self.buffer[self.start : self.start + part])
            self.start += part
            length -= part


def serve_until_it_ends(connection: socket.socket, directory: Path) -> None:
    """A peer that goes away in the middle ends its own thread quietly."""
    with connection:
        try:
            Receiver(connection, directory).run()
        except ConnectionError:
            return


def main() -> None:
    """Listen on the port that the command line names, for ever."""
    port, directory = sys.argv[1:]
    with socket.create_server(("127.0.0.1", int(port)), backlog=512) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve_until_it_ends, args=(connection, Path(directory)), daemon=True).start()


if __name__ == "__main__":
    main()
