"""The pcapng file format (draft-ietf-opsawg-pcapng): sections, interfaces, packets, and TLS keys kept with them."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from construct import Bytes, Int16ub, Int16ul, Int32ub, Int32ul

from dulcet.conformance.captures.headers import Header
from dulcet.conformance.captures.packets import Packet
from dulcet.conformance.captures.pcap import NANOSECONDS

MAGIC = b"\x0a\x0d\x0d\x0a"
"""Block type of a Section Header Block, the same in either byte order."""

_BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "little", b"\x1a\x2b\x3c\x4d": "big"}
_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_OBSOLETE_PACKET = 2
_SIMPLE_PACKET = 3
_ENHANCED_PACKET = 6
_DECRYPTION_SECRETS = 10
_TLS_KEY_LOG = 0x544C534B
# opt_endofopt, opt_comment, if_tsresol, if_tsoffset
_OPTION_END, _OPTION_COMMENT, _OPTION_RESOLUTION, _OPTION_OFFSET = 0, 1, 9, 14
_MIN_BLOCK_OCTETS = 12
_DEFAULT_RESOLUTION = 6  # microseconds
_MAX_DECIMAL_RESOLUTION = 30
_MAX_INTERFACES = 4096


class BlockLayouts:
    """What blocks begin with, in one byte order."""

    def __init__(self, int16: Int16ub, int32: Int32ub) -> None:
        self.block = Header("block", "block_type" / int32, "block_total_length" / int32)
        self.section = Header(
            "Section Header Block",
            "byte_order_magic" / Bytes(4),
            "version_major" / int16,
            "version_minor" / int16,
            "section_length" / Bytes(8),
        )
        self.interface = Header(
            "Interface Description Block", "link_type" / int16, "reserved" / int16, "snap_length" / int32
        )
        self.enhanced_packet = Header(
            "Enhanced Packet Block",
            "interface_id" / int32,
            "timestamp_upper" / int32,
            "timestamp_lower" / int32,
            "captured_length" / int32,
            "original_length" / int32,
        )
        self.obsolete_packet = Header(
            "Packet Block (obsolete)",
            "interface_id" / int16,
            "drops_count" / int16,
            "timestamp_upper" / int32,
            "timestamp_lower" / int32,
            "captured_length" / int32,
            "original_length" / int32,
        )
        self.simple_packet = Header("Simple Packet Block", "original_length" / int32)
        self.secrets = Header("Decryption Secrets Block", "secrets_type" / int32, "secrets_length" / int32)
        self.option = Header("option", "option_type" / int16, "option_length" / int16)


LAYOUTS = {"little": BlockLayouts(Int16ul, Int32ul), "big": BlockLayouts(Int16ub, Int32ub)}


class _Interface(NamedTuple):
    link_type: int
    snap_length: int
    numerator: int = NANOSECONDS
    denominator: int = 10**_DEFAULT_RESOLUTION
    offset: int = 0
    """Nanoseconds."""

    def time(self, upper: int, lower: int) -> int:
        return (upper << 32 | lower) * self.numerator // self.denominator + self.offset


class PcapngReader:
    """Reads one file; `key_log` has the TLS keys in it, `damage` says what could not be read."""

    def __init__(self, octets: bytes, damage: list[str]) -> None:
        self._octets = octets
        self._damage = damage
        self.key_log = b""
        self._order = "little"
        self._interfaces: list[_Interface] = []

    def packets(self) -> Iterator[Packet]:
        """The packets of all sections, as far as the blocks are whole."""
        number = 0
        for block_type, start, stop in self._blocks():
            if block_type in (_ENHANCED_PACKET, _OBSOLETE_PACKET, _SIMPLE_PACKET):
                number += 1
                found = self._packet(block_type, start, stop)
                if found is None:
                    self._damage.append(f"packet {number} is malformed or names an interface that is not described")
                    return
                interface, time, begin, captured = found
                if begin + captured > stop:
                    self._damage.append(f"packet {number} promises {captured} octets, its block has {stop - begin}")
                yield Packet(number, time, interface.link_type, begin, min(begin + captured, stop))
            elif block_type == _INTERFACE_DESCRIPTION:
                self._interface(start, stop)
            elif block_type == _DECRYPTION_SECRETS:
                self._secrets(start, stop)

    def _blocks(self) -> Iterator[tuple[int, int, int]]:
        """(type, start, end of the body) of each block."""
        octets, position, end = self._octets, 0, len(self._octets)
        while position < end:
            if octets[position : position + 4] == MAGIC:
                self._order = _BYTE_ORDERS.get(octets[position + 8 : position + 12], "")
                self._interfaces.clear()
            layouts = LAYOUTS.get(self._order)
            if layouts is None or position + _MIN_BLOCK_OCTETS > end:
                self._damage.append(f"no block of pcapng begins at octet {position}")
                return
            block_type, length = layouts.block.unpack_from(octets, position)
            if length < _MIN_BLOCK_OCTETS or length % 4 or position + length > end:
                self._damage.append(
                    f"the block at octet {position} promises {length} octets, the file has {end - position}"
                )
                return
            yield block_type, position + 8, position + length - 4
            position += length

    def _interface(self, start: int, stop: int) -> None:
        layout = LAYOUTS[self._order].interface
        if start + layout.size > stop or len(self._interfaces) >= _MAX_INTERFACES:
            return
        link_type, _, snap_length = layout.unpack_from(self._octets, start)
        options = self._options(start + layout.size, stop)
        resolution = (options.get(_OPTION_RESOLUTION) or bytes((_DEFAULT_RESOLUTION,)))[0]
        offset = int.from_bytes(options.get(_OPTION_OFFSET, b""), self._order, signed=True)  # type: ignore[arg-type]
        exponent = resolution & 0x7F
        units = 1 << exponent if resolution & 0x80 else 10 ** min(exponent, _MAX_DECIMAL_RESOLUTION)
        interface = _Interface(link_type, snap_length, denominator=units, offset=offset * NANOSECONDS)
        self._interfaces.append(interface)

    def _options(self, position: int, stop: int) -> dict[int, bytes]:
        layout = LAYOUTS[self._order].option
        found: dict[int, bytes] = {}
        while position + layout.size <= stop:
            code, length = layout.unpack_from(self._octets, position)
            position += layout.size
            if code == _OPTION_END or position + length > stop:
                break
            found.setdefault(code, self._octets[position : position + length])
            position += (length + 3) // 4 * 4
        return found

    def _packet(self, block_type: int, start: int, stop: int) -> tuple[_Interface, int, int, int] | None:
        """(interface, time, where the packet begins, captured octets)."""
        layouts = LAYOUTS[self._order]
        if block_type == _SIMPLE_PACKET:
            begin = start + layouts.simple_packet.size
            if begin > stop or not self._interfaces:
                return None
            (original,) = layouts.simple_packet.unpack_from(self._octets, start)
            interface = self._interfaces[0]
            return interface, 0, begin, min(original, interface.snap_length or original, stop - begin)
        layout = layouts.enhanced_packet if block_type == _ENHANCED_PACKET else layouts.obsolete_packet
        begin = start + layout.size
        if begin > stop:
            return None
        values = layout.unpack_from(self._octets, start)
        if values[0] >= len(self._interfaces):
            return None
        interface = self._interfaces[values[0]]
        upper, lower, captured = values[-4:-1]
        return interface, interface.time(upper, lower), begin, captured

    def _secrets(self, start: int, stop: int) -> None:
        layout = LAYOUTS[self._order].secrets
        if start + layout.size > stop:
            return
        secrets_type, length = layout.unpack_from(self._octets, start)
        if secrets_type == _TLS_KEY_LOG:
            begin = start + layout.size
            self.key_log += self._octets[begin : min(begin + length, stop)] + b"\n"


class PcapngWriter:
    """Writes packets to a pcapng file with nanosecond time stamps, little endian, one interface."""

    def __init__(self, file: BinaryIO, link_type: int = 1, *, comment: str = "") -> None:
        self._file = file
        self._layouts = LAYOUTS["little"]
        section = self._layouts.section.pack(b"\x4d\x3c\x2b\x1a", 1, 0, b"\xff" * 8)
        if comment:
            text = comment.encode()
            section += self._layouts.option.pack(_OPTION_COMMENT, len(text)) + text + bytes(-len(text) % 4)
            section += self._layouts.option.pack(_OPTION_END, 0)
        self._block(_SECTION_HEADER, section)
        resolution = self._layouts.option.pack(_OPTION_RESOLUTION, 1) + b"\x09\0\0\0"  # 10 to the power of -9
        end = self._layouts.option.pack(_OPTION_END, 0)
        interface = self._layouts.interface.pack(link_type, 0, 0)
        self._block(_INTERFACE_DESCRIPTION, interface + resolution + end)

    def write(self, time: int, octets: bytes) -> None:
        """One packet; `time` in nanoseconds since 1970-01-01 UTC."""
        length = len(octets)
        head = self._layouts.enhanced_packet.pack(0, time >> 32, time & 0xFFFFFFFF, length, length)
        self._block(_ENHANCED_PACKET, head + octets)

    def write_key_log(self, key_log: bytes) -> None:
        """TLS secrets, so that the file can be read without another one."""
        self._block(_DECRYPTION_SECRETS, self._layouts.secrets.pack(_TLS_KEY_LOG, len(key_log)) + key_log)

    def _block(self, block_type: int, body: bytes) -> None:
        padded = body + bytes(-len(body) % 4)
        length = len(padded) + _MIN_BLOCK_OCTETS
        self._file.write(self._layouts.block.pack(block_type, length) + padded + length.to_bytes(4, "little"))
