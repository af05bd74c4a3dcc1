"""Options and manners that move, get and retrieve share."""

import signal
from collections.abc import Awaitable, Callable
from typing import Any

import click
import trio

from dulcet.commands.options import FILE, ae_title, stacked
from dulcet.commands.storage_options import STORAGE_OPTIONS
from dulcet.dimse.status import MOVE_DESTINATION_UNKNOWN, explain
from dulcet.errors import ConfigurationError, DulcetError
from dulcet.services.storage import Durability, OnConflict, StorageOptions
from dulcet.station.book import sop_classes
from dulcet.station.figures import plural
from dulcet.station.retrieval.attempts import Attempt

EXIT_PARTLY_FAILED, EXIT_NO_INPUT = 1, 66
MAX_NAMES = 10

unique_key_options = stacked(
    click.option("--study", multiple=True, metavar="UID", help="StudyInstanceUID; may be repeated."),
    click.option("--series", multiple=True, metavar="UID", help="SeriesInstanceUID; may be repeated."),
    click.option("--image", multiple=True, metavar="UID", help="SOPInstanceUID; may be repeated."),
    click.option("--patient-id", metavar="ID", help="PatientID: everything of a patient."),
    click.option("-k", "--key", "keys", multiple=True, metavar="KEY=VALUE", help="The same as keys."),
    click.option(
        "--query-file", "query_files", type=FILE, multiple=True, metavar="FILE", help="DICOM, JSON, TOML or KEY=VALUE."
    ),
    click.option(
        "--root",
        type=click.Choice(["auto", "study", "patient"]),
        default="auto",
        show_default=True,
        help="The information model.",
    ),
    click.option("--relational", is_flag=True, help="Ask for relational retrieval: UIDs of one level are enough."),
    click.option("--no-check", is_flag=True, help="Send what the level forbids."),
    click.option(
        "--patience",
        type=click.FloatRange(min=1),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="Without a sign of life.",
    ),
)
"""What is to be sent, by unique keys."""

storage_options = stacked(
    *STORAGE_OPTIONS,
    click.option(
        "--sop-class", "sop_classes", multiple=True, metavar="UID|NAME", help="C-GET: storage classes to propose."
    ),
)
"""Where objects go that come here."""


def storage(options: dict[str, Any]) -> StorageOptions:
    """What `storage_options` say."""
    return StorageOptions(
        directory=options["directory"],
        durability=Durability(options["durability"]),
        on_conflict=OnConflict(options["on_conflict"]),
    )


def storage_classes(words: tuple[str, ...]) -> tuple[str, ...]:
    """The UIDs of storage SOP classes by UID, or by the beginning of the name: `CT Image`; click.UsageError."""
    try:
        return tuple(uid for word in words for uid in sop_classes.storage_classes(word))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def title(text: str) -> str:
    """An AE title, or a usage error."""
    try:
        return ae_title(text)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


async def watch_signals(
    cancel: Callable[[], Awaitable[bool]], everything: trio.CancelScope, interrupted: Callable[[int], None]
) -> None:
    """The first SIGINT or SIGTERM cancels at the peer, if there is something to cancel; the next one aborts."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        is_first = True
        async for number in signals:
            interrupted(number)
            if not is_first or not await cancel():
                everything.cancel()
            is_first = False


def outcome_lines(attempt: Attempt) -> list[str]:
    """What a person is told of one request."""
    counts = attempt.counts
    lines = []
    if attempt.status is not None:
        if attempt.error is None:
            meaning = explain(attempt.status, attempt.way)
            lines.append(f"{attempt.way} of {attempt.target}: {attempt.status:04X}H, {meaning}")
        remaining = f", {counts.remaining} not begun" if counts.remaining else ""
        lines.append(
            f"{plural(counts.done, 'sub-operation')}: {counts.completed:,} completed, {counts.failed:,} failed,"
            f" {counts.warning:,} with a warning{remaining}"
        )
    if attempt.failed_instances:
        lines.append("These failed:")
        lines += [f"    {uid}" for uid in attempt.failed_instances[:MAX_NAMES]]
        if len(attempt.failed_instances) > MAX_NAMES:
            lines.append(f"    ... and {len(attempt.failed_instances) - MAX_NAMES:,} more")
    return lines


def exit_code(attempt: Attempt) -> int:
    """0 all, 1 some, 66 nothing to send; else that of the failure."""
    if attempt.error is not None:
        some = attempt.counts.completed + attempt.counts.warning
        return EXIT_PARTLY_FAILED if some and attempt.status is not None else attempt.error.exit_code
    if attempt.is_empty:
        return EXIT_NO_INPUT
    if attempt.status == 0 and not attempt.counts.failed:
        return 0
    return EXIT_PARTLY_FAILED


def is_unknown_destination(error: DulcetError | None) -> bool:
    """Whether the peer does not know the move destination."""
    return getattr(error, "status", None) == MOVE_DESTINATION_UNKNOWN
