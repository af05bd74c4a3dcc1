"""`/metrics` and `/healthz` of a server: the numbers of all its processes, and whether it does what it is for."""

import json
import os
import socket
import time
from collections.abc import Sequence
from datetime import datetime

import trio

from dulcet import __version__
from dulcet.errors import StorageError
from dulcet.services.storage import Storage
from dulcet.station.monitor.http_server import Answer, HTTPServer
from dulcet.station.monitor.metrics import CONTENT_TYPE, add_up, latest, render, series
from dulcet.station.monitor.process_file import read_processes
from dulcet.station.monitor.process_report import ProcessReport
from dulcet.station.monitor.queue_numbers import queue_series
from dulcet.station.monitor.server_monitor import MAX_TITLES, ServerMonitor
from dulcet.station.server_settings import ServerSettings


def http_server(
    sockets: Sequence[socket.socket], monitor: ServerMonitor, storage: Storage, settings: ServerSettings
) -> HTTPServer:
    """Serves both pages; `sockets` listen."""
    pages = Pages(monitor, storage, settings)
    return HTTPServer(sockets, {"/metrics": pages.metrics, "/healthz": pages.health})


class Pages:
    """Made by the first process of a server; what it knows of the others is in their files, a second old at most."""

    def __init__(self, monitor: ServerMonitor, storage: Storage, settings: ServerSettings) -> None:
        self._monitor = monitor
        self._storage = storage
        self._settings = settings

    async def metrics(self) -> Answer:
        """In Prometheus' text format."""
        own = self._monitor.report()
        numbers = await trio.to_thread.run_sync(self._numbers, own, abandon_on_cancel=True)
        return Answer(200, CONTENT_TYPE, render(numbers))

    async def health(self) -> Answer:
        """200 when objects are taken, 503 with the reasons when not."""
        own = self._monitor.report()
        family, reasons = await trio.to_thread.run_sync(self._examine, own, abandon_on_cancel=True)
        found = {
            "status": "failing" if reasons else "ok",
            "reasons": reasons,
            "ae_title": own.ae_title,
            "processes": len(family),
            "associations": sum(len(report.associations) for report in family),
        }
        return Answer(503 if reasons else 200, "application/json", json.dumps(found) + "\n")

    def _family(self, own: ProcessReport) -> list[ProcessReport]:
        """Our own report, and what the other workers wrote last."""
        if self._settings.workers == 1:
            return [own]
        others = (report for report in read_processes() if report.command == own.command and report.pid != own.pid)
        return [own, *(report for report in others if report.family == own.family)]

    def _numbers(self, own: ProcessReport) -> dict[str, float]:
        family = self._family(own)
        now = time.time()
        moments = latest((report.latest for report in family), MAX_TITLES)
        started = datetime.fromisoformat(min(report.started_at for report in family)).timestamp()
        return {
            series("dulcet_build_info", version=__version__): 1,
            "dulcet_process_start_time_seconds": started,
            "dulcet_processes": len(family),
            **add_up(report.counters for report in family),
            **{text: max(0.0, now - at) for text, at in moments.items()},
            **self._disk(),
            **queue_series(now),
        }

    def _disk(self) -> dict[str, float]:
        try:
            status = os.statvfs(self._settings.storage.directory)
        except OSError:
            return {}
        return {"dulcet_disk_free_octets": status.f_bavail * status.f_frsize}

    def _examine(self, own: ProcessReport) -> tuple[list[ProcessReport], list[str]]:
        family = self._family(own)
        reasons = []
        if any(report.state == "stopping" for report in family):
            reasons.append("it is stopping")
        if any(report.state == "failed" for report in family):
            reasons.append("the disk has failed before: nothing is stored any more")
        else:
            try:
                self._storage.check()
            except StorageError as error:
                reasons.append(str(error))
        return family, reasons
