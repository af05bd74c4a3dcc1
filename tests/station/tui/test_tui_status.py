"""The screen Status: what runs, with whom it is connected, and that it is cheap when nothing changes."""

from types import SimpleNamespace

from textual.widgets import Static

from dulcet.errors import QueueError
from dulcet.station.monitor.process_report import AssociationRow, ErrorRow, TransferRow
from dulcet.station.queue.jobs import JobState

AT = "2026-01-31T12:00:00.000Z"


def server(values, **changes):
    rows = {
        "pid": 4711,
        "command": "serve",
        "ae_title": "ARCHIVE",
        "addresses": ("127.0.0.1:11112",),
        "started_at": AT,
        "counters": {"dulcet_received_objects_total": 81, "dulcet_sent_objects_total": 2},
        "associations": (
            AssociationRow(
                direction="in", peer="CT1\x1b", address="192.0.2.7", service="C-STORE", objects=3, octets=1_570_000
            ),
            AssociationRow(direction="out", peer="PACS", address="192.0.2.8:104", service="C-MOVE"),
        ),
        "transfers": (
            TransferRow(
                what="send",
                peer="PACS",
                objects=20,
                total_objects=500,
                octets_per_second=2e6,
                seconds_left=90,
                failed=1,
            ),
        ),
        "errors": (ErrorRow(at=AT, event="object.refused", text="A700H: no space"),),
    }
    return values.report(**{**rows, **changes})


def test_everything_is_on_one_page(desk, values):
    async def steps(desk):
        desk.machine.reports.append(server(values))
        desk.store.put(1, state=JobState.RUNNING)
        desk.store.put(2)
        await desk.press("f5")
        await desk.sees("serve", "4711", "ARCHIVE", "127.0.0.1:11112", "81 in, 2 out", "running")
        await desk.sees("← from CT1\\x1b", "C-STORE", "1.6 MB", "→ to PACS", "C-MOVE")
        await desk.sees("send PACS", "20/500 ✗1", "2.0 MB/s", "1 min 30 s", "object.refused", "A700H: no space")
        await desk.sees("Queue: 1 queued, 1 running", "free of", "vault")

    desk(size=(100, 40)).drive(steps)


def test_it_follows_and_draws_only_what_changed(desk, values, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=78_912_345_678, total=271e9))

    async def steps(desk):
        desk.machine.reports[:] = [server(values, updated_at="1")]
        await desk.press("f5")
        await desk.sees("81 in, 2 out")
        page = desk.app.front.query_one("#status", Static)
        drawn, reads = [], []
        update, read = page.update, desk.machine.read
        page.update = lambda content: drawn.append(1) or update(content)
        desk.machine.read = lambda: reads.append(1) or read()
        desk.machine.reports[:] = [server(values, updated_at="2", latest={"x": 1.0}, counters={
            "dulcet_received_objects_total": 81, "dulcet_sent_objects_total": 2, "dulcet_received_octets_total": 9,
        })]  # fmt: skip
        await desk.press("space")
        await desk.until(lambda: reads, "it was looked at")
        await desk.until(lambda: not desk.app.front._is_looking, "it is done")
        assert drawn == []
        desk.machine.reports[:] = [server(values, state="stopping", associations=(), transfers=(), errors=())]
        await desk.sees("stopping", "None.", "Nothing.")
        assert drawn == [1]

    desk(size=(100, 40)).drive(steps)


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(desk, values):
    async def steps(desk):
        desk.machine.reports.append(server(values))
        desk.store.error = QueueError("the queue /q can't be used: it is locked")
        await desk.press("f5")
        await desk.sees("the queue /q can't be used", "4711", "Queue: empty")
        desk.store.error = None
        desk.machine.error = PermissionError(13, "Permission denied", "/state/processes")
        await desk.sees("/state/processes: Permission denied", "Nothing of dulcet runs.")

    desk(size=(100, 40)).drive(steps)


def test_long_lists_are_cut(desk, values):
    async def steps(desk):
        many = tuple(AssociationRow(direction="in", peer=f"CT{n}") for n in range(40))
        desk.machine.reports.append(server(values, associations=many))
        await desk.press("f5")
        await desk.sees("CT11", "... and 28 more")

    desk(size=(100, 60)).drive(steps)
