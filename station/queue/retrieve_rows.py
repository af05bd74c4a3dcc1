"""The rows of a job that retrieves: one for each instance that the archive promised, with where it belongs.

An archive that lists no instances has a row for each series or study instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dulcet.services.querying.query_models import Level
from dulcet.station.queue.job_store import has_come
from dulcet.station.queue.jobs import InstanceState, JobInstance, NewInstance
from dulcet.station.retrieval.targets import Target, still_to_ask

_Place = tuple[str, str, str, str]


def rows_of(targets: Iterable[Target]) -> Iterator[NewInstance]:
    """What the survey found, as rows; an instance that it found twice has one."""
    seen: set[str] = set()
    for target in targets:
        source = {"level": target.level.value, "patient_id": target.patient_id, "study": target.study[0]}
        if target.series:
            source["series"] = target.series[0]
        if target.instances is None:
            yield NewInstance(name=str(target), source={**source, "count": target.count})
            continue
        for uid in sorted(target.instances - seen):
            place = {**source, "series": target.series_of.get(uid, source.get("series", ""))}
            yield NewInstance(
                name="", source=place, sop_instance_uid=uid, sop_class_uid=target.sop_class_of.get(uid, "")
            )
        seen |= target.instances


@dataclass(slots=True)
class Row:
    """What is kept in memory of a row that is pending."""

    id: int
    attempts: int
    failing_since: float | None
    not_before: float


@dataclass(slots=True)
class _Group:
    """The rows of one target."""

    place: _Place
    series_of: dict[str, str] = field(default_factory=dict)
    sop_classes: set[str] = field(default_factory=set)

    def target(self) -> Target:
        level, patient_id, study, series = self.place
        uids = frozenset(self.series_of)
        return Target(
            level=Level(level),
            patient_id=patient_id,
            study=(study,),
            series=(series,) if series else (),
            images=tuple(self.series_of) if level == Level.IMAGE.value else (),
            instances=uids,
            count=len(uids),
            sop_classes=frozenset(self.sop_classes),
            series_of=self.series_of,
        )


class Rows:
    """All rows of a job, as far as they are needed. Memory: some 300 octets for each."""

    def __init__(self) -> None:
        self.pending: dict[str, Row] = {}
        """By SOP Instance UID."""
        self.unlisted: dict[int, tuple[Target, Row]] = {}
        """Series and studies whose instances are not known, by the number of their row."""
        self._groups: dict[_Place, _Group] = {}

    def add(self, instances: Sequence[JobInstance]) -> None:
        """Rows as the store has them."""
        for instance in instances:
            row = Row(instance.id, instance.attempts, instance.failing_since, instance.not_before)
            is_pending = instance.state is InstanceState.PENDING
            if instance.sop_instance_uid:
                self._enter(instance)
                if is_pending:
                    self.pending[instance.sop_instance_uid] = row
            elif is_pending:
                self.unlisted[instance.id] = _unlisted(instance), row

    def _enter(self, instance: JobInstance) -> None:
        source = instance.source
        series = "" if source["level"] == Level.STUDY.value else source["series"]
        place = source["level"], source["patient_id"], source["study"], series
        group = self._groups.setdefault(place, _Group(place))
        group.series_of[instance.sop_instance_uid] = source["series"]
        if instance.sop_class_uid:
            group.sop_classes.add(instance.sop_class_uid)

    def due(self, now: float) -> list[str]:
        """The instances that may be asked for now."""
        return [uid for uid, row in self.pending.items() if has_come(row.not_before, now)]

    def to_ask(self, now: float) -> list[Target]:
        """What to ask for, of what is due now."""
        wanted = frozenset(self.due(now))
        targets = [target for target, row in self.unlisted.values() if has_come(row.not_before, now)]
        for group in self._groups.values():
            if not wanted.isdisjoint(group.series_of):
                targets += still_to_ask(group.target(), wanted)
        return targets


def _unlisted(instance: JobInstance) -> Target:
    source = instance.source
    return Target(
        level=Level(source["level"]),
        patient_id=source["patient_id"],
        study=(source["study"],),
        series=(source["series"],) if source.get("series") else (),
        count=source["count"],
    )
