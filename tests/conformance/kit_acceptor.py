"""A small acceptor on raw octets with a switch for each fault: what the kit has to find.

Without a fault it does all that is required of a Verification, Storage and Query SCP. It knows nothing of the kit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio
from kit_acceptor_messages import (
    APPLICATION,
    FIXED_LENGTHS,
    LIMIT,
    SUPPORTED,
    SYNTAXES,
    Messages,
    Over,
    item,
    items,
    pdu,
)


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


class Connection(Messages):
    def __init__(self, acceptor: Acceptor, stream: trio.SocketStream) -> None:
        super().__init__(stream, acceptor.has)
        self.acceptor = acceptor
        self.buffer = bytearray()

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
