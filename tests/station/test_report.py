import csv
import io
import json

import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.events import AssociationRejected, Outcome, StoreResult, Summary
from dulcet.station.report_file import check_writable
from dulcet.station.sending.report import MAX_NAMES, MAX_REASONS, SendReport

CT = "1.2.840.10008.5.1.4.1.1.2"


def result(outcome, name="file", **more):
    if outcome not in (Outcome.SKIPPED,):
        more = {"sop_class_uid": CT, "sop_instance_uid": "1.2.3", **more}
    return StoreResult(name=name, outcome=outcome, **more)


def stored(name="file", **more):
    return result(Outcome.STORED, name, **{"octets": 1_000_000, **more})


def warned(name="file", **more):
    return result(Outcome.WARNING, name, **{"octets": 500_000, "status": 0xB000, "explanation": "coerced", **more})


def not_sent(name="file", exit_code=69, explanation="no answer", **more):
    return result(Outcome.NOT_SENT, name, exit_code=exit_code, explanation=explanation, **more)


def refused(name="file", exit_code=75, **more):
    more = {"status": 0xA700, "explanation": "out of resources", **more}
    return result(Outcome.REFUSED, name, exit_code=exit_code, **more)


def unusable(exit_code=65, name="letter.txt", **more):
    return StoreResult(
        name=name, outcome=Outcome.NOT_SENT, exit_code=exit_code, explanation="it is not a DICOM file", **more
    )


def skipped(name="README"):
    return result(Outcome.SKIPPED, name, explanation="it is not a DICOM file")


def report(*results):
    made = SendReport("PACS1")
    for each in results:
        made(each)
    return made


@pytest.mark.parametrize(
    ("results", "exit_code"),
    [
        ([stored()], 0),
        ([stored(), warned()], 0),
        ([warned()], 0),
        ([stored(), skipped()], 0),
        ([stored(), not_sent()], 1),
        ([warned(), refused()], 1),
        ([stored(), unusable()], 1),
        ([stored(), result(Outcome.UNCONFIRMED, exit_code=75)], 1),
        ([], 66),
        ([skipped()], 65),
        ([unusable(65)], 65),
        ([unusable(66)], 66),
        ([unusable(66), unusable(66)], 66),
        ([unusable(65), unusable(66)], 65),
        ([unusable(65), skipped()], 65),
        ([not_sent(exit_code=69)], 69),
        ([not_sent(exit_code=77), not_sent(exit_code=77)], 77),
        ([not_sent(exit_code=69), unusable(65), unusable(66)], 69),
        ([refused(exit_code=75), result(Outcome.UNCONFIRMED, exit_code=75)], 75),
        ([refused(exit_code=75), not_sent(exit_code=69)], 1),
        ([not_sent(exit_code=66), not_sent(exit_code=66)], 66),
    ],
)
def test_exit_code(results, exit_code):
    assert report(*results).exit_code == exit_code
    assert report(*reversed(results)).exit_code == exit_code


def test_other_events_are_none_of_its_business():
    made = report(stored())
    made(AssociationRejected(peer="PACS1", explanation="no", exit_code=77))
    made(made.summary())
    assert len(made.results) == 1


def test_the_summary_has_the_exit_code_and_the_counts():
    summary = report(stored(), warned(), not_sent()).summary(seconds=2.5)
    assert isinstance(summary, Summary)
    assert (summary.exit_code, summary.octets, summary.seconds) == (1, 1_500_000, 2.5)
    assert summary.counts == {"stored": 1, "stored-with-warning": 1, "not-sent": 1}


# Text ---------------------------------------------------------------------------------------------------------------


def test_the_text_says_failures_first_and_then_the_counts():
    made = report(
        stored("a"),
        warned("b"),
        not_sent("c"),
        refused("d", error_comment="disk\x1b full"),
        skipped("e"),
        result(Outcome.UNCONFIRMED, "f", explanation="connection lost", exit_code=75),
        refused("g"),
    )
    assert made.text(seconds=0.5).splitlines() == [
        "2 files refused by the peer: out of resources",
        "    d (the peer says: disk\\x1b full)",
        "    g",
        "1 file sent but never confirmed: the peer may have it: connection lost",
        "    f",
        "1 file not sent: no answer",
        "    c",
        "1 file stored, but the peer warned: coerced",
        "    b",
        "2 of 6 files stored by PACS1: 1.5 MB in 0 s, 3.0 MB/s",
        "    1 stored, but the peer warned",
        "    2 refused by the peer",
        "    1 sent but never confirmed: the peer may have it",
        "    1 not sent",
        "    1 passed over: not DICOM objects",
    ]


def test_when_all_is_well_one_line_is_enough():
    assert report(stored()).text() == "1 of 1 file stored by PACS1"
    assert report(*[stored()] * 2000).text(10) == "2,000 of 2,000 files stored by PACS1: 2.0 GB in 10 s, 200.0 MB/s"


def test_nothing_at_all_is_said_too():
    assert report().text(1) == "0 of 0 files stored by PACS1"


def test_the_text_is_bounded_whatever_failed():
    many = report(*(not_sent(f"{number}", explanation=f"reason {number % 50}") for number in range(5000)))
    lines = many.text().splitlines()
    assert len(lines) == MAX_REASONS * (1 + MAX_NAMES + 1) + 1 + 2
    assert lines[:5] == [
        "100 files not sent: reason 0",
        "    0",
        "    50",
        "    100",
        "    ... and 97 more: --report FILE lists every file",
    ]
    assert "... and 40 more reasons: --report FILE lists every file" in lines


def test_the_text_is_safe_to_show():
    made = SendReport("PACS\x1b[2J")
    made(not_sent("\x1b]0;title\x07\udcff" * 100, explanation="über\r\n" * 100))
    for line in made.text().splitlines():
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 400


# Files --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def every_kind():
    return report(
        stored("a", transfer_syntax_uid="1.2.840.10008.1.2.1", converted_to="1.2.840.10008.1.2", seconds=0.25),
        refused("b", error_comment="full\x1b"),
        unusable(name="c\udcff"),
        skipped("d"),
    )


def test_the_json_report_lists_every_file(tmp_path, every_kind):
    path = tmp_path / "report.json"
    every_kind.write(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert {key: document[key] for key in ("v", "peer", "exit_code", "counts")} == {
        "v": 1,
        "peer": "PACS1",
        "exit_code": 1,
        "counts": {"stored": 1, "refused": 1, "not-sent": 1, "skipped": 1},
    }
    assert [row["name"] for row in document["files"]] == ["b", "c\udcff", "a", "d"]
    assert document["files"][0] == {
        "name": "b",
        "outcome": "refused",
        "explanation": "out of resources",
        "status": "A700H",
        "error_comment": "full\\x1b",
        "sop_class_uid": CT,
        "sop_class": "CT Image Storage",
        "sop_instance_uid": "1.2.3",
        "attempts": 1,
    }
    assert document["files"][2]["converted_to"] == "1.2.840.10008.1.2"


def test_the_json_report_of_nothing_is_valid(tmp_path):
    report().write(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["files"] == []


def test_the_csv_report_lists_every_file(tmp_path, every_kind):
    path = tmp_path / "report.CSV"
    every_kind.write(path)
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["b", "c\udcff", "a", "d"]
    assert (rows[0]["status"], rows[0]["outcome"], rows[2]["seconds"], rows[3]["sop_class"]) == (
        "A700H",
        "refused",
        "0.25",
        "",
    )


@pytest.mark.parametrize("start", "=+-@")
def test_nothing_in_the_csv_report_is_a_formula(start, tmp_path):
    path = tmp_path / "report.csv"
    report(refused(f"{start}name", error_comment=f"{start}cmd")).write(path)
    (row,) = csv.DictReader(io.StringIO(path.read_text()))
    assert (row["name"], row["error_comment"]) == (f"'{start}name", f"'{start}cmd")


def test_a_report_that_can_not_be_written_raises(tmp_path, every_kind):
    path = tmp_path / "missing" / "report.json"
    with pytest.raises(ConfigurationError, match=f"the report can't be written to {path}: No such file"):
        every_kind.write(path)
    with pytest.raises(ConfigurationError, match=f"the report can't be written to {path}: No such file"):
        check_writable(path)
    check_writable(None)


def test_to_ask_whether_a_report_can_be_written_leaves_nothing(tmp_path):
    """`send . --report ./report.csv` must not find an empty file of its own among those to send."""
    check_writable(tmp_path / "report.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_is_there_stays_until_there_is_a_new_one(tmp_path):
    path = tmp_path / "report.csv"
    path.write_text("yesterday")
    check_writable(path)
    assert path.read_text() == "yesterday"
    link = tmp_path / "link"
    link.symlink_to("missing/report.csv")
    with pytest.raises(ConfigurationError, match="No such file"):
        check_writable(link)
