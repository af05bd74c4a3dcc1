"""Files of other programs in a storage directory, counted by their names."""

from dulcet.station.vault import other_layout
from dulcet.station.vault.other_layout import MAX_DEPTH, count_strangers


def put(directory, *names):
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(b"")


def test_objects_where_they_belong_are_no_strangers(tmp_path):
    put(tmp_path, "ab/1.2.3.dcm", "00/1.2.4.dcm", ".dulcet-tmp/x.dcm", ".index.sqlite", "notes.txt")
    assert count_strangers(tmp_path) == 0


def test_other_files_are_counted_down_to_a_few_levels(tmp_path):
    put(
        tmp_path,
        "a.dcm",
        "B.DCM",
        "study/c.ima",
        "study/series/d.dcm",
        "x/ab/e.dicom",
        "/".join("deep0" * 9) + "/f.dcm",
    )
    (tmp_path / "linked").symlink_to(tmp_path / "study")
    assert count_strangers(tmp_path) == 5
    assert MAX_DEPTH == 3


def test_only_so_many_names_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(other_layout, "MAX_ENTRIES", 5)
    put(tmp_path, *(f"{number}.dcm" for number in range(20)))
    assert count_strangers(tmp_path) == 5


def test_what_is_not_there_has_none(tmp_path):
    assert count_strangers(tmp_path / "gone") == 0
