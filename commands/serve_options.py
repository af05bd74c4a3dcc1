"""The options of `dulcet serve`, by what they are about, as its --help shows them."""

import re
from collections.abc import Callable
from typing import Any

import click

from dulcet.commands.options import DEFAULT_AE_TITLE, FILE, F, conversation_options, stacked
from dulcet.commands.storage_options import STORAGE_OPTIONS
from dulcet.errors import ConfigurationError
from dulcet.services.limits import Limits
from dulcet.station.archive.archive_settings import ArchiveSettings
from dulcet.station.book.sizes import octets_of
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH

DEFAULT_PORT = 11112
_LIMITS = Limits()
_ARCHIVE = ArchiveSettings()


_PERCENT = re.compile(r"(\d{1,2}(?:\.\d{1,3})?) ?%", re.ASCII)


class Octets(click.ParamType[int]):
    """`4G`, `500M`, `1048576`."""

    name = "octets"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Decimal units, as disks have them."""
        if isinstance(value, int):
            return value
        try:
            return octets_of(value)
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


class OctetsOrShare(Octets):
    """As `Octets`, or `5%`: a share of the file system, which comes as a float from 0 to 1."""

    name = "octets|percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """An int of octets, or a float."""
        if isinstance(value, float):
            return value
        matched = _PERCENT.fullmatch(str(value).strip())
        return float(matched[1]) / 100 if matched else super().convert(value, param, ctx)


def _number(name: str, default: int, metavar: str = "N", most: int | None = None, text: str = "") -> Callable[[F], F]:
    kind = click.IntRange(1, most)
    return click.option(name, type=kind, default=default, show_default=True, metavar=metavar, help=text)


def _seconds(name: str, default: float, text: str) -> Callable[[F], F]:
    return click.option(
        name, type=click.FloatRange(min=0.1), default=default, show_default=True, metavar="S", help=text
    )


GROUPS: dict[str, tuple[Callable[[Any], Any], ...]] = {
    "Where it listens, and for whom": (
        click.option("--aet", "-aet", metavar="AET", default=DEFAULT_AE_TITLE, show_default=True, help="Our AE title."),
        click.option(
            "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 takes a free one."
        ),
        click.option(
            "--bind",
            "bind_to",
            default="127.0.0.1",
            show_default=True,
            metavar="ADDRESS",
            help="0.0.0.0 is everywhere.",
        ),
        click.option("--allow", multiple=True, metavar="AET[@CIDR]", help="Who may associate; may be repeated."),
        click.option("--allow-any", is_flag=True, help="Anybody may associate."),
        click.option("--any-called-ae", is_flag=True, help="Whatever title we are called by."),
    ),
    "What it stores": (
        *STORAGE_OPTIONS,
        click.option(
            "--max-object", type=Octets(), default="4G", show_default=True, help="Larger ones are refused (A700H)."
        ),
        click.option(
            "--min-free",
            type=OctetsOrShare(),
            metavar="OCTETS|PERCENT",
            help="Free space below which objects are refused: 4G, or 5%. [default: 2%, but at least 1G]",
        ),
        click.option("--keep-days", type=click.FloatRange(min=0), metavar="N", help="Remove series that came before."),
        click.option("--keep-octets", type=Octets(), metavar="SIZE", help="Remove the oldest series beyond so much."),
        click.option("--lenient-uid", is_flag=True, help="Take UIDs with leading zeros in their components."),
    ),
    "What it answers besides": (
        click.option(
            "--query", is_flag=True, help="Answer C-FIND, C-MOVE, C-GET and storage commitment over what is stored."
        ),
        click.option(
            "--nodes", type=FILE, metavar="FILE", help="The node book that --query sends to. [default: your own]"
        ),
        click.option("--worklist", type=FILE, metavar="FOLDER", help="Answer worklist queries from a folder's files."),
        _number("--max-matches", _ARCHIVE.max_matches, text="Of one C-FIND."),
        _number(
            "--max-suboperations",
            _ARCHIVE.max_suboperations,
            most=65535,
            text="Objects that one C-MOVE or C-GET may ask for.",
        ),
    ),
    "TLS": (
        click.option("--tls-cert", type=FILE, metavar="FILE", help="Speak TLS with this certificate."),
        click.option("--tls-key", type=FILE, metavar="FILE", help="Its key, if not in the same file."),
        click.option(
            "--tls-ca", type=FILE, metavar="FILE", help="Peers need a certificate signed by these authorities."
        ),
        click.option("--tls-anonymous", is_flag=True, help="Peers need no certificate."),
    ),
    "Limits": (
        _number("--max-associations", _LIMITS.max_associations, text="At once."),
        _number("--max-per-address", _LIMITS.max_per_address, text="At once, from one address."),
        click.option(
            "--max-pdu",
            type=click.IntRange(4096, 16 * 1024 * 1024),
            default=DEFAULT_MAX_PDU_LENGTH,
            show_default=True,
            metavar="OCTETS",
            help="The largest PDU that we take.",
        ),
        _number("--async-window", 1, most=256, text="Operations that a peer may have outstanding, if it asks."),
        _seconds("--artim", _LIMITS.artim, "For an A-ASSOCIATE-RQ to come, and for a connection to be closed."),
        _seconds("--idle-timeout", _LIMITS.idle or 60.0, "An association on which nothing happens."),
        _seconds("--pdu-timeout", _LIMITS.pdu or 30.0, "A PDU once begun."),
        _seconds("--grace", _LIMITS.grace, "For messages in flight when we are asked to end."),
    ),
    "As a service": (
        _number("--workers", 1, most=64, text="Processes that share the port."),
        click.option("--no-queue", is_flag=True, help="Don't run the jobs of the transfer queue."),
        click.option("--http", metavar="[HOST:]PORT", help="Serve /metrics (Prometheus) and /healthz there."),
    ),
    "What it tells": (conversation_options,),
}

serve_options = stacked(*(option for options in GROUPS.values() for option in options))
"""All of them."""


WORDS = "dulcet.commands.serve.words"


class ServeCommand(click.Command):
    """Shows its options group by group. The context's `meta[WORDS]` has its words: settings are read again later."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the words."""
        words = tuple(args)
        ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta[WORDS] = words
        return ctx

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Section by section; --help is in the last one."""
        left = {tuple(param.opts): param for param in self.get_params(ctx)}
        for title, options in GROUPS.items():
            shown = [left.pop(tuple(param.opts)) for param in _parameters(options)]
            if len(left) == 1:
                shown += left.values()
            with formatter.section(title):
                formatter.write_dl([record for param in shown if (record := param.get_help_record(ctx)) is not None])


def _parameters(options: tuple[Callable[[Any], Any], ...]) -> list[click.Parameter]:
    def nothing(**_: Any) -> None:
        """Only there to be asked."""

    command: click.Command = click.command(stacked(*options)(nothing))
    return command.params
