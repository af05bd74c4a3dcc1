"""What a command in the foreground tells of itself, once it lasts: what is done sooner costs not even an import."""

import os
from collections.abc import Callable
from typing import Any

import trio

PATIENCE_SECONDS = 1.0  # what is done sooner is not worth a look


async def publish_when_it_lasts(
    command: str, peer: str, measure: Callable[[], dict[str, Any]], *, ae_title: str = "", directory: str = ""
) -> None:
    """Write the file of this process from its second second on, until cancelled; see `process_file.publish`.

    `measure` answers fields of a `TransferRow`: objects and octets, with the totals that are known.
    """
    await trio.sleep(PATIENCE_SECONDS)
    from dulcet.station.monitor.describing import association_counters, association_rows
    from dulcet.station.monitor.process_file import publish
    from dulcet.station.monitor.process_report import ProcessReport, TransferRow, now
    from dulcet.station.sending.progress import PaceMeter, Transfer

    transfer = Transfer(total_objects=0, total_octets=0)
    meter = PaceMeter(transfer)
    started_at = now()

    def describe() -> ProcessReport:
        measured = measure()
        transfer.objects, transfer.octets = measured["objects"], measured.get("octets", 0)
        transfer.total_objects = measured.get("total_objects") or transfer.objects
        transfer.total_octets = measured.get("total_octets") or transfer.octets
        pace = meter.measure(trio.current_time())
        row = TransferRow(
            what=command,
            peer=peer,
            octets_per_second=pace.octets_per_second,
            seconds_left=None if measured.get("total_objects") is None else pace.seconds_left,
            **measured,
        )
        return ProcessReport(
            pid=os.getpid(),
            command=command,
            family=os.getpid(),
            started_at=started_at,
            updated_at=now(),
            ae_title=ae_title,
            directory=directory,
            associations=association_rows(),
            transfers=(row,),
            counters=association_counters(),
        )

    await publish(describe)
