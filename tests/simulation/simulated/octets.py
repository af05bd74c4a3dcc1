"""Objects to send, and what a peer may say that has no idea of the protocol."""

import os
import random
import struct

from dulcet.dimse.assembly import command_values, data_values
from dulcet.dimse.messages import CEchoRQ, CStoreRQ
from dulcet.dimse.uids import VERIFICATION
from dulcet.services.echo import VERIFICATION_CONTEXT
from dulcet.services.part10 import Part10Header, read_header
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import propose
from dulcet.ul.pdu import AAbort, AReleaseRQ

CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
CONTEXTS = (VERIFICATION_CONTEXT, PresentationContextRQ.propose(3, CT, (IMPLICIT,)))
MAX_PDU_LENGTH = 4096


def data_set(instance: str, pixels: bytes) -> bytes:
    """A small object in Implicit VR Little Endian."""
    elements = ((0x0008, 0x0016, CT.encode()), (0x0008, 0x0018, instance.encode()), (0x7FE0, 0x0010, pixels))
    return b"".join(
        struct.pack("<HHL", group, number, len(value) + len(value) % 2) + value + b"\0" * (len(value) % 2)
        for group, number, value in elements
    )


def data_set_of(octets: bytes | bytearray) -> bytes | None:
    """What comes after the header of a DICOM file; None when it is none."""
    if octets[128:132] != b"DICM" or len(octets) < 144:
        return None
    return bytes(octets[144 + int.from_bytes(octets[140:144], "little") :])  # (0002,0000) counts what follows it


def header_of(octets: bytes) -> Part10Header:
    """The header of a DICOM file in memory; NotDICOMError."""
    descriptor = os.memfd_create("simulated")
    try:
        os.write(descriptor, octets)
        return read_header(descriptor)
    finally:
        os.close(descriptor)


def chaos(rng: random.Random) -> bytes:
    """A conversation in which something is wrong, or several things."""
    octets = bytearray(_conversation(rng))
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(octets))
        kind = rng.randrange(5)
        if kind == 0:
            octets[at] = rng.randrange(256)
        elif kind == 1:
            del octets[at : at + rng.randint(1, 20)]
        elif kind == 2:
            octets[at:at] = rng.randbytes(rng.randint(1, 20))
        elif kind == 3:
            octets[at:at] = octets[at : at + rng.randint(1, 200)]
        else:
            del octets[at:]
        if not octets:
            return b"\x99"
    return bytes(octets)


def _conversation(rng: random.Random) -> bytes:
    request = propose(
        called_ae_title="DULCET", calling_ae_title="CHAOS", contexts=CONTEXTS, max_pdu_length=MAX_PDU_LENGTH
    )
    parts = [request.encode()]
    for _ in range(rng.randint(0, 3)):
        if rng.random() < 0.4:
            parts += _encoded(command_values(1, _echo(rng).encode(), MAX_PDU_LENGTH))
        else:
            instance = f"2.26.{rng.randrange(3)}"
            store = CStoreRQ(affected_sop_class_uid=CT, message_id=rng.randrange(4), affected_sop_instance_uid=instance)
            octets = data_set(instance, rng.randbytes(rng.choice((2, 100, 6000))))
            parts += _encoded(command_values(3, store.encode(), MAX_PDU_LENGTH))
            parts += _encoded(data_values(3, memoryview(octets), True, MAX_PDU_LENGTH))
    parts.append(rng.choice((AReleaseRQ().encode(), AAbort().encode(), b"")))
    return b"".join(parts)


def _echo(rng: random.Random) -> CEchoRQ:
    return CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=rng.randrange(4))


def _encoded(pdus: list) -> list[bytes]:
    return [pdu.encode() for pdu in pdus]
