"""Command sets as octets: what a case wants encoded, however wrong, and what came, element by element (PS3.7 6.3.1).

`dulcet.dimse.command_set` says what a command set means; here its elements are kept as they stood, in their order, so
that order, repetition and padding can be judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS

NO_DATA_SET = 0x0101
DATA_SET = 0x0001

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_GET_RQ, C_GET_RSP = 0x0010, 0x8010
C_FIND_RQ, C_FIND_RSP = 0x0020, 0x8020
C_MOVE_RQ, C_MOVE_RSP = 0x0021, 0x8021
C_ECHO_RQ, C_ECHO_RSP = 0x0030, 0x8030
C_CANCEL_RQ = 0x0FFF
N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP = 0x0100, 0x8100
N_GET_RQ, N_SET_RQ, N_ACTION_RQ, N_CREATE_RQ, N_DELETE_RQ = 0x0110, 0x0120, 0x0130, 0x0140, 0x0150

COMMAND_NAMES = {
    0x0001: "C-STORE", 0x0010: "C-GET", 0x0020: "C-FIND", 0x0021: "C-MOVE", 0x0030: "C-ECHO", 0x0100: "N-EVENT-REPORT",
    0x0110: "N-GET", 0x0120: "N-SET", 0x0130: "N-ACTION", 0x0140: "N-CREATE", 0x0150: "N-DELETE",
}  # fmt: skip


def command_name(field: int) -> str:
    """`C-ECHO-RSP` for 8030H."""
    if field == C_CANCEL_RQ:
        return "C-CANCEL-RQ"
    name = COMMAND_NAMES.get(field & 0x7FFF)
    return f"command {field:04X}H" if name is None else f"{name}-{'RSP' if field & 0x8000 else 'RQ'}"


def element(tag: int, value: int | str | bytes) -> bytes:
    """One element in Implicit VR Little Endian; a number is US (UL for the group length), text is padded to even."""
    if isinstance(value, int):
        octets = value.to_bytes(4 if tag in (0x0000, 0x0001) else 2, "little")
    else:
        octets = value.encode("latin-1") if isinstance(value, str) else value
        if isinstance(value, str) and len(octets) % 2:
            octets += b"\0" if COMMAND_ELEMENTS[tag].vr == "UI" else b" "
    return _header(tag, len(octets)) + octets


def _header(tag: int, length: int) -> bytes:
    return (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + length.to_bytes(4, "little")


def encode(values: Mapping[int, int | str | bytes | None]) -> bytes:
    """A command set as it should be: group length first, then the elements in ascending order; None leaves one out."""
    body = b"".join(element(tag, value) for tag, value in sorted(values.items()) if value is not None)
    return element(0x0000, len(body)) + body


def joined(elements: Iterable[bytes]) -> bytes:
    """Elements as they are given, after a group length that counts them."""
    body = b"".join(elements)
    return element(0x0000, len(body)) + body


@dataclass(frozen=True, slots=True)
class Element:
    """One element as it came."""

    tag: int
    octets: bytes

    @property
    def number(self) -> int:
        """The value as an unsigned number."""
        return int.from_bytes(self.octets, "little")

    @property
    def text(self) -> str:
        """The value as text, without padding."""
        return self.octets.decode("latin-1").rstrip("\0 ")


@dataclass(frozen=True, slots=True)
class CommandSet:
    """What came as a command set."""

    octets: bytes
    elements: tuple[Element, ...]
    """As far as they could be told apart."""
    fault: str = ""
    """Why the rest could not; empty when all could."""

    def number(self, tag: int) -> int | None:
        """The value of a US or UL element; None when it is missing."""
        found = self.find(tag)
        return None if found is None else found.number

    def text(self, tag: int) -> str | None:
        """The value of a text element; None when it is missing."""
        found = self.find(tag)
        return None if found is None else found.text

    def find(self, tag: int) -> Element | None:
        """The first element of that tag."""
        return next((found for found in self.elements if found.tag == tag), None)

    @property
    def field(self) -> int:
        """Command Field; 0 when it is missing."""
        return self.number(0x0100) or 0

    @property
    def status(self) -> int | None:
        """Status; None when it is missing."""
        return self.number(0x0900)

    @property
    def has_data_set(self) -> bool:
        """Whether Command Data Set Type promises one."""
        return self.number(0x0800) not in (None, NO_DATA_SET)


def parse(octets: bytes) -> CommandSet:
    """Cut into elements; never raises."""
    elements: list[Element] = []
    start = 0
    while start < len(octets):
        if len(octets) - start < 8:
            return CommandSet(octets, tuple(elements), f"{len(octets) - start} octets where an element was expected")
        group, number = (int.from_bytes(octets[start + at : start + at + 2], "little") for at in (0, 2))
        length = int.from_bytes(octets[start + 4 : start + 8], "little")
        stop = start + 8 + length
        if stop > len(octets):
            fault = f"({group:04X},{number:04X}) announces {length} octets, {len(octets) - start - 8} are present"
            return CommandSet(octets, tuple(elements), fault)
        elements.append(Element(group << 16 | number, octets[start + 8 : stop]))
        start = stop
    return CommandSet(octets, tuple(elements))
