"""The kit as acceptor of one association: answers a request as a case wants, receives messages, responds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.command_set import DATA_SET, NO_DATA_SET
from dulcet.conformance.kit.messages import Assembler, Message
from dulcet.conformance.kit.outcome import Outcome, of_pdu
from dulcet.conformance.kit.raw_peer import RawPeer, outcome_of
from dulcet.conformance.kit.stimuli import item, transfer_syntax
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dulcet.errors import DecodeError
from dulcet.ul.pdu import AAssociateRQ, decode_pdu

TAKEN = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
"""Transfer syntaxes that the kit takes, the first of them that is offered; else the first one offered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An A-ASSOCIATE-AC, field by field (PS3.8 Table 9-17)."""

    echoed: bytes
    """Octets 11-74, which belong to the request."""
    version: int = 1
    context_name: bytes = stimuli.application_context()
    results: tuple[bytes, ...]
    """The Presentation Context Items."""
    user: tuple[bytes, ...] = (stimuli.maximum_length(), stimuli.implementation_class())
    more_items: bytes = b""

    def but(self, **changes: object) -> Self:
        """The same answer with other fields."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def encode(self) -> bytes:
        """The whole PDU."""
        fixed = self.version.to_bytes(2, "big") + bytes(2) + self.echoed
        items = (self.context_name, *self.results, stimuli.user_information(*self.user), self.more_items)
        return stimuli.pdu(0x02, fixed + b"".join(items))


def result(context_id: int, code: int, *syntaxes: str) -> bytes:
    """A Presentation Context Item (PS3.8 Table 9-18)."""
    return item(0x21, bytes((context_id, 0, code, 0)) + b"".join(transfer_syntax(uid) for uid in syntaxes))


Change = Callable[[Answer], Answer]
Status = int | Callable[[int, Message], int]
"""A status for every message, or one by its number and contents."""


class Hosted:
    """An association that the product requests."""

    def __init__(self, peer: RawPeer, answer_seconds: float) -> None:
        self.peer = peer
        self.seconds = answer_seconds
        self.request: AAssociateRQ | None = None
        self.request_octets = b""
        self.accepted: dict[int, tuple[str, str]] = {}
        """Context -> (abstract syntax, transfer syntax)."""
        self.stored: list[Message] = []
        self.served = 0
        """How many requests were answered."""
        self._assembler = Assembler()
        self._messages: list[Message] = []
        self._given_early: command_set.CommandSet | None = None

    async def read_request(self) -> Outcome:
        """The A-ASSOCIATE-RQ, or what came in its place."""
        seen = await self.peer.next(self.seconds)
        if seen is None:
            return Outcome("SILENCE", (), "the product connected and sent nothing")
        outcome = outcome_of(seen)
        if outcome.word == "RQ":
            pdu = decode_pdu(seen.octets).pdu
            assert isinstance(pdu, AAssociateRQ)
            self.request, self.request_octets = pdu, seen.octets
        return outcome

    def answer(self) -> Answer:
        """Every context accepted, with a transfer syntax that the kit takes."""
        assert self.request is not None
        results = []
        for context in self.request.presentation_contexts:
            offered = context.transfer_syntaxes
            first = offered[0] if offered else IMPLICIT_VR_LITTLE_ENDIAN
            syntax = next((uid for uid in TAKEN if uid in offered), first)
            self.accepted[context.context_id] = (context.abstract_syntax or "", syntax)
            results.append(result(context.context_id, 0, syntax))
        answer = Answer(echoed=self.request_octets[10:74], results=tuple(results))
        roles = tuple(
            stimuli.role(role.sop_class_uid, role.scu_role, role.scp_role) for role in self.request.role_selections
        )
        return answer.but(user=(*answer.user, *roles)) if roles else answer

    async def accept(self, change: Change | None = None) -> None:
        """Send the A-ASSOCIATE-AC."""
        answer = self.answer()
        await self.peer.send((change(answer) if change else answer).encode())

    async def next(self, seconds: float | None = None) -> Message | Outcome:
        """The next message, or what came in its place."""
        patience = self.seconds if seconds is None else seconds
        while not self._messages:
            seen = await self.peer.next(patience)
            if seen is None:
                return Outcome("SILENCE", (), f"nothing was sent for {patience:g} s and the connection stayed open")
            if seen.end is not None:
                return outcome_of(seen)
            if seen.octets[0] != 0x04:
                return of_pdu(seen.octets)
            try:
                self._messages += self._assembler.pdu(seen.octets, seen.time)
            except DecodeError as error:
                return Outcome("GARBAGE", (), str(error))
            self._messages = [one for one in self._messages if one.command is not self._given_early]
        return self._messages.pop(0)

    async def first_command(self) -> Message | None:
        """A message as soon as its command set has come, its data set still on the way; None when none comes.

        `next` does not give it once more when the data set has come.
        """
        while True:
            seen = await self.peer.next(self.seconds)
            if seen is None or seen.end is not None or seen.octets[0] != 0x04:
                return None
            self._messages += self._assembler.pdu(seen.octets, seen.time)
            if self._messages:
                return self._messages.pop(0)
            if self._assembler.command is not None:
                self._given_early = self._assembler.command
                return Message(self._assembler.context_id, self._assembler.command, None, seen.time)

    async def respond(
        self, message: Message, status: int, data: bytes | None = None, **others: int | str | bytes | None
    ) -> None:
        """The response to a request; `others` are more elements by tag: `x0902="..."`, None leaves one out."""
        values: dict[int, int | str | bytes | None] = {
            0x0002: message.command.text(0x0002) or message.command.text(0x0003),
            0x0100: message.command.field | 0x8000,
            0x0120: message.command.number(0x0110) or 0,
            0x0800: NO_DATA_SET if data is None else DATA_SET,
            0x0900: status,
            0x1000: message.command.text(0x1000),
        }
        values |= {int(name[1:], 16): value for name, value in others.items()}
        await self.peer.send(stimuli.message(message.context_id, command_set.encode(values), data, limit=self.limit))

    @property
    def limit(self) -> int:
        """The product's maximum length; a moderate one when it has none."""
        announced = None if self.request is None else self.request.maximum_length_received
        return min(announced or 16384, 16384)

    async def serve(
        self, status: Status = 0, *, matches: tuple[bytes, ...] = (), seconds: float | None = None
    ) -> Outcome:
        """Answer every request until the product releases, which is answered, or something else happens."""
        number = 0
        while True:
            message = await self.next(seconds)
            if isinstance(message, Outcome):
                if message.word == "RELEASE":
                    await self.peer.send(stimuli.RELEASE_RP)
                return message
            number += 1
            chosen = status(number, message) if callable(status) else status
            await self.serve_one(message, chosen, matches)

    async def serve_one(self, message: Message, status: int, matches: tuple[bytes, ...] = ()) -> None:
        """Answer one request; a C-FIND gets its matches first."""
        if message.command.field == command_set.C_STORE_RQ:
            self.stored.append(message)
        if message.command.field == command_set.C_FIND_RQ and status == 0:
            for match in matches:
                await self.respond(message, 0xFF00, match)
        if message.command.field == command_set.C_CANCEL_RQ or message.is_response:
            return
        self.served += 1
        await self.respond(message, status, **_counters(message))


def _counters(message: Message) -> dict[str, Any]:
    if message.command.field in (command_set.C_MOVE_RQ, command_set.C_GET_RQ):
        return {"x1021": 0, "x1022": 0, "x1023": 0, "x1000": None}
    return {}
