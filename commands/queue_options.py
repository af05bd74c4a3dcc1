"""Options of commands that can leave their work to the transfer queue."""

import re
from collections.abc import Mapping
from typing import Any

import click

from dulcet.commands.options import is_given, stacked
from dulcet.errors import ConfigurationError
from dulcet.station.book.sizes import octets_of

MAX_PRIORITY = 100
MIN_OCTETS_PER_SECOND = 1_000  # below it a peer's own timers would end each association
_AGES = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_AGE = re.compile(r"(\d{1,9})(s|min|h|d)")


class OctetsPerSecond(click.ParamType[int]):
    """A rate: `500K`, `2M`, `2.5M`; 0 for none."""

    name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Octets per second."""
        if isinstance(value, int):
            return value
        try:
            rate = octets_of(value)
        except ConfigurationError:
            self.fail(f"{value!r} is no rate: write octets per second, as 500K or 2M", param, ctx)
        if 0 < rate < MIN_OCTETS_PER_SECOND:
            self.fail(f"{value!r} is too slow: at least 1K", param, ctx)
        return rate


class Age(click.ParamType[float]):
    """A length of time: `90s`, `30min`, `12h`, `7d`."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        matched = _AGE.fullmatch(str(value))
        if matched is None:
            self.fail(f"{value!r} is no length of time: write 90s, 30min, 12h or 7d", param, ctx)
        return float(int(matched[1]) * _AGES[matched[2]])


OCTETS_PER_SECOND, AGE = OctetsPerSecond(), Age()

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
    click.option(
        "--give-up-after",
        type=AGE,
        metavar="AGE",
        help="With --queue: try again what may pass for so long, as 12h. [default: by kind of failure, up to 3 days]",
    ),
)
"""Whether, and how, the work becomes a job."""

bandwidth_option = click.option(
    "--bandwidth", type=OCTETS_PER_SECOND, metavar="RATE", help="Octets per second at most, as 500K or 2M."
)


def job_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`priority`, `hours` and, where the command has --bandwidth, `octets_per_second` for an order, checked.

    click.UsageError for a wrong value, or for one without --queue.
    """
    if not options["to_queue"]:
        for name in ("priority", "hours", "give_up_after"):
            if is_given(name):
                raise click.UsageError(f"--{name.replace('_', '-')} needs --queue")
        return {}
    return {
        "priority": options["priority"],
        "hours": hours_of(options["hours"]),
        "octets_per_second": options.get("bandwidth") or None,
    }


def hours_of(text: str) -> str:
    """`text` as an order keeps it; click.UsageError."""
    from dulcet.station.queue.hours import check_hours

    try:
        return check_hours(text)
    except ConfigurationError as error:
        raise click.UsageError(f"--hours: {error}") from error
