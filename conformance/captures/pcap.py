"""The pcap file format: microseconds or nanoseconds, either byte order; a reader and a writer."""

from collections.abc import Iterator
from typing import BinaryIO

from construct import Bytes, Int16ub, Int16ul, Int32ub, Int32ul

from dulcet.conformance.captures.headers import Header
from dulcet.conformance.captures.packets import Packet

MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("little", 1000),
    b"\xa1\xb2\xc3\xd4": ("big", 1000),
    b"\x4d\x3c\xb2\xa1": ("little", 1),
    b"\xa1\xb2\x3c\x4d": ("big", 1),
}
"""The first four octets -> byte order, and nanoseconds in a unit of the time stamps."""

_LINK_TYPE_BITS = 0xFFFF  # above them: the length of a frame check sequence
_SNAP_LENGTH = 262144
NANOSECONDS = 1_000_000_000


def _file_header(int16: Int16ub, int32: Int32ub) -> Header:
    return Header(
        "pcap file header",
        "magic_number" / Bytes(4),
        "version_major" / int16,
        "version_minor" / int16,
        "reserved_1" / int32,
        "reserved_2" / int32,
        "snap_length" / int32,
        "link_type" / int32,
    )


def _packet_record(int32: Int32ub) -> Header:
    return Header(
        "pcap packet record",
        "seconds" / int32,
        "fraction" / int32,
        "captured_length" / int32,
        "original_length" / int32,
    )


FILE_HEADER = {"little": _file_header(Int16ul, Int32ul), "big": _file_header(Int16ub, Int32ub)}
PACKET_RECORD = {"little": _packet_record(Int32ul), "big": _packet_record(Int32ub)}


def read_packets(octets: bytes, damage: list[str]) -> Iterator[Packet]:
    """The packets of a pcap file, as far as they are whole; `damage` says when the file ends within one."""
    order, unit = MAGICS[octets[:4]]
    header, record = FILE_HEADER[order], PACKET_RECORD[order]
    if len(octets) < header.size:
        damage.append("the file ends within its header")
        return
    link_type = header.unpack_from(octets)[6] & _LINK_TYPE_BITS
    position, number, end = header.size, 0, len(octets)
    unpack, size = record.unpack_from, record.size
    while position < end:
        if position + size > end:
            damage.append(f"the file ends within the header of packet {number + 1}")
            return
        seconds, fraction, captured, _ = unpack(octets, position)
        position += size
        number += 1
        stop = position + captured
        if stop > end:
            damage.append(f"packet {number} promises {captured} octets, the file has {end - position}")
            stop = end
        yield Packet(number, seconds * NANOSECONDS + fraction * unit, link_type, position, stop)
        position = stop


class PcapWriter:
    """Writes packets to a pcap file with nanosecond time stamps, little endian."""

    def __init__(self, file: BinaryIO, link_type: int = 1) -> None:
        self._file = file
        file.write(FILE_HEADER["little"].pack(b"\x4d\x3c\xb2\xa1", 2, 4, 0, 0, _SNAP_LENGTH, link_type))

    def write(self, time: int, octets: bytes) -> None:
        """One packet; `time` in nanoseconds since 1970-01-01 UTC."""
        length = len(octets)
        seconds, fraction = divmod(time, NANOSECONDS)
        self._file.write(PACKET_RECORD["little"].pack(seconds, fraction, length, length))
        self._file.write(octets)
