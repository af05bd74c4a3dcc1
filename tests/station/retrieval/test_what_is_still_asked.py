"""What is asked for when a part is here: all of it, whole series, or images by name."""

import pytest

from dulcet.services.querying.query_models import Level
from dulcet.station.retrieval.targets import MAX_IMAGES, Target, still_to_ask

SERIES = {f"1.{series}.{number}": f"1.{series}" for series in (1, 2, 3) for number in range(4)}


@pytest.fixture
def study():
    return Target(level=Level.STUDY, patient_id="P", study=("1",), instances=frozenset(SERIES), series_of=SERIES)


def test_all_of_it(study):
    assert still_to_ask(study, SERIES) == [study]


def test_nothing(study):
    assert still_to_ask(study, ()) == []


def test_whole_series_and_single_images(study):
    wanted = {"1.1.0", "1.1.2", *(uid for uid in SERIES if uid.startswith("1.3"))}
    some, whole = still_to_ask(study, wanted)
    assert (some.level, some.series, some.images) == (Level.IMAGE, ("1.1",), ("1.1.0", "1.1.2"))
    assert some.instances == {"1.1.0", "1.1.2"}
    assert (whole.level, whole.series, whole.images) == (Level.SERIES, ("1.3",), ())
    assert whole.instances == {uid for uid in SERIES if uid.startswith("1.3")}
    assert {(each.patient_id, each.study) for each in (some, whole)} == {("P", ("1",))}


def test_a_list_is_not_longer_than_archives_take():
    uids = {f"1.2.{number}": "1.2" for number in range(2 * MAX_IMAGES + 2)}
    series = Target(level=Level.SERIES, study=("1",), series=("1.2",), instances=frozenset(uids), series_of=uids)
    parts = still_to_ask(series, sorted(uids)[1:])
    assert [part.count for part in parts] == [MAX_IMAGES, MAX_IMAGES, 1]
    assert {uid for part in parts for uid in part.images} == set(sorted(uids)[1:])
    assert all(part.series == ("1.2",) for part in parts)


def test_images_stay_images():
    uids = {"1.2.1": "1.2", "1.2.2": "1.2"}
    images = Target(
        level=Level.IMAGE,
        study=("1",),
        series=("1.2",),
        images=tuple(uids),
        instances=frozenset(uids),
        series_of=uids,
    )
    (part,) = still_to_ask(images, ["1.2.2"])
    assert (part.level, part.images) == (Level.IMAGE, ("1.2.2",))
