"""How the index tells of series: its rows joined with the record of what came, which is attached as `came`."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice

from dulcet.services.querying.query_models import Level
from dulcet.station.archive.arrival_book import COLUMNS, arrival_of
from dulcet.station.archive.index_schema import TABLES
from dulcet.station.archive.series import Instance, Series, Wanted
from dulcet.station.archive.vault import name_of

ATTACHED = "came"
SEPARATOR = "\x1f"  # stands for the comma in an AE title, which group_concat puts between them

_ABOVE = (Level.PATIENT, Level.STUDY, Level.SERIES)
_ATTRIBUTES = tuple(f"{TABLES[level].alias}.{name}" for level in _ABOVE for name in TABLES[level].columns)
_NAMES = tuple(name for level in _ABOVE for name in TABLES[level].columns)
_JOINED = "series s JOIN study t ON t.id = s.study JOIN patient p ON p.id = t.patient"
_NOW = "a.sop_instance_uid = i.sop_instance_uid AND a.digest = '' AND a.is_current"

_SUMMED = (
    "SELECT i.series, count(*) AS instances, sum(i.file_size) AS octets,"
    " max(coalesce(a.received, i.modified)) AS arrived,"
    f" group_concat(DISTINCT replace(a.ae_title, ',', '{SEPARATOR}')) AS sources"
    f" FROM instance i LEFT JOIN {ATTACHED}.arrival a ON {_NOW} GROUP BY i.series"
)
_BESIDE = (
    "SELECT series_instance_uid, count(*) AS conflicts, sum(coalesce(octets, 0)) AS octets, max(received) AS arrived"
    f" FROM {ATTACHED}.arrival WHERE is_current AND digest != '' GROUP BY series_instance_uid"
)
_ARRIVED = "max(n.arrived, coalesce(b.arrived, 0))"
_SERIES = (
    "SELECT s.series_instance_uid, t.study_instance_uid, p.patient_name, p.patient_id, t.study_date,"
    " t.study_description, s.modality, s.series_number, s.series_description,"
    " sum(n.instances), sum(n.octets) + coalesce(max(b.octets), 0), coalesce(max(b.conflicts), 0),"
    f" max({_ARRIVED}) AS last, group_concat(n.sources)"
    f" FROM {_JOINED} JOIN ({_SUMMED}) n ON n.series = s.id"
    f" LEFT JOIN ({_BESIDE}) b ON b.series_instance_uid = s.series_instance_uid"
)
_ARRIVAL = ", ".join(f"a.{column}" for column in COLUMNS)
_INSTANCES = (
    f"SELECT i.sop_instance_uid, i.sop_class_uid, i.transfer_syntax_uid, i.instance_number, i.file_size, {_ARRIVAL}"
    f" FROM instance i JOIN series s ON s.id = i.series LEFT JOIN {ATTACHED}.arrival a ON {_NOW}"
    " WHERE s.series_instance_uid = ?"
)


def series(connection: sqlite3.Connection, wanted: Wanted, limit: int | None) -> Sequence[Series]:
    """See `interfaces.VaultIndex.series`."""
    conditions, values = _conditions(wanted)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    statement = f"{_SERIES}{where} GROUP BY s.series_instance_uid ORDER BY last DESC, s.id DESC"
    return list(islice(_matching(map(_series, connection.execute(statement, values)), wanted), limit))


def _conditions(wanted: Wanted) -> tuple[list[str], list[str | int]]:
    conditions: list[str] = []
    values: list[str | int] = []
    first, last = wanted.study_dates
    for condition, value in (
        ("t.study_instance_uid = ?", wanted.study),
        ("s.modality = ?", wanted.modality.upper()),
        ("t.study_date >= ?", first),
        ("t.study_date <= ? AND t.study_date != ''", last),
        (f"{_ARRIVED} >= ?", wanted.since),
    ):
        if value:
            conditions.append(condition)
            values.append(value)
    if wanted.series:
        conditions.append(f"s.series_instance_uid IN ({', '.join('?' * len(wanted.series))})")
        values += wanted.series
    return conditions, values


def _series(row: Sequence[str | int]) -> Series:
    *texts, instances, octets, conflicts, arrived, sources = row
    uid, study, patient_name, patient_id, date, study_description, modality, number, description = map(str, texts)
    titles = {title.replace(SEPARATOR, ",") for title in str(sources or "").split(",")}
    return Series(
        series_instance_uid=uid,
        study_instance_uid=study,
        patient_name=patient_name,
        patient_id=patient_id,
        study_date=date,
        study_description=study_description,
        modality=modality,
        series_number=number,
        series_description=description,
        instances=int(instances),
        octets=int(octets),
        conflicts=int(conflicts),
        arrived=int(arrived),
        sources=tuple(sorted(filter(None, titles))),
    )


def _matching(found: Iterator[Series], wanted: Wanted) -> Iterator[Series]:
    for each in found:
        if wanted.ae_title and wanted.ae_title not in each.sources:
            continue
        if not wanted.patient or is_patient(wanted.patient, each.patient_name, each.patient_id):
            yield each


def is_patient(text: str, name: str, patient_id: str) -> bool:
    """Whether `text` is part of a patient's name, or its ID; with * or ? it is a pattern for either."""
    sought, name, patient_id = text.casefold(), name.casefold(), patient_id.casefold()
    if "*" in sought or "?" in sought:
        pattern = sought.replace("[", "[[]")
        return fnmatchcase(name, pattern) or fnmatchcase(patient_id, pattern)
    return sought in name or sought == patient_id


def series_uids(connection: sqlite3.Connection) -> set[str]:
    """See `interfaces.VaultIndex.series_uids`."""
    return {
        uid
        for table in ("series", f"{ATTACHED}.arrival")
        for (uid,) in connection.execute(f"SELECT DISTINCT series_instance_uid FROM {table}")
    }


def attributes(connection: sqlite3.Connection, series_instance_uid: str) -> Mapping[str, str]:
    """See `interfaces.VaultIndex.attributes`."""
    statement = f"SELECT {', '.join(_ATTRIBUTES)} FROM {_JOINED} WHERE s.series_instance_uid = ?"
    row = connection.execute(statement, (series_instance_uid,)).fetchone()
    return {} if row is None else {name: value for name, value in zip(_NAMES, row, strict=True) if value}


def instances(connection: sqlite3.Connection, series_instance_uid: str) -> Sequence[Instance]:
    """See `interfaces.VaultIndex.instances`."""
    found: dict[str, Instance] = {}
    for row in connection.execute(_INSTANCES, (series_instance_uid,)):
        uid, sop_class, syntax, number, octets, *arrival = row
        found[name_of(uid)] = Instance(
            name=name_of(uid),
            sop_instance_uid=uid,
            sop_class_uid=sop_class,
            transfer_syntax_uid=syntax,
            instance_number=number,
            octets=octets,
            arrival=None if arrival[0] is None else arrival_of(arrival),
        )
    statement = f"SELECT {_ARRIVAL} FROM {ATTACHED}.arrival a WHERE a.series_instance_uid = ? AND a.is_current"
    for row in connection.execute(statement, (series_instance_uid,)):
        arrival = arrival_of(row)
        if arrival.name not in found:
            uid = str(row[1])
            found[arrival.name] = Instance(name=arrival.name, sop_instance_uid=uid, arrival=arrival)
    return sorted(found.values(), key=_by_number)


def _by_number(each: Instance) -> tuple[int, str]:
    number = each.instance_number.strip()
    is_number = number.lstrip("+-").isascii() and number.lstrip("+-").isdigit()
    return int(number) if is_number and len(number) < 13 else 0, each.name
