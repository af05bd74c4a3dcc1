"""Series and their instances, as the vault shows them. Attributes are as the objects have them: never show them raw."""

from dataclasses import dataclass

from dulcet.station.archive.arrivals import Arrival


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which series. What is not said may be anything."""

    series: tuple[str, ...] = ()
    """Series Instance UIDs."""
    study: str = ""
    """Study Instance UID."""
    patient: str = ""
    """Part of the patient's name, or all of the ID; with * and ? a pattern for either. Capitals don't matter."""
    modality: str = ""
    study_dates: tuple[str, str] = ("", "")
    """The first and the last day, as YYYYMMDD."""
    since: int = 0
    """Something of it arrived then, or later: nanoseconds since 1970."""
    ae_title: str = ""
    """Something of it came from there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A series of which there is an object."""

    series_instance_uid: str
    study_instance_uid: str
    patient_name: str
    patient_id: str
    study_date: str
    study_description: str
    modality: str
    series_number: str
    series_description: str
    instances: int
    octets: int
    """Of the files, those too that lie beside another with the same UID."""
    conflicts: int
    """How many files lie beside another with the same UID."""
    arrived: int
    """When the last of it came: nanoseconds since 1970."""
    sources: tuple[str, ...]
    """AE titles that it came from, as far as they are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """A file of a series, or the record that it came."""

    name: str
    """Of its file."""
    sop_instance_uid: str
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    instance_number: str = ""
    octets: int | None = None
    """Of its file, when it was last looked at; None when the index has no such object."""
    arrival: Arrival | None = None
    """None: nothing is recorded."""
