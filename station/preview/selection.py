"""Which images of a series a sheet shows: a few, evenly chosen, in the order of their instance numbers."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dulcet.errors import DecodeError, NoInputError, NotDICOMError
from dulcet.escape import quote
from dulcet.services.part10 import Part10Header, read_header
from dulcet.services.querying.character_sets import decode_text
from dulcet.services.querying.head import read_head
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET
from dulcet.station.preview.picture import Image
from dulcet.station.sending.files import FileToSend, Unusable, find_files
from dulcet.station.sending.files import Problem as Cause

MAX_OBJECTS = 100_000  # looked at in a folder
MAX_NAME_CHARACTERS = 200  # shown of a path

SERIES_INSTANCE_UID, INSTANCE_NUMBER, NUMBER_OF_FRAMES = 0x0020000E, 0x00200013, 0x00280008
_PATIENT = (0x00100010, 0x00100020, 0x00080020, 0x00080060, 0x0008103E)
"""Patient's Name, Patient ID, Study Date, Modality, Series Description."""
_WANTED = (*_PATIENT, SPECIFIC_CHARACTER_SET, SERIES_INSTANCE_UID, INSTANCE_NUMBER, NUMBER_OF_FRAMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesObject:
    """An object that may be shown, as its head says."""

    path: str
    series_instance_uid: str = ""
    instance_number: int | None = None
    frames: int = 1
    """That it says it has."""
    patient_octets: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Of patient, study and series, by tag: for a heading that was asked for."""

    def patient_words(self) -> list[str]:
        """Patient, study and series, those that are known. Raw: quote them."""
        character_set = self.patient_octets.get(SPECIFIC_CHARACTER_SET, b"").decode("ascii", "replace").strip(" \0")
        octets = [self.patient_octets.get(tag, b"") for tag in _PATIENT]
        return [words for each in octets if (words := decode_text(each, character_set).strip(" \0"))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """An image of a sheet."""

    image: Image
    caption: str
    """Its place in the series; nothing of the patient."""


def find_objects(paths: Sequence[str | os.PathLike[str]]) -> list[SeriesObject]:
    """The DICOM files that `paths` name, and those in folders and below, ordered by series and instance number.

    NoInputError for a path that is not there, and when there is none; NotDICOMError for a file that is none. What else
    lies in a folder is passed over. Synchronous: some 200 microseconds for a file.
    """
    found: list[SeriesObject] = []
    named = {os.fspath(path) for path in paths}
    for one in find_files(paths):
        if isinstance(one, Unusable):
            if one.problem is Cause.INCOMPLETE and one.is_failure:  # not enough to be sent, but it may have pixels
                found.append(read_object(one.name))
            elif one.problem is Cause.NO_INPUT:
                raise NoInputError(f"{quote(one.name, MAX_NAME_CHARACTERS)}: {one.reason}")
            elif one.name in named:
                raise NotDICOMError(f"{quote(one.name, MAX_NAME_CHARACTERS)}: {one.reason}")
        elif type(one) is FileToSend:  # members of an archive have no path of their own
            found.append(read_object(one.name))
        if len(found) == MAX_OBJECTS:
            break
    if not found:
        raise NoInputError("there is no DICOM file to show")
    return ordered(found)


def ordered(objects: Iterable[SeriesObject]) -> list[SeriesObject]:
    """By series and instance number; those that tell none come last, in their order."""

    def place(one: SeriesObject) -> tuple[str, bool, int]:
        return one.series_instance_uid, one.instance_number is None, one.instance_number or 0

    return sorted(objects, key=place)


def read_object(path: str) -> SeriesObject:
    """What the head of a file says of its place. A file that can't be read has none: its decoder will say why."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return SeriesObject(path=path)
    values: dict[int, bytes] = {}
    header: Part10Header | None = None
    try:
        with suppress(NotDICOMError, DecodeError, OSError):
            header = read_header(descriptor)
            values = read_head(descriptor, header, _WANTED)
    finally:
        os.close(descriptor)
    return SeriesObject(
        path=path,
        series_instance_uid=values.get(SERIES_INSTANCE_UID, b"").decode("ascii", "replace").strip(" \0"),
        instance_number=_number(values.get(INSTANCE_NUMBER)),
        frames=max(1, _number(values.get(NUMBER_OF_FRAMES)) or 1),
        patient_octets={tag: values[tag] for tag in (*_PATIENT, SPECIFIC_CHARACTER_SET) if tag in values},
    )


def _number(octets: bytes | None) -> int | None:
    """The value of an IS (PS3.5 6.2), at most 12 characters; None for anything else."""
    try:
        return int(octets[:13]) if octets is not None else None
    except ValueError:
        return None


def choose(objects: Sequence[SeriesObject], images: int, frame: int | None = None) -> list[Chosen]:
    """At most `images` of them: objects at even distances, the first and the last included.

    Where there are fewer objects than that, several frames of those that have them, at even distances too. With `frame`
    that one of each object, counted from 1.
    """
    picked = [objects[place] for place in evenly(len(objects), images)]
    if frame is not None or len(objects) >= images:
        frames = [[frame] for _ in picked]
    else:
        frames = [
            [number + 1 for number in evenly(one.frames, share)] if one.frames > 1 else [None]
            for one, share in zip(picked, _shares([one.frames for one in picked], images), strict=True)
        ]
    return [
        Chosen(image=Image(one.path, number), caption=_caption(one, number, is_alone=len(objects) == 1))
        for one, numbers in zip(picked, frames, strict=True)
        for number in numbers
    ]


def evenly(count: int, wanted: int) -> list[int]:
    """`wanted` places of 0 to `count` - 1, the first and the last among them; the one in the middle if it is one."""
    if wanted >= count:
        return list(range(count))
    if wanted == 1:
        return [(count - 1) // 2]
    return [(2 * index * (count - 1) + wanted - 1) // (2 * (wanted - 1)) for index in range(wanted)]


def _shares(frames: Sequence[int], images: int) -> list[int]:
    """How many frames of each object: as equally as they have them, `images` together if there are as many."""
    shares, left = [0] * len(frames), images
    open_places = list(range(len(frames)))
    while left and open_places:
        for place in open_places[:left]:
            shares[place] += 1
            left -= 1
        open_places = [place for place in open_places if shares[place] < frames[place]]
    return shares


def _caption(one: SeriesObject, frame: int | None, *, is_alone: bool) -> str:
    """Short: a tile has room for some twenty characters."""
    image = "IM -" if one.instance_number is None else f"IM {one.instance_number}"
    if one.frames == 1:
        return image
    frames = f"OF {one.frames} FR" if frame is None else f"FR {frame}/{one.frames}"
    return frames if is_alone else f"{image} {frames}"
