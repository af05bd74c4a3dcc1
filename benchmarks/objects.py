"""The objects that are sent: made here, the same octets each time, with a header like a scanner's.

Part 10 files, Explicit VR Little Endian, about seventy elements before the pixels, each with UIDs of its own.
"""

import itertools
import os
import random
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2.1"
ENHANCED_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4.1"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLEMENTATION_CLASS_UID = "2.25.201326592"
UID_ROOT = "2.25.3141592653589793238"  # a UUID as a number: what follows are more of its digits (PS3.5 B.2)

FILE_SET_OFFSET = 1_000_000  # distinct instances for each set
BLOCK_OCTETS = 1 << 20  # of pixels that repeat; each repetition is stamped with its number, so no two are equal
LONG_FORM = {"OB", "OW", "UN", "SQ", "UT"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectSet:
    """Objects of one size."""

    name: str
    """How it is chosen on the command line."""
    title: str
    """What the tables call it."""
    count: int
    """How many objects."""
    rows: int
    """Rows, and columns as well, of 16-bit pixels."""
    frames: int
    """Frames: above 1 the object is of a multi-frame class."""
    sop_class_uid: str
    """The SOP class."""
    rounds: int
    """How often it is sent when nothing else is asked for."""
    first_instance: int
    """Where its instances are counted from."""

    @property
    def pixel_octets(self) -> int:
        """Octets of pixels in one object."""
        return self.rows * self.rows * 2 * self.frames

    @property
    def title_with_count(self) -> str:
        """Such as "2,000 of 34 kB"."""
        return f"{self.count:,} of {self.title}" if self.count > 1 else f"one of {self.title}"


_offsets = itertools.count(FILE_SET_OFFSET, FILE_SET_OFFSET)


def _set(name: str, title: str, count: int, rows: int, frames: int, sop_class_uid: str, rounds: int) -> ObjectSet:
    return ObjectSet(
        name=name,
        title=title,
        count=count,
        rows=rows,
        frames=frames,
        sop_class_uid=sop_class_uid,
        rounds=rounds,
        first_instance=next(_offsets),
    )


SETS = (
    _set("small", "34 kB", 10_000, 128, 1, CT_IMAGE, 5),
    _set("slices", "526 kB", 1_500, 512, 1, MR_IMAGE, 5),
    _set("large", "268 MB", 4, 512, 512, ENHANCED_CT_IMAGE, 3),
    _set("huge", "1.57 GB", 1, 512, 3_000, ENHANCED_MR_IMAGE, 3),
)
QUICK_SETS = (
    replace(SETS[0], count=200, rounds=2),
    replace(SETS[1], count=60, rounds=2),
    replace(SETS[2], title="67 MB", count=2, frames=128, rounds=2),
)


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One data element, Explicit VR Little Endian (PS3.5 7.1.2), its value padded to even length."""
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    return element_header(tag, vr, len(value)) + value


def element_header(tag: int, vr: str, length: int) -> bytes:
    """Tag, VR and length of a data element."""
    group_and_element = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return group_and_element + (struct.pack("<HI", 0, length) if vr in LONG_FORM else struct.pack("<H", length))


CONSTANT_ELEMENTS: dict[int, tuple[str, str | int]] = {
    0x00080005: ("CS", "ISO_IR 192"),
    0x00080008: ("CS", "ORIGINAL\\PRIMARY\\AXIAL"),
    0x00080012: ("DA", "20260102"),
    0x00080013: ("TM", "101500.123000"),
    0x00080020: ("DA", "20260102"),
    0x00080021: ("DA", "20260102"),
    0x00080022: ("DA", "20260102"),
    0x00080023: ("DA", "20260102"),
    0x00080030: ("TM", "101000"),
    0x00080031: ("TM", "101200"),
    0x00080032: ("TM", "101210.5"),
    0x00080033: ("TM", "101211.25"),
    0x00080050: ("SH", "BENCH0001"),
    0x00080060: ("CS", "CT"),
    0x00080070: ("LO", "The dulcet developers"),
    0x00080080: ("LO", "Benchmark Hospital"),
    0x00080081: ("ST", "1 Loopback Street"),
    0x00080090: ("PN", "REFERRING^PHYSICIAN"),
    0x00081010: ("SH", "STATION1"),
    0x00081030: ("LO", "Benchmark study"),
    0x0008103E: ("LO", "Benchmark series, axial"),
    0x00081040: ("LO", "Department of measurements"),
    0x00081050: ("PN", "PERFORMING^PHYSICIAN"),
    0x00081090: ("LO", "Generator"),
    0x00100010: ("PN", "BENCHMARK^OBJECT"),
    0x00100020: ("LO", "BENCH-1"),
    0x00100030: ("DA", "19700101"),
    0x00100040: ("CS", "O"),
    0x00101010: ("AS", "056Y"),
    0x00101030: ("DS", "75.5"),
    0x00180015: ("CS", "CHEST"),
    0x00180022: ("CS", "HELIX"),
    0x00180050: ("DS", "1.25"),
    0x00180060: ("DS", "120"),
    0x00180090: ("DS", "500.0"),
    0x00181000: ("LO", "0000001"),
    0x00181020: ("LO", "0.1.0"),
    0x00181030: ("LO", "6.1 Thorax, routine"),
    0x00181100: ("DS", "360.0"),
    0x00181110: ("DS", "949.075"),
    0x00181111: ("DS", "541.0"),
    0x00181120: ("DS", "0.0"),
    0x00181130: ("DS", "154.0"),
    0x00181140: ("CS", "CW"),
    0x00181150: ("IS", "600"),
    0x00181151: ("IS", "300"),
    0x00181152: ("IS", "180"),
    0x00181160: ("SH", "BODY FILTER"),
    0x00181190: ("DS", "1.2"),
    0x00181210: ("SH", "STANDARD"),
    0x00185100: ("CS", "HFS"),
    0x00200010: ("SH", "1"),
    0x00200011: ("IS", "3"),
    0x00200012: ("IS", "1"),
    0x00200037: ("DS", "1\\0\\0\\0\\1\\0"),
    0x00201040: ("LO", "SN"),
    0x00280002: ("US", 1),
    0x00280004: ("CS", "MONOCHROME2"),
    0x00280030: ("DS", "0.703125\\0.703125"),
    0x00280100: ("US", 16),
    0x00280101: ("US", 12),
    0x00280102: ("US", 11),
    0x00280103: ("US", 0),
    0x00281050: ("DS", "40"),
    0x00281051: ("DS", "400"),
    0x00281052: ("DS", "-1024"),
    0x00281053: ("DS", "1"),
    0x00281054: ("LO", "HU"),
}
"""Tag -> VR and value of what all objects have in common."""


def data_set_header(objects: ObjectSet, instance: int) -> bytes:
    """Everything before the value of the pixel data, in order of tags."""
    number = instance - objects.first_instance
    own: dict[int, tuple[str, str | int]] = {
        0x00080016: ("UI", objects.sop_class_uid),
        0x00080018: ("UI", f"{UID_ROOT}0{instance:010}"),
        0x0020000D: ("UI", f"{UID_ROOT}1{objects.first_instance:010}"),
        0x0020000E: ("UI", f"{UID_ROOT}2{objects.first_instance:010}"),
        0x00200013: ("IS", str(number + 1)),
        0x00200032: ("DS", f"-180.0\\-180.0\\{number * 1.25:g}"),
        0x00200052: ("UI", f"{UID_ROOT}3{objects.first_instance:010}"),
        0x00201041: ("DS", f"{number * 1.25:g}"),
        0x00280008: ("IS", str(objects.frames)),
        0x00280010: ("US", objects.rows),
        0x00280011: ("US", objects.rows),
    }
    octets = b"".join(
        element(tag, vr, struct.pack("<H", value) if isinstance(value, int) else value.encode())
        for tag, (vr, value) in sorted({**CONSTANT_ELEMENTS, **own}.items())
    )
    return octets + element_header(0x7FE00010, "OW", objects.pixel_octets)


def file_meta_information(objects: ObjectSet, instance: int) -> bytes:
    """Preamble, prefix and group 2 (PS3.10 7.1)."""
    elements = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", objects.sop_class_uid.encode())
        + element(0x00020003, "UI", f"{UID_ROOT}0{instance:010}".encode())
        + element(0x00020010, "UI", EXPLICIT_VR_LITTLE_ENDIAN.encode())
        + element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode())
        + element(0x00020013, "SH", b"DULCET_BENCH")
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(elements))) + elements


def generate(objects: ObjectSet, directory: Path) -> int:
    """Write the set into `directory` unless it is there complete; returns the octets of all files."""
    complete = directory.with_suffix(".complete")
    if complete.is_file() and complete.read_text() == repr(objects):
        return sum(path.stat().st_size for path in directory.iterdir())
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    block = bytearray(random.Random(objects.name).randbytes(min(BLOCK_OCTETS, objects.pixel_octets)))
    octets = 0
    for instance in range(objects.first_instance, objects.first_instance + objects.count):
        octets += _write_object(objects, instance, block, directory / f"{instance}.dcm")
    complete.write_text(repr(objects))
    return octets


def _write_object(objects: ObjectSet, instance: int, block: bytearray, path: Path) -> int:
    with path.open("wb") as file:
        file.write(file_meta_information(objects, instance) + data_set_header(objects, instance))
        for number, start in enumerate(range(0, objects.pixel_octets, BLOCK_OCTETS)):
            struct.pack_into("<QQ", block, 0, instance, number)
            file.write(memoryview(block)[: objects.pixel_octets - start])
        return file.tell()


def subset(directory: Path, count: int) -> Path:
    """A directory with links to the first `count` files of a set."""
    linked = directory.with_name(f"{directory.name}-{count}")
    if not linked.is_dir():
        linked.mkdir()
        for path in sorted(directory.iterdir())[:count]:
            os.link(path, linked / path.name)
    return linked
