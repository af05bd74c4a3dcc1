"""Matches of `dulcet find --json` as the tree shows them: printable, and with the keys that name them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dulcet.dimse.uids import name_of
from dulcet.escape import legible
from dulcet.station.figures import day
from dulcet.station.tui.figures import count

MAX_CELL_CHARACTERS = 64

_PATIENT_NAME, _PATIENT_ID, _BIRTH_DATE, _SEX = "00100010", "00100020", "00100030", "00100040"
_STUDY_UID, _SERIES_UID, _SOP_INSTANCE_UID, _SOP_CLASS_UID = "0020000D", "0020000E", "00080018", "00080016"
_STUDY_DATE, _MODALITIES, _STUDY_TEXT, _ACCESSION = "00080020", "00080061", "00081030", "00080050"
_STUDY_SERIES, _STUDY_IMAGES = "00201206", "00201208"
_SERIES_NUMBER, _MODALITY, _SERIES_TEXT, _BODY_PART = "00200011", "00080060", "0008103E", "00180015"
_SERIES_IMAGES, _INSTANCE_NUMBER, _FRAMES = "00201209", "00200013", "00280008"


@dataclass(frozen=True, slots=True)
class Item:
    """Something that a peer has, on one level of the tree."""

    level: str
    """As `dulcet find` and `dulcet retrieve` call it: patients, studies, series, images."""
    label: str
    """Printable."""
    study: tuple[str, ...]
    """Study Instance UIDs; several of a patient."""
    series: str = ""
    image: str = ""
    images: int | None = None
    """How many it has, if the peer says so."""

    @property
    def words(self) -> tuple[str, ...]:
        """What `dulcet retrieve` is told: the level, then the UIDs."""
        level = "studies" if self.level == "patients" else self.level
        return (level, *self.keys)

    @property
    def keys(self) -> tuple[str, ...]:
        """The UIDs as options of `dulcet find` and `dulcet retrieve`."""
        pairs = [*(("study", uid) for uid in self.study), ("series", self.series), ("image", self.image)]
        return tuple(f"--{name}={uid}" for name, uid in pairs if uid)


def value(identifier: Mapping[str, Any], tag: str) -> str:
    """The value of an attribute in the DICOM JSON model (PS3.18 F.2), printable; "" when there is none."""
    attribute = identifier.get(tag)
    values = attribute.get("Value") if isinstance(attribute, Mapping) else None
    return legible(", ".join(map(_one, values)), MAX_CELL_CHARACTERS) if isinstance(values, list) else ""


def _one(single: object) -> str:
    if isinstance(single, Mapping):  # PN: the alphabetic group, or the first that there is
        return str(single.get("Alphabetic") or next(iter(single.values()), ""))
    return "" if single is None else str(single)


def patient_key(identifier: Mapping[str, Any]) -> tuple[str, str]:
    """What tells one patient from another in the answer to a query for studies."""
    return value(identifier, _PATIENT_ID), value(identifier, _PATIENT_NAME)


def patient(identifier: Mapping[str, Any], studies: tuple[str, ...]) -> Item:
    """The patient of a study."""
    born, sex = day(value(identifier, _BIRTH_DATE)), value(identifier, _SEX)
    name = value(identifier, _PATIENT_NAME) or "(no name)"
    parts = (name, value(identifier, _PATIENT_ID), f"* {born}" if born else "", sex)
    return Item("patients", _joined(*parts, count(len(studies), "study", "studies")), studies)


def study(identifier: Mapping[str, Any]) -> Item:
    """A match of a query for studies."""
    images, series = number(identifier, _STUDY_IMAGES), number(identifier, _STUDY_SERIES)
    label = _joined(
        day(value(identifier, _STUDY_DATE)) or "(no date)",
        value(identifier, _MODALITIES),
        value(identifier, _STUDY_TEXT),
        value(identifier, _ACCESSION),
        "" if series is None else f"{series:,} series",
        "" if images is None else count(images, "image"),
    )
    return Item("studies", label, (uid(identifier, _STUDY_UID),), images=images)


def series(identifier: Mapping[str, Any], above: Item) -> Item:
    """A match of a query for the series of a study."""
    images = number(identifier, _SERIES_IMAGES)
    label = _joined(
        value(identifier, _SERIES_NUMBER) or "-",
        value(identifier, _MODALITY),
        value(identifier, _SERIES_TEXT) or value(identifier, _BODY_PART),
        "" if images is None else count(images, "image"),
    )
    return Item("series", label, above.study, uid(identifier, _SERIES_UID), images=images)


def image(identifier: Mapping[str, Any], above: Item) -> Item:
    """A match of a query for the images of a series."""
    frames = number(identifier, _FRAMES)
    kind = name_of(uid(identifier, _SOP_CLASS_UID)).removesuffix(" Storage")
    label = _joined(
        value(identifier, _INSTANCE_NUMBER) or "-",
        legible(kind, MAX_CELL_CHARACTERS),
        "" if frames is None else count(frames, "frame"),
    )
    return Item("images", label, above.study, above.series, uid(identifier, _SOP_INSTANCE_UID), images=1)


def uid(identifier: Mapping[str, Any], tag: str) -> str:
    """A UID; "" for what is none: it becomes a word of a command line."""
    text = value(identifier, tag)
    return text if text.replace(".", "").isdecimal() and text.isascii() else ""


def number(identifier: Mapping[str, Any], tag: str) -> int | None:
    """A whole number; None for what is none."""
    text = value(identifier, tag)
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)
