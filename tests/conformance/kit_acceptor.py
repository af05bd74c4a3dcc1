"""A small acceptor on raw octets with a switch for each fault: what the kit has to find.

Without a fault it does all that is required of a Verification, Storage and Query SCP. It knows nothing of the kit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

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


@dataclass
class Acceptor:
    """Listens until cancelled; `faults` are the switches that are on."""

    faults: frozenset[str] = frozenset()
    artim: float = 0.5
    title: bytes = b"MUTANT"
    is_dead: bool = False
    store: dict[bytes, bytes] = field(default_factory=dict)

    def has(self, fault: str) -> bool:
        return fault in self.faults

    async def serve(self, stream: trio.SocketStream) -> None:
        if self.is_dead:
            await trio.aclose_forcefully(stream)
            return
        connection = Connection(self, stream)
        try:
            await connection.run()
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        finally:
            await trio.aclose_forcefully(stream)


class Connection:
    def __init__(self, acceptor: Acceptor, stream: trio.SocketStream) -> None:
        self.acceptor = acceptor
        self.has = acceptor.has
        self.stream = stream
        self.buffer = bytearray()
        self.accepted: dict[int, tuple[bytes, bytes]] = {}
        self.peer_limit = 0
        self.command = bytearray()
        self.whole: dict[int, bytes] = {}
        self.on = 0
        self.data: bytearray | None = None
        self.refused_early = False

    # The stream

    async def more(self) -> None:
        octets = await self.stream.receive_some(65536)
        if not octets:
            raise Over(close=True)
        self.buffer += octets

    async def next_pdu(self, wrong: Callable[[int], bytes], *, first: bool = False) -> tuple[int, bytes]:
        """(type, whole PDU); Over with `wrong(reason)` for what is none."""
        if self.has("needs-whole-pdu-in-one-read"):
            self.buffer.clear()
            await self.more()
            if len(self.buffer) < 6 or len(self.buffer) < 6 + int.from_bytes(self.buffer[2:6], "big"):
                raise Over(close=True)
        while not self.buffer:
            await self.more()
        if not 1 <= self.buffer[0] <= 7:
            if self.has("ignores-unknown-pdu"):
                self.buffer.clear()
                return await self.next_pdu(wrong, first=first)
            raise Over(wrong(1))
        while len(self.buffer) < 6:
            await self.more()
        kind, length = self.buffer[0], int.from_bytes(self.buffer[2:6], "big")
        limit = FIXED_LENGTHS.get(kind, LIMIT if kind == 4 and not self.has("no-maximum-length") else 1 << 26)
        if length > (1 << 20 if kind in (1, 2) else limit) or (kind in FIXED_LENGTHS and length != 4):
            raise Over(wrong(6))
        while len(self.buffer) < 6 + length:
            await self.more()
        whole = bytes(self.buffer[: 6 + length])
        del self.buffer[: 6 + length]
        if self.has("drops-what-follows-in-a-segment"):
            self.buffer.clear()
        if self.has("tests-reserved") and whole[1]:
            raise Over(wrong(6))
        return kind, whole

    # The machine

    async def run(self) -> None:
        try:
            if self.has("talks-first"):
                await self.stream.send_all(self.abort(0, 0))
            await self.sta2()
            await self.sta6()
        except Over as over:
            silent = self.has("closes-silently") and over.last[:1] == b"\7"
            if over.last and not silent:
                await self.stream.send_all(over.last)
            if not over.close and not silent:
                await self.sta13(over.last[:1] == b"\6")

    def abort(self, source: int, reason: int) -> bytes:
        if self.has("abort-reason-3") and source == 2:
            reason = 3
        return pdu(7, bytes((0, 0, source, reason)))

    async def sta2(self) -> None:
        source = 2 if self.has("sta2-source-2") else 0
        patience = 1000.0 if self.has("no-artim-in-sta2") else self.acceptor.artim
        with trio.move_on_after(patience) as artim:
            kind, octets = await self.next_pdu(lambda reason: self.abort(source, reason * bool(source)), first=True)
        if artim.cancelled_caught:
            raise Over(close=True)
        if kind == 7:
            raise Over(self.abort(0, 0) if self.has("answers-abort") else b"", close=True)
        if kind != 1:
            if self.has("silent-on-unexpected"):
                await trio.sleep_forever()
            raise Over(self.abort(source, 2 * bool(source)))
        await self.stream.send_all(self.answer(octets))

    async def sta6(self) -> None:
        while True:
            kind, octets = await self.next_pdu(lambda reason: self.abort(2, reason))
            if kind == 4:
                await self.p_data(octets)
            elif kind == 5:
                await self.release()
            elif kind == 7:
                if self.has("dies-of-abort"):
                    self.acceptor.is_dead = True
                if self.has("keeps-connection-after-abort"):
                    await trio.sleep_forever()
                raise Over(self.abort(0, 0) if self.has("answers-abort") else b"", close=True)
            elif kind == 1 and self.has("accepts-again-in-sta6"):
                await self.stream.send_all(self.answer(octets))
            elif not (kind == 6 and self.has("ignores-release-rp")):
                raise Over(self.abort(0 if self.has("sta6-source-0") else 2, 0 if self.has("sta6-source-0") else 2))

    async def release(self) -> None:
        if self.has("ignores-release"):
            return
        if self.has("data-after-release"):
            await self.stream.send_all(pdu(6, bytes(4)))
            await self.stream.send_all(pdu(4, (8).to_bytes(4, "big") + bytes((1, 3)) + bytes(6)))
            raise Over(close=True)
        raise Over(pdu(6, bytes(4) if not self.has("release-rp-reserved") else b"\1\0\0\0"))

    async def sta13(self, after_release: bool) -> None:
        with trio.move_on_after(1000.0 if self.has("no-artim-in-sta13") else self.acceptor.artim):
            while True:
                try:
                    kind, octets = await self.next_pdu(lambda _: self.abort(0, 0))
                except Over as over:
                    if over.last:
                        await self.stream.send_all(over.last)
                    return
                if kind == 7:
                    return
                if kind == 1 and self.has("second-association") and after_release:
                    await self.stream.send_all(self.answer(octets))
                elif kind == 1:
                    await self.stream.send_all(self.abort(0, 0))

    # The answer to an A-ASSOCIATE-RQ

    def reject(self, result: int, source: int, reason: int) -> Over:
        if self.has("rejection-reserved-reason"):
            reason = 9
        body = bytes((1 if self.has("rejection-reserved-octet") else 0, result, source, reason))
        return Over(pdu(3, body))

    def answer(self, octets: bytes) -> bytes:
        if len(octets) < 74:
            raise Over(self.abort(0, 0))
        version = int.from_bytes(octets[6:8], "big")
        wrong = version != 1 if self.has("compares-whole-version") else not version & 1
        if wrong and not self.has("ignores-version"):
            raise self.reject(1, 1, 1) if self.has("wrong-reason-for-version") else self.reject(1, 2, 2)
        called = octets[10:26].rstrip(b" ") if self.has("leading-spaces-count") else octets[10:26].strip(b" ")
        if called.rstrip(b"\0") != self.acceptor.title:
            raise self.reject(1, 1, 7)
        if not octets[26:42].strip():
            raise self.reject(1, 1, 3)
        try:
            results, context_name, user = self.negotiate(items(octets[74:]))
        except ValueError:
            raise Over(self.abort(0, 0)) from None
        echoed = octets[10:74] if not self.has("reserved-not-echoed") else octets[10:42] + bytes(32)
        fixed = b"\0\1" + (b"\0\1" if self.has("reserved-not-zero") else b"\0\0") + echoed
        return pdu(2, fixed + item(0x10, context_name) + results + item(0x50, user))

    def negotiate(self, given: list[tuple[int, int, bytes]]) -> tuple[bytes, bytes, bytes]:
        names = [body.rstrip(b"\0") for kind, _, body in given if kind == 0x10]
        contexts = [(reserved, body) for kind, reserved, body in given if kind == 0x20]
        unknown = [body for kind, _, body in given if kind not in (0x10, 0x20, 0x50)]
        if unknown and self.has("unknown-item-is-fatal"):
            raise ValueError
        if self.has("empty-last-item-is-fatal") and unknown and not unknown[-1]:
            raise ValueError
        if not names or not contexts or (len(contexts) > 64 and self.has("64-contexts")):
            raise ValueError
        if names[0] != APPLICATION and not self.has("any-application-context"):
            raise self.reject(1, 1, 2)
        ids = [body[0] for _, body in contexts]
        if len(set(ids)) != len(ids) or any(number % 2 == 0 for number in ids):
            raise ValueError
        if self.has("tests-reserved-of-items") and any(reserved for _, reserved, _ in given):
            raise ValueError
        user = [body for kind, _, body in given if kind == 0x50]
        answered = self.user(items(user[0]) if user else [])
        results = [self.result(position, body) for position, (_, body) in enumerate(contexts)]
        return b"".join(part for part in results if part), names[0], answered

    def result(self, position: int, body: bytes) -> bytes:
        number = body[0]
        subs = items(body[4:])
        abstract = next((name.rstrip(b"\0") for kind, _, name in subs if kind == 0x30), b"")
        offered = [name for kind, _, name in subs if kind == 0x40]
        chosen = next((name for name in offered if name in SYNTAXES), None)
        code = 3 if abstract not in SUPPORTED else 4 if chosen is None else 0
        if self.has("swaps-3-and-4") and code:
            code = 7 - code
        if code == 0 and chosen is not None:
            self.accepted[number] = (abstract, chosen)
        if code and self.has("no-result-for-refused"):
            return b""
        if self.has("numbers-results-itself"):
            number = 2 * position + 1
        syntax = chosen or SYNTAXES[0]
        if self.has("takes-what-was-not-offered"):
            syntax = SYNTAXES[1]
        if self.has("pads-uids"):
            syntax += b"\0"
        subs_out = item(0x40, syntax) if not (code and self.has("no-syntax-for-refused")) else b""
        return item(0x21, bytes((number, 0, 9 if self.has("result-9") and code else code, 0)) + subs_out)

    def user(self, given: list[tuple[int, int, bytes]]) -> bytes:
        kinds = [kind for kind, _, _ in given]
        if self.has("unknown-sub-item-is-fatal") and any(kind > 0x59 for kind in kinds):
            raise ValueError
        if self.has("sub-items-must-ascend") and kinds != sorted(kinds):
            raise ValueError
        subs = [b"" if self.has("no-maximum-length-in-ac") else item(0x51, LIMIT.to_bytes(4, "big"))]
        subs.append(b"" if self.has("no-implementation-class") else item(0x52, b"1.2.3.4"))
        for kind, _, body in given:
            if kind == 0x51:
                if len(body) != 4:
                    raise ValueError
                self.peer_limit = int.from_bytes(body, "big")
            if kind == 0x53 and len(body) == 4:
                subs.append(item(0x53, b"\0\x09\0\x09" if self.has("window-too-large") else b"\0\1\0\1"))
            if kind == 0x54:
                uid = body[:-2]
                subs.append(item(0x54, uid + (b"\1\1" if self.has("role-upgrade") else bytes((body[-2] & 1, 0)))))
            if kind == 0x58 and len(body) < 4 + int.from_bytes(body[2:4], "big"):
                raise ValueError
        if self.has("unsolicited-window") and 0x53 not in kinds:
            subs.append(item(0x53, b"\0\1\0\1"))
        if self.has("version-name-17"):
            subs.append(item(0x55, b"A" * 17))
        return b"".join(sorted((sub for sub in subs if sub), key=lambda sub: sub[0]))

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
