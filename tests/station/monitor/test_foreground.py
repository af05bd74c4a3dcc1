"""Commands in the foreground: a file once they last, nothing before."""

import subprocess
import sys

import trio

from dulcet.station.monitor import foreground, process_file
from dulcet.station.monitor.foreground import publish_when_it_lasts
from dulcet.station.monitor.process_file import read_processes
from dulcet.station.monitor.process_report import decode

MEASURED = {"objects": 5, "total_objects": 10, "failed": 1, "octets": 500, "total_octets": 1000}


async def looked_at(measure, monkeypatch, times=1):
    """What would be written each second, so many times."""
    reports = []

    async def publish(describe):
        for _ in range(times):
            reports.append(describe())
            await trio.sleep(1)

    monkeypatch.setattr(process_file, "publish", publish)
    await publish_when_it_lasts("send", "PACS", measure, ae_title="WS", directory="/d")
    return reports


async def test_it_says_what_is_done(monkeypatch, autojump_clock):
    (report,) = await looked_at(lambda: MEASURED, monkeypatch)
    (row,) = report.transfers
    assert (row.what, row.peer, row.objects, row.total_objects, row.failed) == ("send", "PACS", 5, 10, 1)
    assert (row.octets, row.total_octets) == (500, 1000)
    assert (report.command, report.ae_title, report.directory, report.state) == ("send", "WS", "/d", "running")
    assert decode(report.encode()) == report


async def test_what_is_not_known_is_not_guessed(monkeypatch, autojump_clock):
    (report,) = await looked_at(lambda: {"objects": 5, "total_objects": None, "failed": 0}, monkeypatch)
    (row,) = report.transfers
    assert (row.total_objects, row.total_octets, row.seconds_left) == (None, None, None)


async def test_rate_and_time_left_come_from_what_moved(monkeypatch, autojump_clock):
    octets = iter(range(0, 10_000, 1000))
    reports = await looked_at(lambda: {**MEASURED, "octets": next(octets), "total_octets": 10_000}, monkeypatch, 3)
    assert [report.transfers[0].octets_per_second for report in reports] == [0, 1000, 1000]
    assert [report.transfers[0].seconds_left for report in reports] == [None, 9, 8]


async def test_a_file_is_there_while_it_lasts(monkeypatch):
    written = trio.Event()

    async def publish(describe):
        await process_file_publish(describe, written=written.set)

    process_file_publish = process_file.publish
    monkeypatch.setattr(process_file, "publish", publish)
    monkeypatch.setattr(process_file, "END_PATIENCE", 60.0)
    monkeypatch.setattr(foreground, "PATIENCE_SECONDS", 0)
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: publish_when_it_lasts("send", "PACS", lambda: MEASURED, ae_title="LASTING"))
            await written.wait()
            assert [report.command for report in read_processes() if report.ae_title == "LASTING"] == ["send"]
            nursery.cancel_scope.cancel()
    assert [report for report in read_processes() if report.ae_title == "LASTING"] == []


async def test_what_is_done_in_a_second_leaves_no_trace(monkeypatch, autojump_clock):
    reports = []
    monkeypatch.setattr(process_file, "publish", reports.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish_when_it_lasts, "send", "PACS", lambda: 1 / 0)
        await trio.sleep(foreground.PATIENCE_SECONDS * 0.99)
        nursery.cancel_scope.cancel()
    assert reports == []


def test_sending_imports_nothing_of_it_beforehand():
    script = "import sys, dulcet.commands.send; print(*(name for name in sys.modules if 'monitor' in name))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["dulcet.station.monitor", "dulcet.station.monitor.foreground"]
