"""Options of commands that can leave their work to the transfer queue."""

from collections.abc import Mapping
from typing import Any

import click

from dulcet.commands.options import is_given, stacked
from dulcet.errors import ConfigurationError

MAX_PRIORITY = 100

queue_options = stacked(
    click.option("--queue", "to_queue", is_flag=True, help="Leave it to the transfer queue, and return at once."),
    click.option(
        "--priority",
        type=click.IntRange(-MAX_PRIORITY, MAX_PRIORITY),
        default=0,
        show_default=True,
        metavar="N",
        help="With --queue: jobs of higher priority go first.",
    ),
    click.option("--hours", default="", metavar="FROM-TO", help="With --queue: when it may run, as 22:00-06:00."),
)
"""Whether, and how, the work becomes a job."""


def job_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`priority` and `hours` for an order, checked; click.UsageError for a wrong value, or one without --queue."""
    from dulcet.station.queue.hours import check_hours

    if not options["to_queue"]:
        for name in ("priority", "hours"):
            if is_given(name):
                raise click.UsageError(f"--{name} needs --queue")
        return {}
    try:
        return {"priority": options["priority"], "hours": check_hours(options["hours"])}
    except ConfigurationError as error:
        raise click.UsageError(f"--hours: {error}") from error
