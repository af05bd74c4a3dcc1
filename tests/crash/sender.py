"""What is sent to servers that die: objects made from their number, and a sender that logs what was acknowledged."""

import hashlib
import os
import random
from dataclasses import dataclass, field

from dulcet.conformance.kit import command_set
from dulcet.conformance.kit.messages import Assembler
from dulcet.conformance.kit.stimuli import Request, context, message, title
from dulcet.conformance.kit.synthetic import Image, data_set, store_rq

CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
CONTEXT = 1
REQUEST = Request(called=title("DULCET"), calling=title("SENDER"), contexts=(context(CONTEXT, CT, IMPLICIT),)).encode()
RESENT, DOUBTED = 0.25, 0.5  # shares: of what was acknowledged, and of what was not, that is sent again


@dataclass
class Objects:
    """What a lane has sent to one directory; contents are made from the number, so none is kept."""

    lane: int
    generation: int
    seed: int
    sent: int = 0
    acknowledged: list[int] = field(default_factory=list)
    doubted: set[int] = field(default_factory=set)
    """Sent, wholly or in part, and never answered."""

    def uid(self, number):
        return f"2.25.{self.lane + 1}{self.generation:05}{number:07}"

    def number(self, name):
        """Of the object that a file's name is for; None when nothing of that name was sent."""
        digits = name.removesuffix(".dcm")[-7:]
        number = int(digits) if digits.isdigit() else 0
        return number if 0 < number <= self.sent and name == f"{self.uid(number)}.dcm" else None

    def pixels(self, number):
        name = f"{self.seed}/{self.lane}/{self.generation}/{number}".encode()
        chance = random.Random(name)
        size = chance.choice((chance.randrange(4_000), chance.randrange(4_000), chance.randrange(60_000), 300_000))
        return hashlib.shake_128(name).digest(size // 2 * 2)

    def octets(self, number):
        pixels = self.pixels(number)
        elements = {0x00080016: ("UI", CT), 0x00080018: ("UI", self.uid(number)), 0x7FE00010: ("OW", pixels)}
        return data_set(elements)

    def choose(self, chance):
        """One to send now."""
        if self.acknowledged and chance.random() < RESENT:
            return chance.choice(self.acknowledged)
        if self.doubted and chance.random() < DOUBTED:
            return chance.choice(sorted(self.doubted))
        self.sent += 1
        return self.sent

    def message(self, number):
        """The C-STORE."""
        octets = self.octets(number)
        return message(CONTEXT, store_rq(1, Image(CT, self.uid(number), octets)), octets, limit=65536)


class Refused(Exception):
    """The server answered something else than success."""


async def send(stream, objects, chance, log, counts, acknowledged, begins):
    """Send until the server dies; `begins` is set when there is an association."""
    await stream.send_all(REQUEST)
    answers = Answers(stream)
    if (await answers.pdu())[0] != 2:
        raise Refused("the association was not accepted")
    begins.set()
    while True:
        number = objects.choose(chance)
        is_resent = number in acknowledged
        if not is_resent:
            objects.doubted.add(number)
        await stream.send_all(objects.message(number))
        status = await answers.status()
        if status:
            raise Refused(f"{objects.uid(number)}: {status:04X}H")
        os.write(log, f"{objects.uid(number)}\n".encode())
        os.fdatasync(log)
        counts["acknowledgements"] += 1
        counts["resent"] += is_resent
        objects.doubted.discard(number)
        if number not in acknowledged:
            acknowledged.add(number)
            objects.acknowledged.append(number)


class Answers:
    """PDUs and statuses from a stream; EndOfStream when it ends."""

    def __init__(self, stream):
        self._stream = stream
        self._octets = b""
        self._messages = Assembler()

    async def pdu(self):
        while len(self._octets) < 6 or len(self._octets) < 6 + int.from_bytes(self._octets[2:6], "big"):
            received = await self._stream.receive_some()
            if not received:
                raise EOFError
            self._octets += received
        end = 6 + int.from_bytes(self._octets[2:6], "big")
        pdu, self._octets = self._octets[:end], self._octets[end:]
        return pdu

    async def status(self):
        while True:
            pdu = await self.pdu()
            if pdu[0] != 4:
                raise Refused(f"a PDU of type {pdu[0]:02X}H came instead of a response")
            for found in self._messages.pdu(pdu):
                assert found.command.field == command_set.C_STORE_RSP
                return found.status
