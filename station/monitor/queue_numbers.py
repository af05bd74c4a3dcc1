"""The transfer queue in numbers, for monitoring. SQLite is imported only where there is a queue."""

import os

from dulcet.errors import DulcetError
from dulcet.station.book.configuration import state_path
from dulcet.station.monitor.metrics import series
from dulcet.station.queue.child import QUEUE_FILE


def queue_series(now: float) -> dict[str, float]:
    """Its series; none when there is no queue, or it can't be read. Synchronous: run it in a thread."""
    path = state_path() / QUEUE_FILE
    if not os.path.exists(path):  # Path.exists raises when it can't be looked for
        return {}
    from dulcet.station.queue.sqlite_store import SQLiteJobStore

    try:
        store = SQLiteJobStore(path)
        try:
            summary = store.summary()
        finally:
            store.close()
    except DulcetError:
        return {}
    oldest = summary.oldest_due_at
    return {
        **{series("dulcet_queue_jobs", state=state.value): count for state, count in summary.jobs.items()},
        "dulcet_queue_oldest_age_seconds": 0.0 if oldest is None else max(0.0, now - oldest),
        "dulcet_queue_retries_total": summary.retries,
        "dulcet_queue_held": int(summary.is_held),
    }
