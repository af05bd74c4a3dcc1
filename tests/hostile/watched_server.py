"""`dulcet serve` that can be looked into: it writes what it holds when SIGRTMIN asks, and more limits can be set.

Run as a program. DULCET_WATCHED is JSON: `report` is the file to write, `pulse` another (see pulse.py), `limits` are
fields of `Limits`, `descriptors` is how many the process may have.
"""

import gc
import json
import os
import resource
import signal
import threading
from functools import partial
from pathlib import Path

import trio
from pulse import pulse

from dulcet.commands import serve
from dulcet.services.limits import Limits


def holdings() -> dict[str, int]:
    """What the process holds now."""
    gc.collect()
    memory = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "octets": int(memory["VmRSS"].split()[0]) * 1024,
        "peak_octets": int(memory["VmHWM"].split()[0]) * 1024,
        "objects": len(gc.get_objects()),
    }


def main() -> None:
    settings = json.loads(os.environ["DULCET_WATCHED"])
    report, hard = Path(settings["report"]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def asked(_number: int, _frame: object) -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(tell)  # in its turn, not in the middle of anything

    def tell() -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # there may be none left for what follows
        report.with_suffix(".new").write_text(json.dumps(holdings()))
        report.with_suffix(".new").rename(report)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    signal.signal(signal.SIGRTMIN, asked)
    serve.Limits = partial(Limits, **settings["limits"])
    from dulcet.cli import main as run

    with pulse(Path(settings["pulse"])):
        if settings["descriptors"]:
            resource.setrlimit(resource.RLIMIT_NOFILE, (settings["descriptors"], hard))
        run()


if __name__ == "__main__":
    main()
