"""`dulcet serve`: receive objects, a storage SCP."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dulcet.commands.options import DEFAULT_AE_TITLE, FILE, F, ae_title, conversation_options
from dulcet.errors import ConfigurationError
from dulcet.services.admission import Admission, AllowedPeer
from dulcet.services.limits import Limits
from dulcet.services.listener import bind
from dulcet.services.storage import Durability, OnConflict, StorageOptions
from dulcet.station.archive.archive_settings import ArchiveSettings
from dulcet.station.book.configuration import node_book_path
from dulcet.station.server import ServerSettings, TLSFiles, run_server
from dulcet.station.workers import run_workers
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH

DEFAULT_PORT = 11112
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}


class Octets(click.ParamType[int]):
    """`4G`, `500M`, `1048576`."""

    name = "octets"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Decimal units, as disks have them."""
        if isinstance(value, int):
            return value
        text = str(value).strip().lower().removesuffix("b")
        unit = text[-1:] if text[-1:] in "kmgt" and text else ""
        number = text.removesuffix(unit) if unit else text
        if not number.isdigit():
            self.fail(f"{value!r} is no size: write 500M or 4G", param, ctx)
        return int(number) * _UNITS[unit]


def _seconds(name: str, default: float, text: str) -> Callable[[F], F]:
    return click.option(
        name, type=click.FloatRange(min=0.1), default=default, show_default=True, metavar="S", help=text
    )


_LIMITS = Limits()
_ARCHIVE = ArchiveSettings()


@click.command()
@click.option("--aet", "-aet", metavar="AET", default=DEFAULT_AE_TITLE, show_default=True, help="Our AE title.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 takes a free one."
)
@click.option(
    "--bind", "bind_to", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="0.0.0.0 is everywhere."
)
@click.option("--directory", type=FILE, default=Path("received"), show_default=True, help="Where objects go.")
@click.option("--allow", multiple=True, metavar="AET[@CIDR]", help="Who may associate; may be repeated.")
@click.option("--allow-any", is_flag=True, help="Anybody may associate.")
@click.option("--any-called-ae", is_flag=True, help="Whatever title we are called by.")
@click.option(
    "--max-associations", type=click.IntRange(1), default=_LIMITS.max_associations, show_default=True, metavar="N"
)
@click.option(
    "--max-per-address", type=click.IntRange(1), default=_LIMITS.max_per_address, show_default=True, metavar="N"
)
@click.option(
    "--max-pdu",
    type=click.IntRange(4096, 16 * 1024 * 1024),
    default=DEFAULT_MAX_PDU_LENGTH,
    show_default=True,
    metavar="OCTETS",
    help="The largest PDU that we take.",
)
@click.option(
    "--async-window",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="Operations that a peer may have outstanding, if it asks.",
)
@_seconds("--artim", _LIMITS.artim, "For an A-ASSOCIATE-RQ to come, and for a connection to be closed.")
@_seconds("--idle-timeout", _LIMITS.idle or 60.0, "An association on which nothing happens.")
@_seconds("--pdu-timeout", _LIMITS.pdu or 30.0, "A PDU once begun.")
@_seconds("--grace", _LIMITS.grace, "For messages in flight when we are asked to end.")
@click.option(
    "--durability",
    type=click.Choice([choice.value for choice in Durability]),
    default=Durability.FSYNC.value,
    show_default=True,
    help="What 0000H means: on the disk, on the disk with others in one go, or in the system's memory.",
)
@click.option(
    "--on-conflict",
    type=click.Choice([choice.value for choice in OnConflict]),
    default=OnConflict.KEEP_BOTH.value,
    show_default=True,
    help="The same SOP Instance UID with other contents.",
)
@click.option("--max-object", type=Octets(), default="4G", show_default=True, help="Larger ones are refused (A700H).")
@click.option(
    "--min-free", type=Octets(), help="Free space below which objects are refused. [default: 2 %, at least 1G]"
)
@click.option("--lenient-uid", is_flag=True, help="Take UIDs with leading zeros in their components.")
@click.option("--tls-cert", type=FILE, metavar="FILE", help="Speak TLS with this certificate.")
@click.option("--tls-key", type=FILE, metavar="FILE", help="Its key, if not in the same file.")
@click.option("--tls-ca", type=FILE, metavar="FILE", help="Peers need a certificate signed by these authorities.")
@click.option("--tls-anonymous", is_flag=True, help="Peers need no certificate.")
@click.option("--query", is_flag=True, help="Answer C-FIND, C-MOVE, C-GET and storage commitment over what is stored.")
@click.option("--nodes", type=FILE, metavar="FILE", help="The node book that --query sends to. [default: your own]")
@click.option("--worklist", type=FILE, metavar="FOLDER", help="Answer worklist queries from the files of a folder.")
@click.option(
    "--max-matches",
    type=click.IntRange(1),
    default=_ARCHIVE.max_matches,
    show_default=True,
    metavar="N",
    help="Of one C-FIND.",
)
@click.option(
    "--max-suboperations",
    type=click.IntRange(1, 65535),
    default=_ARCHIVE.max_suboperations,
    show_default=True,
    metavar="N",
    help="Objects that one C-MOVE or C-GET may ask for.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N", help="Processes.")
@conversation_options
def serve(**options: Any) -> int:
    """Receive objects and keep them: a storage SCP, which answers C-ECHO too.

    What is answered with success (0000H) is on the disk, whole and under its final name. One line on standard output
    says when it is ready; SIGTERM ends it when what is in flight has been answered.

    With --query it is a small archive: it can be searched, and sends what it has to the nodes of the node book, and to
    nobody else.
    """
    settings = _settings(options)
    sockets = bind(settings.host, settings.port, backlog=settings.limits.backlog)
    return run_workers(settings, sockets) if settings.workers > 1 else run_server(settings, sockets)


def _settings(options: dict[str, Any]) -> ServerSettings:
    limits = replace(
        Limits(),
        artim=options["artim"],
        idle=options["idle_timeout"],
        pdu=options["pdu_timeout"],
        grace=options["grace"],
        max_associations=options["max_associations"],
        max_per_address=options["max_per_address"],
    )
    title = ae_title(options["aet"])
    return ServerSettings(
        ae_title=title,
        host=options["bind_to"],
        port=options["port"],
        admission=Admission(
            ae_title=title,
            any_called_ae_title=options["any_called_ae"],
            allowed=tuple(AllowedPeer.parse(text) for text in options["allow"]),
            allow_any=options["allow_any"],
        ),
        limits=limits,
        storage=StorageOptions(
            directory=options["directory"],
            durability=Durability(options["durability"]),
            on_conflict=OnConflict(options["on_conflict"]),
            max_object_octets=options["max_object"],
            min_free_octets=options["min_free"],
            lenient_uid=options["lenient_uid"],
        ),
        max_pdu_length=options["max_pdu"],
        window=options["async_window"],
        workers=options["workers"],
        tls=_tls(options),
        archive=_archive(options),
        as_json=options["as_json"],
        verbose=options["verbose"],
        quiet=options["quiet"],
    )


def _archive(options: dict[str, Any]) -> ArchiveSettings:
    query, nodes = options["query"], options["nodes"]
    if nodes is not None and not query:
        raise click.UsageError("--nodes needs --query")
    if nodes is not None and not nodes.is_file():
        raise ConfigurationError(f"there is no node book {nodes}")
    return ArchiveSettings(
        query=query,
        nodes=nodes or (node_book_path() if query else None),
        worklist=options["worklist"],
        max_matches=options["max_matches"],
        max_suboperations=options["max_suboperations"],
    )


def _tls(options: dict[str, Any]) -> TLSFiles | None:
    cert, key, ca = options["tls_cert"], options["tls_key"], options["tls_ca"]
    if cert is None:
        if key or ca or options["tls_anonymous"]:
            raise click.UsageError("--tls-key, --tls-ca and --tls-anonymous need --tls-cert")
        return None
    if ca is None and not options["tls_anonymous"]:
        raise click.UsageError("TLS without --tls-ca lets anybody in: say --tls-anonymous if that is meant")
    return TLSFiles(cert=cert, key=key, ca=ca)
