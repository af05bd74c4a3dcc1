"""The messages of `kit_acceptor.py`: P-DATA-TF in, responses out, with a switch for each fault."""

from collections.abc import Callable

import trio

LIMIT = 16384
VERIFICATION = b"1.2.840.10008.1.1"
CT = b"1.2.840.10008.5.1.4.1.1.2"
FIND = b"1.2.840.10008.5.1.4.1.2.2.1"
SUPPORTED = (VERIFICATION, CT, FIND)
SYNTAXES = (b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1")
APPLICATION = b"1.2.840.10008.3.1.1.1"
FIXED_LENGTHS = {3: 4, 5: 4, 6: 4, 7: 4}
KNOWN_COMMANDS = (0x0001, 0x0020, 0x0030)


class Over(Exception):
    """The association is over: what is sent last, and whether the connection is closed at once."""

    def __init__(self, last: bytes = b"", *, close: bool = False) -> None:
        self.last = last
        self.close = close


def item(kind: int, body: bytes, reserved: int = 0) -> bytes:
    return bytes((kind, reserved)) + len(body).to_bytes(2, "big") + body


def pdu(kind: int, body: bytes) -> bytes:
    return bytes((kind, 0)) + len(body).to_bytes(4, "big") + body


def items(octets: bytes) -> list[tuple[int, int, bytes]]:
    found, start = [], 0
    while start < len(octets):
        length = int.from_bytes(octets[start + 2 : start + 4], "big")
        if start + 4 + length > len(octets) or start + 4 > len(octets):
            raise ValueError("an item is longer than what holds it")
        found.append((octets[start], octets[start + 1], octets[start + 4 : start + 4 + length]))
        start += 4 + length
    return found


class Messages:
    """What an association does with P-DATA-TF PDUs."""

    def __init__(self, stream: trio.SocketStream, has: Callable[[str], bool]) -> None:
        self.stream = stream
        self.has = has
        self.accepted: dict[int, tuple[bytes, bytes]] = {}
        self.peer_limit = 0
        self.command = bytearray()
        self.whole: dict[int, bytes] = {}
        self.on = 0
        self.data: bytearray | None = None
        self.refused_early = False

    def abort(self, source: int, reason: int) -> bytes:
        if self.has("abort-reason-3") and source == 2:
            reason = 3
        return pdu(7, bytes((0, 0, source, reason)))

    # P-DATA

    async def p_data(self, octets: bytes) -> None:
        start = 6
        if len(octets) == 6:
            raise Over(self.abort(2, 6))
        while start < len(octets):
            length = int.from_bytes(octets[start : start + 4], "big")
            if length < 2 or start + 4 + length > len(octets):
                raise Over(self.abort(2, 6))
            await self.value(octets[start + 4], octets[start + 5], octets[start + 6 : start + 4 + length])
            start += 4 + length

    async def value(self, number: int, control: int, fragment: bytes) -> None:
        if control > 3 and self.has("tests-control-bits"):
            raise Over(self.abort(2, 6))
        if number not in self.accepted and not self.has("any-context"):
            raise Over(self.abort(2, 5))
        is_command, is_last = control & 1, control & 2
        if is_command:
            if self.whole or (self.command and number != self.on):
                raise Over(self.abort(2, 5))
            self.on = number
            self.command += fragment
            if not is_last and self.has("one-fragment-only"):
                raise Over(self.abort(2, 6))
            if is_last:
                await self.command_set()
            return
        if not self.whole:
            if self.has("data-without-command"):
                return
            raise Over(self.abort(2, 5))
        if number != self.on and not self.has("data-on-any-context"):
            raise Over(self.abort(2, 5))
        assert self.data is not None
        self.data += fragment
        if self.has("success-before-the-end") and not self.refused_early:
            self.refused_early = True
            await self.respond(0)
        if is_last:
            await self.message(bytes(self.data))

    async def command_set(self) -> None:
        octets, self.command = bytes(self.command), bytearray()
        elements: dict[int, bytes] = {}
        start = 0
        while start < len(octets):
            length = int.from_bytes(octets[start + 4 : start + 8], "little")
            if start + 8 + length > len(octets):
                raise Over(self.abort(2, 6))
            tag = int.from_bytes(octets[start : start + 2], "little") << 16 | int.from_bytes(
                octets[start + 2 : start + 4], "little"
            )
            elements[tag] = octets[start + 8 : start + 8 + length]
            start += 8 + length
        self.whole = elements
        if 0x0100 not in elements or (self.number(0x0110) is None and not self.number(0x0100) & 0x8000
                                      and self.number(0x0100) != 0x0FFF):  # fmt: skip
            raise Over(self.abort(2, 6))
        if self.number(0x0800) == 0x0101:
            await self.message(None)
        else:
            self.data = bytearray()

    def number(self, tag: int) -> int:
        octets = self.whole.get(tag)
        return None if octets is None else int.from_bytes(octets, "little")  # type: ignore[return-value]

    async def message(self, data: bytes | None) -> None:
        command, self.data = self.number(0x0100), None
        if command & 0x8000 or command == 0x0FFF:
            self.whole = {}
            return
        if self.number(0x0110) == 0 and self.has("message-id-0-is-none"):
            raise Over(self.abort(2, 6))
        if not self.refused_early:
            await self.respond(self.status(command, data))
        self.refused_early = False
        self.whole = {}
        if self.has("acceptor-releases"):
            await self.stream.send_all(pdu(5, bytes(4)))

    def status(self, command: int, data: bytes | None) -> int:
        abstract = self.accepted.get(self.on, (VERIFICATION, b""))[0]
        if command not in KNOWN_COMMANDS and not self.has("anything-is-success"):
            return 0x0211
        if {0x0001: CT, 0x0020: FIND, 0x0030: VERIFICATION}.get(command, abstract) != abstract:
            return 0x0211
        if command != 0x0030 and data is None:
            return 0xC000
        if self.has("unknown-status"):
            return 0x1234
        return 0

    async def respond(self, status: int) -> None:
        message_id = self.whole[0x0110]
        if self.has("wrong-message-id"):
            message_id = bytes((message_id[0] ^ 1, message_id[1]))
        data_set_type = b"\0\0" if self.has("data-set-type-0") else b"\1\1"
        elements = {
            0x0002: self.whole.get(0x0002, b""),
            0x0100: (self.number(0x0100) | 0x8000).to_bytes(2, "little"),
            0x0120: message_id,
            0x0800: data_set_type,
            0x0900: status.to_bytes(2, "little"),
        }
        if self.has("status-missing"):
            del elements[0x0900]
        if self.has("error-comment-too-long"):
            elements[0x0902] = b"x" * 70
        if self.has("odd-element"):
            elements[0x0902] = b"odd"
        if not elements[0x0002]:
            del elements[0x0002]
        await self.send_command(elements)

    async def send_command(self, elements: dict[int, bytes]) -> None:
        order = sorted(elements, reverse=self.has("command-descends"))
        explicit = self.has("explicit-command") and self.accepted[self.on][1] == SYNTAXES[1]
        body = b"".join(self.element(tag, elements[tag], explicit) for tag in order)
        length = len(body) + (10 if self.has("wrong-group-length") else 0)
        octets = self.element(0, length.to_bytes(4, "little"), explicit) + body
        number = self.on
        if self.has("answers-on-another-context") and len(self.accepted) > 1:
            number = max(other for other in self.accepted if other != self.on)
        size = max((min(self.peer_limit or LIMIT, LIMIT) - 6) & ~1, 2)
        if self.has("ignores-peers-limit"):
            size = LIMIT
        if self.has("odd-fragments"):
            size = 33
        pieces = [octets[start : start + size] for start in range(0, len(octets), size)]
        for index, piece in enumerate(pieces):
            control = 1 | 2 * (index == len(pieces) - 1) | (0x80 if self.has("control-bits-set") else 0)
            value = (len(piece) + 2).to_bytes(4, "big") + bytes((number, control)) + piece
            await self.stream.send_all(pdu(4, value))
        if self.has("empty-pdv"):
            await self.stream.send_all(pdu(4, b"\0\0\0\2" + bytes((number, 1))))

    @staticmethod
    def element(tag: int, value: bytes, explicit: bool) -> bytes:
        if len(value) % 2 and value != b"odd":
            value += b"\0"
        head = tag.to_bytes(4, "little")[2:] + tag.to_bytes(4, "little")[:2]
        if explicit:
            return head + b"UN" + len(value).to_bytes(2, "little") + value
        return head + len(value).to_bytes(4, "little") + value
