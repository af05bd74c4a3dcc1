"""What a worker tells of itself while it runs: the process file of `dulcet queue run`.

Its jobs are not in it: the queue itself tells how far they are.
"""

import os

from dulcet.station.monitor.describing import association_counters, association_rows
from dulcet.station.monitor.process_file import publish
from dulcet.station.monitor.process_report import ProcessReport, now
from dulcet.station.queue.worker import Worker


async def publish_worker(worker: Worker) -> None:
    """Write the process file, once a second, until cancelled."""
    started_at = now()

    def describe() -> ProcessReport:
        return ProcessReport(
            pid=os.getpid(),
            command="queue run",
            family=os.getpid(),
            state="stopping" if worker.is_stopping else "running",
            started_at=started_at,
            updated_at=now(),
            runs_queue=True,
            associations=association_rows(),
            counters=association_counters(),
        )

    await publish(describe)
