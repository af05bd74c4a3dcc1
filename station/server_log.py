"""The log of a server: one line for each event, none with a value of a data set."""

import json
import sys
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from dulcet.escape import quote
from dulcet.services.association import Association
from dulcet.station.events import JSON_SCHEMA_VERSION, rfc3339
from dulcet.station.lines import write_line
from dulcet.station.monitor.process_report import ErrorRow
from dulcet.station.server_settings import ServerSettings

MAX_LINES = 20  # for each association; a peer must not be able to fill the log
KEPT_ERRORS = 10  # for `dulcet status`

EVENTS = {
    "server.ready": "It accepts (with --json; else a line on standard output says so).",
    "server.stopping": "A signal asked it to end; what is under way is finished.",
    "settings.read": "After SIGHUP: what has changed, and what of it needs a restart.",
    "settings.fault": "After SIGHUP: the settings can't be used, so the old ones stay.",
    "association.established": "A peer is in.",
    "association.rejected": "A peer was refused, and why.",
    "association.ended": "How it ended, and how often the peer broke the standard.",
    "connection.ended": "It never came to an association (with -v).",
    "tls.failed": "A TLS handshake failed.",
    "object.stored": "An object was acknowledged (with -v).",
    "object.conflict": "Acknowledged; another object with the same UID and other contents was there.",
    "object.refused": "An object was not stored: the status of the answer, and why.",
    "request.done": "A query, a retrieval or a commitment request was answered.",
    "index.ready": "The index was compared with the directory.",
    "index.failed": "The index can't be written or read; objects go on being stored.",
    "nodes.fault": "The node book has a fault.",
    "nodes.none": "The node book has no node to send to.",
    "worklist.file": "A worklist file can't be used.",
    "commitment.reported": "A requestor was told what is committed.",
    "commitment.undelivered": "It could not be told; tried again unless given up.",
    "commitment.failed": "What was reported can't be crossed off.",
    "queue.started": "A process runs the jobs of the queue.",
    "queue.ended": "It ended, and is started again after a pause.",
    "forward.queued": "Objects that arrived became a job of the queue, as a rule says.",
    "forward.dropped": "Objects that arrived are not forwarded: their rule is gone.",
    "forward.failed": "What arrives can't be forwarded now; it is tried again.",
    "retention.removed": "Series that were old, or too many, were removed.",
    "retention.kept": "Series that should be removed were not: they are queued, or the clock is doubted.",
    "retention.failed": "Objects that should be removed could not be; it is tried again.",
    "monitor.failed": "The file for `dulcet status` can't be written; nothing else suffers.",
}
"""Every event that a line may have."""

ERRORS = {
    *("association.rejected", "tls.failed", "object.conflict", "object.refused"),
    *("index.failed", "nodes.fault", "worklist.file", "commitment.undelivered", "commitment.failed"),
    *("settings.fault", "queue.ended", "forward.dropped", "forward.failed", "retention.failed", "monitor.failed"),
}
"""Those that somebody should look at."""


class Log:
    """One line for each event on standard error, or JSON Lines on standard output; no values of data sets.

    An association gets MAX_LINES; what it causes beyond is counted, not written. A log that can't be written, for the
    disk is full or its reader has gone, disturbs nobody.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        """Its format and its level; may be exchanged."""
        self.errors: deque[ErrorRow] = deque(maxlen=KEPT_ERRORS)
        """The last that somebody should look at."""
        self._written: dict[int, int] = {}

    def __call__(self, event: str, about: Association | None = None, **values: Any) -> None:
        """Write one line: peers' strings in `values` are quoted here."""
        if about is not None:
            count = self._written[id(about)] = self._written.get(id(about), 0) + 1
            if count > MAX_LINES and event != "association.ended":
                return
            values = {"calling": calling(about), "address": about.transport.peer_address, **values}
            if event == "association.ended":
                values["lines_suppressed"] = max(0, self._written.pop(id(about)) - MAX_LINES - 1) or None
        values = {name: quote(value, 200) if isinstance(value, str) else value for name, value in values.items()}
        self._write(event, {name: value for name, value in values.items() if value is not None})

    def _write(self, event: str, values: dict[str, Any]) -> None:
        text = " ".join(f"{name}={_in_a_line(value)}" for name, value in values.items())
        at = rfc3339(datetime.now(UTC))
        if event in ERRORS:
            self.errors.append(ErrorRow(at=at, event=event, text=text))
        with suppress(OSError, ValueError):
            if self.settings.as_json:
                head = {"v": JSON_SCHEMA_VERSION, "ts": at, "event": event}
                write_line(json.dumps({**head, **values}), sys.stdout)
            elif not self.settings.quiet:
                write_line(f"{event} {text}", sys.stderr)


def calling(association: Association) -> str:
    """The calling AE title, raw; "" before there is an association."""
    return "" if association.request is None else str(association.request.calling_ae_title)


def _in_a_line(value: Any) -> str:
    """As JSON, but that what is escaped already is not escaped again."""
    return json.dumps(value).replace("\\\\", "\\") if isinstance(value, str) else json.dumps(value)
