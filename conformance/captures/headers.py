"""Headers of fixed size as construct layouts, and read by `struct`: a capture has one of each for every packet.

The declaration is one: the `struct` format is taken from the construct fields. A test proves the two equal.
"""

import struct
from typing import Any

from construct import Bytes, Construct, FormatField, Int8ub, Int16ub, Int32ub, Renamed
from construct import Struct as Layout


class Header:
    """Fields of fixed size in the order of the wire.

    `unpack_from(octets, offset)` gives their values as a tuple. It doesn't look where the packet ends: the caller
    compares with `size` first.
    """

    def __init__(self, title: str, *fields: Construct) -> None:
        self.title = title
        self.layout = Layout(*fields)
        self.names = tuple(field.name for field in fields)
        formats = [_format_of(field) for field in fields]
        orders = {text[0] for text in formats if text[0] in "<>"} or {">"}
        if len(orders) != 1:
            raise ValueError(f"{title}: one byte order for all fields")
        self._struct = struct.Struct(orders.pop() + "".join(text.lstrip("<>") for text in formats))
        self.size = self._struct.size
        self.unpack_from = self._struct.unpack_from
        self.pack = self._struct.pack

    def parse(self, octets: bytes) -> dict[str, Any]:
        """The same by construct, by name."""
        found = self.layout.parse(octets)
        return {name: found[name] for name in self.names}


def _format_of(field: Construct) -> str:
    subcon = field.subcon if isinstance(field, Renamed) else field
    if isinstance(subcon, FormatField):
        text: str = subcon.fmtstr
        return text.replace(">B", "B").replace("<B", "B")
    if isinstance(subcon, Bytes):
        return f"{subcon.length}s"
    raise TypeError(f"{field!r} has no fixed size")


# Link layer ---------------------------------------------------------------------------------------------------------

ETHERNET = Header(
    "Ethernet II (IEEE 802.3)",
    "destination" / Bytes(6),
    "source" / Bytes(6),
    "ether_type" / Int16ub,
)
VLAN_TAG = Header(
    "VLAN tag (IEEE 802.1Q), after an EtherType of 8100H or 88A8H",
    "tag_control_information" / Int16ub,
    "ether_type" / Int16ub,
)
LINUX_COOKED = Header(
    "Linux cooked capture (LINKTYPE_LINUX_SLL)",
    "packet_type" / Int16ub,
    "arphrd_type" / Int16ub,
    "address_length" / Int16ub,
    "address" / Bytes(8),
    "protocol" / Int16ub,
)
LINUX_COOKED_2 = Header(
    "Linux cooked capture, version 2 (LINKTYPE_LINUX_SLL2)",
    "protocol" / Int16ub,
    "reserved" / Int16ub,
    "interface_index" / Int32ub,
    "arphrd_type" / Int16ub,
    "packet_type" / Int8ub,
    "address_length" / Int8ub,
    "address" / Bytes(8),
)

# Network and transport ----------------------------------------------------------------------------------------------

IPV4 = Header(
    "Internet Protocol version 4 (RFC 791 3.1)",
    "version_and_header_length" / Int8ub,
    "type_of_service" / Int8ub,
    "total_length" / Int16ub,
    "identification" / Int16ub,
    "flags_and_fragment_offset" / Int16ub,
    "time_to_live" / Int8ub,
    "protocol" / Int8ub,
    "header_checksum" / Int16ub,
    "source" / Bytes(4),
    "destination" / Bytes(4),
)
IPV6 = Header(
    "Internet Protocol version 6 (RFC 8200 3)",
    "version_traffic_class_flow_label" / Int32ub,
    "payload_length" / Int16ub,
    "next_header" / Int8ub,
    "hop_limit" / Int8ub,
    "source" / Bytes(16),
    "destination" / Bytes(16),
)
IPV6_EXTENSION = Header(
    "IPv6 extension header (RFC 8200 4)",
    "next_header" / Int8ub,
    "header_extension_length" / Int8ub,
)
TCP = Header(
    "Transmission Control Protocol (RFC 9293 3.1)",
    "source_port" / Int16ub,
    "destination_port" / Int16ub,
    "sequence_number" / Int32ub,
    "acknowledgment_number" / Int32ub,
    "data_offset" / Int8ub,
    "control_bits" / Int8ub,
    "window" / Int16ub,
    "checksum" / Int16ub,
    "urgent_pointer" / Int16ub,
)
