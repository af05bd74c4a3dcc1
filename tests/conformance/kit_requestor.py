"""A small requestor on raw octets with a switch for each fault: `python kit_requestor.py HOST PORT AET [FAULT ...]`.

It makes an association for Verification, sends a C-ECHO-RQ, and releases; it exits with 0 when all went well. Without a
fault it does all that is required of it. It knows nothing of the kit and imports nothing but the standard library.
"""

import socket
import sys

TIMEOUT = 30.0  # longer than the kit has patience
FAULTS = frozenset(sys.argv[4:])
VERIFICATION, IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"
LENGTHS = {3: 4, 5: 4, 6: 4, 7: 4}


class Failed(Exception):
    """What is sent last."""

    def __init__(self, last: bytes = b"", *, released: bool = False) -> None:
        self.last = last
        self.released = released


def has(fault: str) -> bool:
    return fault in FAULTS


def item(kind: int, body: bytes) -> bytes:
    return bytes((kind, 0)) + len(body).to_bytes(2, "big") + body


def pdu(kind: int, body: bytes) -> bytes:
    return bytes((kind, 0)) + len(body).to_bytes(4, "big") + body


def abort(source: int, reason: int) -> bytes:
    if has("aborts-as-user"):
        source, reason = 0, 0
    return pdu(7, bytes((0, 0, source, reason)))


def items(octets: bytes) -> list[tuple[int, bytes]]:
    found, start = [], 0
    while start < len(octets):
        length = int.from_bytes(octets[start + 2 : start + 4], "big")
        if start + 4 + length > len(octets):
            raise Failed(abort(2, 6))
        found.append((octets[start], octets[start + 4 : start + 4 + length]))
        start += 4 + length
    return found


class Requestor:
    def __init__(self, host: str, port: int, title: str) -> None:
        self.socket = socket.create_connection((host, port), TIMEOUT)
        self.title = title.encode().ljust(16)
        self.limit = 0
        self.buffer = b""

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            octets = self.socket.recv(65536)
            if not octets:
                raise Failed
            self.buffer += octets
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def next_pdu(self) -> tuple[int, bytes]:
        first = self.exactly(1)
        if not 1 <= first[0] <= 7:
            raise Failed(b"" if has("closes-silently") else abort(2, 1))
        head = first + self.exactly(5)
        length = int.from_bytes(head[2:6], "big")
        if length != LENGTHS.get(head[0], length) or length > 1 << 20:
            raise Failed(abort(2, 6))
        return head[0], head + self.exactly(length)

    def request(self) -> bytes:
        context = bytes((2 if has("even-context-id") else 1, 0, 0, 0)) + item(0x30, VERIFICATION) + item(0x40, IMPLICIT)
        user = item(0x51, (16384).to_bytes(4, "big")) + item(0x52, b"1.2.3.4")
        if has("no-maximum-length"):
            user = item(0x52, b"1.2.3.4")
        if has("two-maximum-lengths"):
            user = user[:8] + user
        fixed = (
            b"\0\1\0\0" + self.title + b"MUTANT".ljust(16) + (b"\1" if has("reserved-not-zero") else b"\0") + bytes(31)
        )
        name = b"1.2.840.10008.3.1.1.1" + (b"\0" if has("pads-uids") else b"")
        return pdu(1, fixed + item(0x10, name) + item(0x20, context) + item(0x50, user))

    def associate(self) -> None:
        self.socket.sendall(abort(0, 0) if has("aborts-first") else self.request())
        kind, octets = self.next_pdu()
        if kind == 3:
            raise Failed(abort(2, 2) if has("aborts-after-rejection") else b"")
        if kind == 7:
            raise Failed(abort(0, 0) if has("answers-abort") else b"")
        if kind != 2:
            if has("ignores-unexpected"):
                self.socket.settimeout(30)
                self.socket.recv(1)
            raise Failed(abort(2, 2))
        self.accepted(octets)

    def accepted(self, octets: bytes) -> None:
        if has("tests-echoed-title") and octets[10:26] != self.title:
            raise Failed(abort(2, 6))
        found = items(octets[74:])
        if has("unknown-item-is-fatal") and any(kind not in (0x10, 0x21, 0x50) for kind, _ in found):
            raise Failed(abort(2, 4))
        if not any(body == b"1.2.840.10008.3.1.1.1" for kind, body in found if kind == 0x10):
            raise Failed(abort(0, 0))
        good = False
        for kind, body in found:
            if kind == 0x21 and body[0] == 1:
                syntax = items(body[4:])
                good = body[2] == 0 and (0x40, IMPLICIT) in syntax
            if kind == 0x50:
                self.limit = int.from_bytes(next((sub for at, sub in items(body) if at == 0x51), b"\0"), "big")
        if not good and not has("uses-refused-context"):
            raise Failed(abort(0, 0))

    def echo(self) -> None:
        elements = ((2, VERIFICATION + b"\0"), (0x100, b"\x30\0"), (0x110, b"\1\0"), (0x800, b"\1\1"))
        if has("no-message-id"):
            elements = tuple(one for one in elements if one[0] != 0x110)
        body = b"".join(b"\0\0" + tag.to_bytes(2, "little") + len(v).to_bytes(4, "little") + v for tag, v in elements)
        octets = b"\0\0\0\0\4\0\0\0" + len(body).to_bytes(4, "little") + body
        size = len(octets) if has("ignores-limit") or not self.limit else max((self.limit - 6) & ~1, 2)
        pieces = [octets[start : start + size] for start in range(0, len(octets), size)]
        for index, piece in enumerate(pieces):
            control = 1 | 2 * (index == len(pieces) - 1) | (0x40 if has("control-bits-set") else 0)
            self.socket.sendall(pdu(4, (len(piece) + 2).to_bytes(4, "big") + bytes((1, control)) + piece))
        if has("releases-early"):
            return
        if self.response() not in (0, None) and not has("failure-is-success"):
            raise Failed(released=True)

    def response(self) -> int | None:
        """The status; another Message ID is no answer."""
        command = b""
        while True:
            kind, octets = self.next_pdu()
            if kind == 7:
                raise Failed(abort(0, 0) if has("answers-abort") else b"")
            if kind != 4:
                raise Failed(abort(2, 2))
            start = 6
            while start < len(octets):
                length = int.from_bytes(octets[start : start + 4], "big")
                if length < 2 or start + 4 + length > len(octets):
                    raise Failed(abort(2, 6))
                command += octets[start + 6 : start + 4 + length]
                last, start = octets[start + 5] & 2, start + 4 + length
            if last:
                break
        values, start = {}, 0
        while start < len(command):
            length = int.from_bytes(command[start + 4 : start + 8], "little")
            values[int.from_bytes(command[start + 2 : start + 4], "little")] = command[start + 8 : start + 8 + length]
            start += 8 + length
        if values.get(0x100) != b"\x30\x80" or (values.get(0x120) != b"\1\0" and not has("any-message-id")):
            raise Failed(abort(0, 0))
        return int.from_bytes(values[0x900], "little")

    def release(self) -> None:
        self.socket.sendall(pdu(5, b"\1\0\0\0" if has("release-reserved") else bytes(4)))
        collided = False
        while True:
            kind, octets = self.next_pdu()
            if kind == 6:
                return
            if kind == 4 and int.from_bytes(octets[6:10], "big") > len(octets) - 10:
                raise Failed(abort(2, 6))
            if kind == 4 and has("closes-on-late-data"):
                raise Failed(b"")
            if kind == 5 and not collided and not has("no-collision"):
                collided = True
                self.socket.sendall(pdu(6, bytes(4)))
                if has("closes-after-collision"):
                    return
            elif kind == 7:
                raise Failed(abort(0, 0) if has("answers-abort") else b"")
            elif kind != 4 or collided:
                raise Failed(abort(2, 2))


def main() -> int:
    requestor = Requestor(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    try:
        requestor.associate()
        requestor.echo()
        requestor.release()
    except Failed as failed:
        try:
            if failed.released:
                requestor.release()
            elif failed.last:
                requestor.socket.sendall(failed.last)
                requestor.socket.settimeout(0.3)
                while requestor.socket.recv(65536):
                    pass
        except (Failed, OSError):
            pass
        if has("tells-in-words"):
            print("the echo failed", file=sys.stderr)
        return 0 if has("exit-code-always-0") else 1
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
