"""The tables of the index and how attributes are read from them. No text of a peer ever becomes part of a statement."""

from typing import NamedTuple

from dulcet.services.querying.attributes import ATTRIBUTES
from dulcet.services.querying.query_models import Level


class Table(NamedTuple):
    """The table of one level."""

    name: str
    alias: str
    parent: str
    """The column that refers to the row above; "" at the top."""
    identity: tuple[str, ...]
    """The columns that tell one entity from another."""
    columns: tuple[str, ...]
    """The attributes that it has."""


def _columns(level: Level) -> tuple[str, ...]:
    return tuple(one.name for one in ATTRIBUTES if one.level is level and not one.is_derived)


TABLES = {
    Level.PATIENT: Table("patient", "p", "", ("patient_id", "issuer_of_patient_id"), _columns(Level.PATIENT)),
    Level.STUDY: Table("study", "t", "patient", ("study_instance_uid",), _columns(Level.STUDY)),
    Level.SERIES: Table("series", "s", "study", ("study", "series_instance_uid"), _columns(Level.SERIES)),
    Level.IMAGE: Table("instance", "i", "series", ("sop_instance_uid",), _columns(Level.IMAGE)),
}

FILE_COLUMNS = ("shard", "transfer_syntax_uid", "data_set_offset", "file_size", "modified")
"""What an instance has beside its attributes."""

_SERIES_OF_PATIENT = "series JOIN study ON study.id = series.study WHERE study.patient = p.id"
_INSTANCES_OF = "instance JOIN series ON series.id = instance.series"
_DERIVED = {
    "number_of_patient_related_studies": "(SELECT count(*) FROM study WHERE study.patient = p.id)",
    "number_of_patient_related_series": f"(SELECT count(*) FROM {_SERIES_OF_PATIENT})",
    "number_of_patient_related_instances": (
        f"(SELECT count(*) FROM {_INSTANCES_OF} JOIN study ON study.id = series.study WHERE study.patient = p.id)"
    ),
    "modalities_in_study": "(SELECT group_concat(DISTINCT modality) FROM series WHERE series.study = t.id)",
    "sop_classes_in_study": (
        f"(SELECT group_concat(DISTINCT instance.sop_class_uid) FROM {_INSTANCES_OF} WHERE series.study = t.id)"
    ),
    "number_of_study_related_series": "(SELECT count(*) FROM series WHERE series.study = t.id)",
    "number_of_study_related_instances": f"(SELECT count(*) FROM {_INSTANCES_OF} WHERE series.study = t.id)",
    "number_of_series_related_instances": "(SELECT count(*) FROM instance WHERE instance.series = s.id)",
    "available_transfer_syntax_uid": "i.transfer_syntax_uid",
}


def _expression(name: str, alias: str) -> str:
    derived = _DERIVED.get(name)
    if derived is None:
        return f"{alias}.{name}"
    if "group_concat" in derived:  # its separator is a comma, which neither a CS nor a UI can have
        return f"replace(coalesce({derived}, ''), ',', '\\')"
    return f"CAST({derived} AS TEXT)"


EXPRESSIONS = {one.name: _expression(one.name, TABLES[one.level].alias) for one in ATTRIBUTES}
"""By the attribute's name."""


def _create(level: Level) -> str:
    table = TABLES[level]
    parent = f"{table.parent} INTEGER NOT NULL, " if table.parent else ""
    texts = "".join(f"{column} TEXT NOT NULL DEFAULT '', " for column in table.columns)
    files = "shard TEXT NOT NULL, transfer_syntax_uid TEXT NOT NULL, data_set_offset INTEGER NOT NULL, "
    files += "file_size INTEGER NOT NULL, modified INTEGER NOT NULL, "
    return (
        f"CREATE TABLE {table.name} (id INTEGER PRIMARY KEY, {parent}{texts}{files if level is Level.IMAGE else ''}"
        f"UNIQUE ({', '.join(table.identity)}))"
    )


TABLE_NAMES = (*(table.name for table in TABLES.values()), "unreadable")
"""All that an index has."""

CREATE_TABLES = (
    *(_create(level) for level in TABLES),
    "CREATE INDEX study_of_patient ON study (patient)",
    "CREATE INDEX study_accession_number ON study (accession_number)",
    "CREATE INDEX instance_of_series ON instance (series)",
    "CREATE INDEX instance_shard ON instance (shard)",
    "CREATE TABLE unreadable (sop_instance_uid TEXT PRIMARY KEY, shard TEXT NOT NULL, file_size INTEGER NOT NULL,"
    " modified INTEGER NOT NULL, reason TEXT NOT NULL)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (CREATE_TABLES,)
"""What brings a file from one version (PRAGMA user_version) to the next."""
