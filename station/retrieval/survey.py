"""Asking an archive what there is to be retrieved: studies, series or images, and every instance of them by name."""

from contextlib import suppress
from dataclasses import replace

from dulcet.dimse.uids import is_valid_uid
from dulcet.errors import DecodeError, OperationFailedError
from dulcet.services.find import Match
from dulcet.services.querying.query_models import (
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Level,
)
from dulcet.station.query.asking import Asking
from dulcet.station.query.plan import Asked
from dulcet.station.retrieval.targets import Target

_COUNTS = {Level.STUDY: NUMBER_OF_STUDY_RELATED_INSTANCES, Level.SERIES: NUMBER_OF_SERIES_RELATED_INSTANCES}


async def survey(ask: Asking, asked: Asked) -> list[Target]:
    """One target for each study or series that matches, or for the images of a series; their instances listed.

    Instances are asked for series by series, as the Hierarchical Search wants it (PS3.4 C.4.1.2.1). An archive that
    refuses that is taken by its counts, if it gives any. OperationFailedError when the first query fails.
    """
    assert asked.level is not None
    if asked.level is Level.IMAGE:
        return await _images(ask, asked)
    count = _COUNTS[asked.level]
    found: dict[tuple[str, ...], Target] = {}
    returned: dict[int, str] = {count: ""}
    if asked.level is Level.STUDY:
        returned[PATIENT_ID] = ""
    for match in await _matches(ask, replace(asked, is_bare=True, keys={**returned, **asked.keys})):
        target = _target(match, asked, match.number(count))
        if target is not None:
            found[target.study + target.series] = target
    return [await _with_instances(ask, target) for target in found.values()]


def _target(match: Match, asked: Asked, count: int | None) -> Target | None:
    study = match.values(STUDY_INSTANCE_UID)[:1] or list(asked.study[:1])
    series = match.values(SERIES_INSTANCE_UID)[:1] if asked.level is Level.SERIES else []
    uids = [*study, *series]
    if not study or (asked.level is Level.SERIES and not series) or not all(map(is_valid_uid, uids)):
        return None
    patient_id = match.text(PATIENT_ID) or asked.patient_id
    assert asked.level is not None
    return Target(level=asked.level, patient_id=patient_id, study=tuple(study), series=tuple(series), count=count)


async def _with_instances(ask: Asking, target: Target) -> Target:
    """The target with its instances; as it is when the archive does not list them."""
    instances: dict[str, str] = {}
    series_of: dict[str, str] = {}
    within = Asked(level=Level.SERIES, patient_id=_patient(ask, target), study=target.study, is_bare=True)
    try:
        series = list(target.series)
        if not series:
            series = [uid for match in await _matches(ask, within) for uid in match.values(SERIES_INSTANCE_UID)[:1]]
        for uid in series:
            if not is_valid_uid(uid):
                return target
            wanted = replace(within, level=Level.IMAGE, series=(uid,), keys={SOP_CLASS_UID: ""})
            for match in await _matches(ask, wanted):
                instance = _instance(match)
                instances |= instance
                series_of |= dict.fromkeys(instance, uid)
    except OperationFailedError:
        return target
    return replace(
        target,
        instances=frozenset(instances),
        count=len(instances),
        sop_classes=frozenset(filter(None, instances.values())),
        series_of=series_of,
        sop_class_of=instances,
    )


async def _images(ask: Asking, asked: Asked) -> list[Target]:
    """The images that match, a target for each series of them."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    asking = replace(asked, is_bare=True, keys={SOP_CLASS_UID: "", **asked.keys})
    for match in await _matches(ask, asking):
        study = (match.values(STUDY_INSTANCE_UID) or list(asked.study) or [""])[0]
        series = (match.values(SERIES_INSTANCE_UID) or list(asked.series) or [""])[0]
        if is_valid_uid(study) and is_valid_uid(series):
            place = (match.text(PATIENT_ID) or asked.patient_id, study, series)
            found.setdefault(place, {}).update(_instance(match))
    return [
        Target(
            level=Level.IMAGE,
            patient_id=patient_id,
            study=(study,),
            series=(series,),
            images=tuple(instances),
            instances=frozenset(instances),
            count=len(instances),
            sop_classes=frozenset(filter(None, instances.values())),
            series_of=dict.fromkeys(instances, series),
            sop_class_of=instances,
        )
        for (patient_id, study, series), instances in found.items()
        if instances
    ]


def _instance(match: Match) -> dict[str, str]:
    """SOP Instance UID -> SOP Class UID, "" when the archive does not say it; nothing for what is no UID."""
    uid = match.text(SOP_INSTANCE_UID)
    sop_class = match.text(SOP_CLASS_UID)
    return {uid: sop_class if is_valid_uid(sop_class) else ""} if is_valid_uid(uid) else {}


def _patient(ask: Asking, target: Target) -> str:
    """Only a model with patients wants one."""
    return target.patient_id if Level.PATIENT in ask.model.levels else ""


async def _matches(ask: Asking, asked: Asked) -> list[Match]:
    """The matches that can be read."""
    readable = []
    async with ask.find(ask.plan(asked)) as matches:
        async for match in matches:
            with suppress(DecodeError):
                if match.elements:
                    readable.append(match)
    return readable
