"""What a C-MOVE or C-GET asks for: unique keys, and what is known of the instances behind them (PS3.4 C.4.2.1.4)."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dulcet.errors import ConfigurationError
from dulcet.services.querying.identifiers import QUERY_RETRIEVE_LEVEL, Keys
from dulcet.services.querying.query_models import (
    PATIENT_ID,
    PATIENT_ROOT,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    STUDY_ROOT,
    UNIQUE_KEYS,
    Level,
    Model,
)
from dulcet.station.query.check import retrieval_objections
from dulcet.station.query.plan import Asked

MAX_IMAGES = 100  # in one request: 6.5 kB of UIDs; archives give up on long lists


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What one request asks for."""

    level: Level
    patient_id: str = ""
    study: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    instances: frozenset[str] | None = None
    """The SOP Instance UIDs that the archive says it has; None when it did not list them."""
    count: int | None = None
    """How many instances the archive says it has; None when it did not say."""
    sop_classes: frozenset[str] = field(default_factory=frozenset)
    """Their SOP classes, as far as the archive named them."""
    series_of: Mapping[str, str] = field(default_factory=dict)
    """SOP Instance UID -> Series Instance UID, of those that were listed."""
    sop_class_of: Mapping[str, str] = field(default_factory=dict)
    """SOP Instance UID -> SOP Class UID, "" where the archive did not name it."""

    def keys(self, model: Model) -> Keys:
        """The identifier of a request in `model`."""
        values = {
            PATIENT_ID: self.patient_id,
            STUDY_INSTANCE_UID: "\\".join(self.study),
            SERIES_INSTANCE_UID: "\\".join(self.series),
            SOP_INSTANCE_UID: "\\".join(self.images),
        }
        wanted = [UNIQUE_KEYS[level] for level in (*model.above(self.level), self.level)]
        return {QUERY_RETRIEVE_LEVEL: self.level.value, **{tag: values[tag] for tag in wanted if values[tag]}}

    def __str__(self) -> str:
        if self.level is Level.PATIENT:
            return "one patient"  # events and logs have it: whoever asked knows which
        uids = {
            Level.STUDY: self.study,
            Level.SERIES: self.series,
            Level.IMAGE: self.images,
        }[self.level]
        more = f" and {len(uids) - 1} more" if len(uids) > 1 else ""
        return f"{self.level.value.lower()} {uids[0]}{more}"


NOTHING = Target(level=Level.STUDY, instances=frozenset(), count=0)
"""Stands where a target will."""


def still_to_ask(target: Target, wanted: Collection[str]) -> list[Target]:
    """Targets for the instances `wanted` of one that was listed: the target itself when that is all of it, else whole
    series where all of a series is wanted, and the images by name where only some are."""
    assert target.instances is not None
    if target.instances <= set(wanted) and len(target.images) <= MAX_IMAGES:
        return [target]
    by_series: defaultdict[str, list[str]] = defaultdict(list)
    for uid in sorted(target.instances):
        by_series[target.series_of.get(uid, "")].append(uid)
    return [part for series, uids in by_series.items() for part in _of_series(target, series, uids, set(wanted))]


def _of_series(target: Target, series: str, uids: Sequence[str], wanted: Collection[str]) -> Iterator[Target]:
    asked_for = [uid for uid in uids if uid in wanted]
    if not asked_for:
        return
    place = replace(target, series=(series,) if series else target.series)
    if len(asked_for) == len(uids) and series and target.level is not Level.IMAGE:
        yield replace(place, level=Level.SERIES, instances=frozenset(uids), count=len(uids))
        return
    for start in range(0, len(asked_for), MAX_IMAGES):
        images = tuple(asked_for[start : start + MAX_IMAGES])
        yield replace(place, level=Level.IMAGE, images=images, instances=frozenset(images), count=len(images))


def target_of(asked: Asked) -> Target:
    """What options and keys name, at the lowest level of which there is a UID; ConfigurationError when nothing does."""
    keys = asked.keys

    def values(given: Sequence[str], tag: int) -> tuple[str, ...]:
        value = keys.get(tag)
        return tuple(given) or (tuple(value.split("\\")) if isinstance(value, str) and value else ())

    patient_id = asked.patient_id or "".join(values((), PATIENT_ID)[:1])
    study = values(asked.study, STUDY_INSTANCE_UID)
    series = values(asked.series, SERIES_INSTANCE_UID)
    images = values(asked.images, SOP_INSTANCE_UID)
    level = next(
        (
            level
            for level, given in (
                (Level.IMAGE, images),
                (Level.SERIES, series),
                (Level.STUDY, study),
                (Level.PATIENT, patient_id),
            )
            if given
        ),
        None,
    )
    if level is None:
        raise ConfigurationError("what should be sent? Say --study UID, --series UID, --image UID or --patient-id ID")
    return Target(level=level, patient_id=patient_id, study=study, series=series, images=images)


def retrieval_models(level: Level, root: str) -> tuple[Model, ...]:
    """The models to propose for a retrieval, the preferred one first."""
    if level is Level.PATIENT:
        if root == "study":
            raise ConfigurationError("the Study Root model has no patients: say --study UID, or --root patient")
        return (PATIENT_ROOT,)
    return {"patient": (PATIENT_ROOT,), "study": (STUDY_ROOT,)}.get(root, (STUDY_ROOT, PATIENT_ROOT))


def check_retrieval(asked: Asked, target: Target, model: Model) -> None:
    """ConfigurationError with every objection to asking for `target` in `model`, keys that can't choose included."""
    unusual = {tag: value for tag, value in asked.keys.items() if tag not in UNIQUE_KEYS.values()}
    found = retrieval_objections({**unusual, **target.keys(model)}, model, target.level)
    if asked.patient or asked.accession or asked.dates or asked.modality:
        found.append("only UIDs and a patient ID choose what is sent; `dulcet retrieve` looks up what other keys mean")
    if found:
        raise ConfigurationError("\n".join(found))
