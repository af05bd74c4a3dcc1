"""Whether anything runs the queue: what the processes that live say of themselves."""

import pytest

from dulcet.station.monitor.process_file import ProcessFile
from dulcet.station.monitor.process_report import ProcessReport
from dulcet.station.queue.attendance import who_runs

SERVER = ProcessReport(pid=7, command="serve", runs_queue=True)
IDLE_SERVER = ProcessReport(pid=8, command="serve")
WORKER = ProcessReport(pid=9, command="queue run", runs_queue=True)


@pytest.mark.parametrize(
    ("reports", "sentence"),
    [
        ([], ""),
        ([IDLE_SERVER], ""),
        ([ProcessReport(pid=1, command="send")], ""),
        ([IDLE_SERVER, SERVER], "the server (process 7) runs it"),
        ([SERVER, WORKER], "a worker (process 9) runs it"),
    ],
)
def test_who_runs_it(tmp_path, monkeypatch, reports, sentence):
    monkeypatch.setenv("DULCET_STATE", str(tmp_path))
    files = []
    try:
        for report in reports:
            files.append(ProcessFile(tmp_path / "processes"))
            files[-1].write(report)
        assert who_runs() == sentence
    finally:
        for file in files:
            file.remove()
