"""Acceptors that are hostile: they listen, hear what a requestor says, and answer with any octets."""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio
from hostile_kit import LOOPBACK, PATIENCE, Peer, command

from dulcet.conformance.kit import command_set
from dulcet.conformance.kit.stimuli import (
    application_context,
    implementation_class,
    item,
    maximum_length,
    message,
    pdu,
    title,
    transfer_syntax,
    user_information,
)

IMPLICIT = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"


def answer_of(context_id: int, result: int = 0, *syntaxes: str) -> bytes:
    """PS3.8 Table 9-18."""
    names = syntaxes or (IMPLICIT,)
    return item(0x21, bytes((context_id, 0, result, 0)) + b"".join(map(transfer_syntax, names)))


def accept(
    *answers: bytes, maximum: int | None = 16384, called: str = "DULCET", calling: str = "X", more: bytes = b""
) -> bytes:
    """An A-ASSOCIATE-AC with these answers; context 1 is accepted when there are none."""
    user = b"" if maximum is None else maximum_length(maximum)
    fixed = b"\0\1\0\0" + title(called) + title(calling) + bytes(32)
    items = application_context() + b"".join(answers or (answer_of(1),)) + more
    return pdu(0x02, fixed + items + user_information(user, implementation_class("1.2.3")))


def response(field: int, message_id: int = 1, status: int | None = 0, context_id: int = 1, **elements: Any) -> bytes:
    """A response; `elements` replace its own."""
    values = {0x0002: VERIFICATION, 0x0100: field, 0x0120: message_id, 0x0900: status}
    return message(context_id, command(values, elements))


def echoed(message_id: int = 1, status: int | None = 0, **elements: Any) -> bytes:
    """A C-ECHO-RSP."""
    return response(command_set.C_ECHO_RSP, message_id, status, **elements)


Script = Callable[["Hostile"], Awaitable[None]]


@dataclass
class Hostile:
    """One acceptor: what it does with its first connection, and what it heard on it."""

    script: Script
    peer: Peer = field(init=False)
    port: int = 0
    heard: list[str] = field(default_factory=list)
    octets: bytearray = field(default_factory=bytearray)

    async def serve(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """One connection; the other end has to close it."""
        listening = trio.socket.socket()
        with listening:
            await listening.bind((LOOPBACK, 0))
            listening.listen()
            self.port = listening.getsockname()[1]
            task_status.started()
            connection, _ = await listening.accept()
            self.peer = Peer(trio.SocketStream(connection))
            self.heard = self.peer.answers
            async with self.peer.stream:
                with trio.move_on_after(PATIENCE):
                    await self.script(self)
                    await self.peer.hear()

    async def say(self, *parts: bytes) -> None:
        """Any octets."""
        for part in parts:
            await self.peer.send(part)

    async def hear(self, count: int) -> None:
        """Until it has said so many things."""
        await self.peer.hear(count)

    async def accepts(self, *parts: bytes) -> None:
        """Hear the request, then say this; an acceptance when nothing is given."""
        await self.hear(1)
        await self.say(*(parts or (accept(),)))

    async def until_it_asks(self, *parts: bytes) -> None:
        """Accept, and hear the first operation."""
        await self.accepts(*parts)
        await self.hear(2)

    def small_buffer(self) -> None:
        """As little of what comes is taken by the kernel as can be."""
        self.peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


__all__ = [name for name in globals() if not name.startswith("_")]
