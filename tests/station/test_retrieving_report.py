import csv
import io
import json
from types import SimpleNamespace

import pytest

from dulcet.station.retrieval.report import RetrieveReport
from dulcet.station.retrieval.tally import Arrived, Tally
from dulcet.station.retrieval.targets import Target


@pytest.fixture
def tally():
    return Tally(lambda _event: None)


def report(tally, *instances):
    target = Target(level=None, instances=frozenset(instances))
    return RetrieveReport(SimpleNamespace(tally=tally, targets=[target], attempts=[]), "PACS1")


@pytest.mark.parametrize("start", "=+-@")
def test_nothing_in_the_csv_report_is_a_formula(tally, start, tmp_path):
    tally.refused[f"{start}cmd"] = f"{start}no such class"
    path = tmp_path / "report.csv"
    report(tally).write(path)
    (row,) = csv.DictReader(io.StringIO(path.read_text()))
    assert (row["sop_instance_uid"], row["explanation"]) == (f"'{start}cmd", f"'{start}no such class")


def test_the_json_report_lists_every_instance_those_that_are_not_here_first(tally, tmp_path):
    tally.arrived["1.1"] = Arrived(10, "received/1.1.dcm", "1.2.840.10008.5.1.4.1.1.2")
    tally.failed["1.2"] = "the archive could not send it"
    path = tmp_path / "report.json"
    report(tally, "1.1", "1.2", "1.3").write(path)
    document = json.loads(path.read_text())
    assert {key: document[key] for key in ("v", "peer", "exit_code")} == {"v": 1, "peer": "PACS1", "exit_code": 1}
    assert document["counts"] == {"arrived": 1, "failed": 1, "missing": 1}
    assert document["instances"] == [
        {"sop_instance_uid": "1.2", "outcome": "failed", "explanation": "the archive could not send it"},
        {"sop_instance_uid": "1.3", "outcome": "missing"},
        {
            "sop_instance_uid": "1.1",
            "outcome": "arrived",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
            "octets": 10,
            "path": "received/1.1.dcm",
        },
    ]
