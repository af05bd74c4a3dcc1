"""The arithmetic of the benchmarks and the tables made of it."""

from dataclasses import replace

import pydicom
import pytest

from benchmarks import objects, report, results
from benchmarks.results import Contest, Row, Run


def run(seconds: float, *, finished: bool = True) -> Run:
    return Run(
        seconds=seconds, cpu_seconds=seconds / 2, peak_octets=16 << 20, operations=100, octets=10**9, finished=finished
    )


CONTEST = Contest(
    section="send",
    title="Sending",
    objects="100 of 10 MB",
    rows=[
        Row(name="dulcet", runs=[run(2.0), run(1.0), run(4.0)]),
        Row(name="slower", runs=[run(4.0), run(4.0), run(60.0, finished=False)]),
        Row(name="never done", runs=[run(60.0, finished=False)]),
    ],
)


def test_a_rate_is_the_median_of_the_runs_that_finished():
    assert [row.rate for row in CONTEST.rows] == [50.0, 25.0, None]
    assert [row.finished for row in CONTEST.rows] == [3, 2, 0]


def test_the_table_gives_medians_ratios_and_how_many_finished():
    lines = report.table(CONTEST).splitlines()
    assert lines[0] == "**Sending**, 100 of 10 MB"
    assert lines[4:] == [
        "| dulcet | 50 | 500 | 10,000 | 1 | 16 | 3/3 |  |",
        "| slower | 25 | 250 | 20,000 | 2 | 16 | 2/3 | 2.00 |",
        "| never done | - | - | - | - | - | 0/1 | - |",
    ]


def test_operations_are_told_in_milliseconds():
    contest = replace(CONTEST, objects="")
    assert "| dulcet | 20 | 10 | 16 | 3/3 |  |" in report.table(contest)


def test_without_dulcet_there_is_no_ratio():
    contest = replace(CONTEST, rows=CONTEST.rows[1:])
    assert report.table(contest).splitlines()[4] == "| slower | 25 | 250 | 20,000 | 2 | 16 | 2/3 | - |"


def test_what_is_kept_can_be_read_again(tmp_path):
    path = results.write(results.document([CONTEST]), tmp_path)
    measured, contests = results.read(path)
    assert contests == [CONTEST]
    assert measured["format"] == results.FORMAT
    assert set(measured["environment"]) >= {"cpu", "python", "dulcet"}


def test_the_tables_go_between_the_markers_and_nowhere_else(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_between_markers(readme, "new\n")
    assert readme.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_a_readme_without_markers_is_left_alone(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing to replace\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        report.write_between_markers(readme, "new\n")
    assert readme.read_text() == "nothing to replace\n"


@pytest.mark.parametrize("one", objects.QUICK_SETS, ids=lambda one: one.name)
def test_objects_are_dicom_the_same_each_time_and_distinct(one, tmp_path):
    two = replace(one, count=2, frames=1)
    octets = objects.generate(two, tmp_path / "first")
    objects.generate(two, tmp_path / "second")
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert octets == sum(path.stat().st_size for path in first)
    with pydicom.config.strict_reading():
        read = [pydicom.dcmread(path) for path in first]
    assert len({data_set.SOPInstanceUID for data_set in read}) == 2
    for data_set in read:
        assert data_set.SOPInstanceUID.is_valid
        assert data_set.file_meta.MediaStorageSOPInstanceUID == data_set.SOPInstanceUID
        assert data_set.SOPClassUID == one.sop_class_uid
        assert len(data_set.PixelData) == two.pixel_octets
        assert 70 <= len(data_set) <= 90
    assert read[0].PixelData != read[1].PixelData


def test_a_complete_set_is_not_made_again(tmp_path):
    two = replace(objects.QUICK_SETS[0], count=2)
    octets = objects.generate(two, tmp_path / "set")
    marker = tmp_path / "set" / "1000000.dcm"
    before = marker.stat().st_mtime_ns
    assert objects.generate(two, tmp_path / "set") == octets
    assert marker.stat().st_mtime_ns == before
    assert objects.generate(replace(two, count=1), tmp_path / "set") < octets
