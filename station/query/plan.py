"""From what a person asks to an identifier: the information model, the level, keys to match and keys to return.

What a level needs is filled in: the Query/Retrieve Level, its unique key, and the attributes that a table shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from dulcet.errors import ConfigurationError
from dulcet.services.querying.identifiers import QUERY_RETRIEVE_LEVEL, Keys
from dulcet.services.querying.query_models import (
    PATIENT_ROOT,
    SCHEDULED_PROCEDURE_STEP_SEQUENCE,
    STUDY_ROOT,
    UNIQUE_KEYS,
    WORKLIST,
    Level,
    Model,
)
from dulcet.station.query.keys import KeyTree, Path, merge, put, setdefault, walk

LEVELS = MappingProxyType(
    {
        "patients": Level.PATIENT,
        "studies": Level.STUDY,
        "series": Level.SERIES,
        "images": Level.IMAGE,
        "worklist": None,
    }
)
"""The words for what is looked for. A worklist has no level (PS3.4 K.2)."""

PATIENT_NAME, PATIENT_BIRTH_DATE, PATIENT_SEX, PATIENT_ID = 0x00100010, 0x00100030, 0x00100040, 0x00100020
STUDY_DATE, STUDY_TIME, ACCESSION_NUMBER, MODALITIES_IN_STUDY = 0x00080020, 0x00080030, 0x00080050, 0x00080061
STUDY_DESCRIPTION, SERIES_DESCRIPTION, MODALITY = 0x00081030, 0x0008103E, 0x00080060
STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID = 0x0020000D, 0x0020000E, 0x00080018
_STEP = SCHEDULED_PROCEDURE_STEP_SEQUENCE
STEP_START_DATE = (_STEP, 0x00400002)

SHOWN: Mapping[Level | None, tuple[Path, ...]] = MappingProxyType(
    {
        Level.PATIENT: ((PATIENT_NAME,), (PATIENT_BIRTH_DATE,), (PATIENT_SEX,), (0x00201200,), (PATIENT_ID,)),
        Level.STUDY: (
            (STUDY_DATE,),
            (STUDY_TIME,),
            (MODALITIES_IN_STUDY,),
            (PATIENT_NAME,),
            (PATIENT_ID,),
            (PATIENT_BIRTH_DATE,),
            (STUDY_DESCRIPTION,),
            (ACCESSION_NUMBER,),
            (0x00201206,),  # Number of Study Related Series
            (0x00201208,),  # and Instances
            (STUDY_INSTANCE_UID,),
        ),
        Level.SERIES: (
            (0x00200011,),  # Series Number
            (MODALITY,),
            (SERIES_DESCRIPTION,),
            (0x00180015,),  # Body Part Examined
            (0x00201209,),  # Number of Series Related Instances
            (SERIES_INSTANCE_UID,),
        ),
        Level.IMAGE: ((0x00200013,), (0x00280008,), (0x00080016,), (SOP_INSTANCE_UID,)),
        None: (
            STEP_START_DATE,
            (_STEP, 0x00400003),  # Scheduled Procedure Step Start Time
            (_STEP, MODALITY),
            (_STEP, 0x00400001),  # Scheduled Station AE Title
            (PATIENT_NAME,),
            (PATIENT_ID,),
            (PATIENT_BIRTH_DATE,),
            (_STEP, 0x00400007),  # Scheduled Procedure Step Description
            (ACCESSION_NUMBER,),
            (0x00401001,),  # Requested Procedure ID
            (STUDY_INSTANCE_UID,),
        ),
    }
)
"""What a table shows of each level, in this order."""

ALSO_RETURNED: Mapping[Level | None, tuple[Path, ...]] = MappingProxyType(
    {
        Level.PATIENT: (),
        Level.STUDY: ((PATIENT_SEX,), (0x00200010,), (0x00080090,)),  # Study ID, Referring Physician's Name
        Level.SERIES: (),
        Level.IMAGE: (),
        None: (
            (PATIENT_SEX,),
            (0x00321060,),  # Requested Procedure Description
            (0x00080090,),
            (_STEP, 0x00400006),  # Scheduled Performing Physician's Name
            (_STEP, 0x00400009),  # Scheduled Procedure Step ID
            (_STEP, 0x00400010),  # Scheduled Station Name
            (_STEP, 0x00400011),  # Scheduled Procedure Step Location
        ),
    }
)
"""What is asked for besides, for those who read more than a table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the options of a command ask for, whatever the model."""

    level: Level | None = Level.STUDY
    """None: a worklist."""
    keys: Keys = field(default_factory=dict)
    """From -k and from a file."""
    patient: str = ""
    """A name, with wild cards."""
    patient_id: str = ""
    study: tuple[str, ...] = ()
    """Study Instance UIDs."""
    series: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    accession: str = ""
    modality: str = ""
    dates: str = ""
    """The value of a date key."""
    is_bare: bool = False
    """Ask for nothing but the keys given and the unique key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A query in one model, ready to be checked and sent."""

    model: Model
    level: Level | None
    keys: Keys
    """All that goes into the identifier."""
    columns: tuple[Path, ...]
    """What a table shows."""


def models_for(level: Level | None, root: str = "auto") -> tuple[Model, ...]:
    """The models to propose for a level, the preferred one first; `root` is `auto`, `patient` or `study`.

    ConfigurationError when the root asked for doesn't have the level.
    """
    if level is None:
        return (WORKLIST,)
    if level is Level.PATIENT:
        if root == "study":
            raise ConfigurationError("the Study Root model has no patients: ask for studies, or use --root patient")
        return (PATIENT_ROOT,)
    return {"patient": (PATIENT_ROOT,), "study": (STUDY_ROOT,)}.get(root, (STUDY_ROOT, PATIENT_ROOT))


def plan(asked: Asked, model: Model) -> Query:
    """What was asked for, in `model`."""
    level = asked.level
    keys: KeyTree = {}
    merge(keys, asked.keys)
    _put_conveniences(keys, asked)
    chosen = tuple(path for path, _ in walk(keys))
    shown = () if asked.is_bare else tuple(path for path in SHOWN[level] if _is_of_level(path, model, level))
    also = () if asked.is_bare else tuple(path for path in ALSO_RETURNED[level] if _is_of_level(path, model, level))
    for path in (*shown, *also):
        setdefault(keys, path)
    if level is not None:
        for each in (*model.above(level), level):
            setdefault(keys, (UNIQUE_KEYS[each],))
        keys[QUERY_RETRIEVE_LEVEL] = level.value
    own = [path for path in chosen if path not in shown and not _is_unique_above(path, model, level)]
    above = () if level is None else tuple((UNIQUE_KEYS[each],) for each in model.above(level))
    open_parents = [path for path in above if not keys[path[0]]]  # of relational queries: each match has its own
    columns = (*shown[:-1], *own, *open_parents, *shown[-1:])
    return Query(model=model, level=level, keys=keys, columns=columns)


def _put_conveniences(keys: KeyTree, asked: Asked) -> None:
    is_worklist = asked.level is None
    singles: Sequence[tuple[Path, str]] = (
        ((PATIENT_NAME,), asked.patient),
        ((PATIENT_ID,), asked.patient_id),
        ((ACCESSION_NUMBER,), asked.accession),
        ((STUDY_INSTANCE_UID,), "\\".join(asked.study)),
        ((SERIES_INSTANCE_UID,), "\\".join(asked.series)),
        ((SOP_INSTANCE_UID,), "\\".join(asked.images)),
        (STEP_START_DATE if is_worklist else (STUDY_DATE,), asked.dates),
        (_modality_path(asked.level), asked.modality),
    )
    for path, value in singles:
        if value:
            put(keys, path, value)


def _modality_path(level: Level | None) -> Path:
    """A study has the modalities of its series (PS3.3 C.7.2.1), a worklist that of its step."""
    if level is None:
        return (_STEP, MODALITY)
    return (MODALITIES_IN_STUDY,) if level in (Level.PATIENT, Level.STUDY) else (MODALITY,)


def _is_of_level(path: Path, model: Model, level: Level | None) -> bool:
    return level is None or model.level_of(path[0]) in (level, None)


def _is_unique_above(path: Path, model: Model, level: Level | None) -> bool:
    return level is not None and path in [(UNIQUE_KEYS[each],) for each in model.above(level)]
