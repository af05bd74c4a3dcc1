"""From what an archive promised to rows, and from rows to what is still to be asked for."""

from dulcet.services.querying.query_models import Level
from dulcet.station.queue.job_store import LONGEST_WAIT_SECONDS
from dulcet.station.queue.jobs import InstanceState, JobInstance
from dulcet.station.queue.retrieve_rows import Rows, rows_of
from dulcet.station.retrieval.targets import Target

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def study(number=1, series=2, instances=3):
    series_of = {f"{number}.{s}.{i}": f"{number}.{s}" for s in range(series) for i in range(instances)}
    return Target(
        level=Level.STUDY,
        patient_id="P",
        study=(str(number),),
        instances=frozenset(series_of),
        count=len(series_of),
        sop_classes=frozenset({CT}),
        series_of=series_of,
        sop_class_of=dict.fromkeys(series_of, CT),
    )


def stored(rows, states=(), **later):
    """Rows as the store gives them: `states` by UID, the others pending; `later`: not_before by UID."""
    return [
        JobInstance(
            **{name: getattr(row, name) for name in ("name", "source", "sop_class_uid", "sop_instance_uid")},
            id=number,
            job=1,
            state=dict(states).get(row.sop_instance_uid, InstanceState.PENDING),
            not_before=later.get(row.sop_instance_uid, 0.0),
        )
        for number, row in enumerate(rows, 1)
    ]


def read(*instances):
    rows = Rows()
    for page in instances:
        rows.add(page)
    return rows


def test_a_row_for_each_instance_with_where_it_belongs():
    first, *others = rows_of([study()])
    assert (first.sop_instance_uid, first.sop_class_uid, first.name) == ("1.0.0", CT, "")
    assert first.source == {"level": "STUDY", "patient_id": "P", "study": "1", "series": "1.0"}
    assert [row.sop_instance_uid for row in others] == ["1.0.1", "1.0.2", "1.1.0", "1.1.1", "1.1.2"]


def test_an_instance_that_was_found_twice_has_one_row():
    assert len(list(rows_of([study(), study()]))) == 6


def test_nothing_done_yet_the_target_itself_is_asked_for():
    one, two = study(1), study(2)
    pages = stored(rows_of([one, two]))
    again = read(pages[:5], pages[5:]).to_ask(0.0)
    assert [(each.level, each.study, each.instances, each.series_of) for each in again] == [
        (Level.STUDY, ("1",), one.instances, one.series_of),
        (Level.STUDY, ("2",), two.instances, two.series_of),
    ]
    assert again[0].sop_classes == {CT}
    assert again[0].patient_id == "P"


def test_some_done_series_and_images_are_asked_for():
    done = dict.fromkeys(["1.0.0", "1.0.1"], InstanceState.DONE)
    images, series = read(stored(rows_of([study()]), done)).to_ask(0.0)
    assert (images.level, images.series, images.images) == (Level.IMAGE, ("1.0",), ("1.0.2",))
    assert (series.level, series.series, series.count) == (Level.SERIES, ("1.1",), 3)


def test_what_has_failed_is_not_asked_for_and_neither_is_what_waits():
    failed = {"1.0.0": InstanceState.FAILED}
    rows = read(stored(rows_of([study(series=1)]), failed, **{"1.0.1": 100.0}))
    assert rows.due(50.0) == ["1.0.2"]
    (image,) = rows.to_ask(50.0)
    assert image.images == ("1.0.2",)
    assert {uid for each in rows.to_ask(100.0) for uid in each.instances} == {"1.0.1", "1.0.2"}


def test_what_waits_longer_than_any_pause_was_told_by_a_wrong_clock_and_is_due():
    pages = stored(rows_of([study(series=1)]), **{"1.0.0": 10_000.0, "1.0.1": 10_000.0 - 1, "1.0.2": 50.0})
    assert read(pages).due(10_000.0 - LONGEST_WAIT_SECONDS - 1) == ["1.0.0", "1.0.2"]


def test_all_done_nothing_is_asked_for():
    states = dict.fromkeys(study().instances, InstanceState.DONE)
    assert read(stored(rows_of([study()]), states)).to_ask(0.0) == []


def test_images_that_were_asked_for_by_name_stay_images():
    uids = {"1.1": "1", "1.2": "1"}
    images = Target(
        level=Level.IMAGE,
        study=("1",),
        series=("1",),
        images=tuple(uids),
        instances=frozenset(uids),
        series_of=uids,
        sop_class_of={},
    )
    (again,) = read(stored(rows_of([images]))).to_ask(0.0)
    assert (again.level, set(again.images), again.series) == (Level.IMAGE, set(uids), ("1",))


def test_without_a_list_there_is_a_row_for_each_target():
    unlisted = [
        Target(level=Level.STUDY, patient_id="P", study=("1",), count=7),
        Target(level=Level.SERIES, study=("1",), series=("1.1",)),
    ]
    made = list(rows_of(unlisted))
    assert [row.name for row in made] == ["study 1", "series 1.1"]
    assert [row.sop_instance_uid for row in made] == ["", ""]
    rows = read(stored(made))
    assert [(each.level, each.study, each.series, each.count, each.instances) for each in rows.to_ask(0.0)] == [
        (Level.STUDY, ("1",), (), 7, None),
        (Level.SERIES, ("1",), ("1.1",), None, None),
    ]
