"""A capture file, whatever its format: its packets, their times, and what could not be read of it."""

from array import array
from collections.abc import Iterator

from dulcet.conformance.captures import pcap, pcapng
from dulcet.conformance.captures.packets import Packet
from dulcet.errors import NotDICOMError

_LATEST = (1 << 63) - 1  # what 64 bits hold; the year 2262
_OTHER_FORMATS = (
    (b"\x1f\x8b", "it is compressed with gzip: decompress it first"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd: decompress it first"),
    (b"\x04\x22\x4d\x18", "it is compressed with lz4: decompress it first"),
    (b"snoop\0\0\0", "it is a snoop capture: `editcap -F pcap` converts it"),
    (b"XCP\0", "it is a Microsoft NetMon or Sniffer capture: `editcap -F pcap` converts it"),
    (b"GMBU", "it is a Microsoft NetMon capture: `editcap -F pcap` converts it"),
)


def is_capture(octets: bytes) -> bool:
    """Whether a file that begins like this is a capture."""
    return octets[:4] == pcapng.MAGIC or octets[:4] in pcap.MAGICS


def why_no_capture(octets: bytes) -> str | None:
    """A sentence for what is known and not read here."""
    if octets[128:132] == b"DICM":
        return "it is a DICOM file, not a capture"
    return next((why for start, why in _OTHER_FORMATS if octets.startswith(start)), None)


class CaptureFile:
    """The packets of one capture. Memory: the file, and one time for each packet."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.format = "pcapng" if octets[:4] == pcapng.MAGIC else "pcap"
        self.times = array("q")
        """Nanoseconds since 1970-01-01 UTC, by packet number - 1."""
        self.damage: list[str] = []
        """Why the file could not be read to its end."""
        self.key_log = b""
        """TLS keys that were in the file."""

    def packets(self) -> Iterator[Packet]:
        """All packets, in the order of the file."""
        if self.format == "pcapng":
            reader = pcapng.PcapngReader(self.octets, self.damage)
            packets = reader.packets()
        elif self.octets[:4] in pcap.MAGICS:
            reader = None
            packets = pcap.read_packets(self.octets, self.damage)
        else:
            raise NotDICOMError("it is neither a pcap nor a pcapng file")
        append = self.times.append
        for packet in packets:
            append(max(-_LATEST, min(packet.time, _LATEST)))
            yield packet
        if reader is not None:
            self.key_log = reader.key_log

    def time(self, packet: int | None) -> int | None:
        """When the packet of this number was captured; None for no packet."""
        return None if packet is None else self.times[packet - 1]
