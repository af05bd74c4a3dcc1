"""`dulcet serve`: receive objects, a storage SCP."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from dulcet.commands.options import ae_title
from dulcet.commands.serve_address import http_address
from dulcet.commands.serve_options import WORDS, ServeCommand, serve_options
from dulcet.errors import ConfigurationError
from dulcet.services.admission import Admission, AllowedPeer
from dulcet.services.limits import Limits
from dulcet.services.listener import bind
from dulcet.services.storage import Durability, OnConflict, StorageOptions
from dulcet.station.archive.archive_settings import ArchiveSettings
from dulcet.station.book.configuration import node_book_path
from dulcet.station.forwarding.routes import OwnEntity, Routes
from dulcet.station.retrieval.ports import bind_when_free
from dulcet.station.server import Part, ServerSettings, TLSFiles, run_server
from dulcet.station.workers import run_workers

HTTP_BACKLOG = 128


@click.command(cls=ServeCommand)
@serve_options
@click.pass_context
def serve(ctx: click.Context, /, **options: Any) -> int:
    """Receive objects and keep them: a storage SCP, which answers C-ECHO too.

    What is answered with success (0000H) is on the disk, whole and under its final name. One line on standard output
    says when it is ready; SIGTERM ends it when what is in flight has been answered. SIGHUP makes it read the
    configuration file, the node book and the certificates again.

    With --query it is a small archive: it can be searched, and sends what it has to the nodes of the node book, and to
    nobody else. Where there is a transfer queue, it runs its jobs. `dulcet status` shows what goes on.
    """
    settings = _settings(options)
    sockets = bind_when_free(settings.host, settings.port, backlog=settings.limits.backlog, waiting=_say)
    http_sockets = [] if settings.http is None else bind(*settings.http, backlog=HTTP_BACKLOG)
    part = Part(http_sockets=http_sockets, read_settings=_reader(ctx))
    if settings.workers > 1:
        return run_workers(settings, sockets, part)
    return run_server(settings, sockets, part)


def _say(sentence: str) -> None:
    click.echo(f"dulcet: {sentence}", err=True)


def _reader(ctx: click.Context) -> Callable[[], ServerSettings]:
    """Reads the configuration file again, under the words and the environment that we were started with."""
    words, command, program = ctx.meta[WORDS], ctx.command, ctx.find_root()

    def read() -> ServerSettings:
        from dulcet.commands.settings import Settings

        group = program.command
        assert isinstance(group, click.Group)
        settings = Settings.read()
        settings.check_tables(group.list_commands(program))
        above = click.Context(group, info_name=program.info_name, auto_envvar_prefix=program.auto_envvar_prefix)
        name = ctx.info_name or ""
        above.default_map = {name: settings.defaults(above, name, command)}
        try:
            with command.make_context(name, list(words), above) as fresh:
                return _settings(fresh.params)
        except click.ClickException as error:
            raise ConfigurationError(error.format_message()) from error

    return read


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
            **_min_free(options["min_free"]),
            lenient_uid=options["lenient_uid"],
        ),
        max_pdu_length=options["max_pdu"],
        window=options["async_window"],
        workers=options["workers"],
        tls=_tls(options),
        archive=_archive(options),
        http=None if options["http"] is None else http_address(options["http"]),
        queue=not options["no_queue"],
        routes=Routes.read(own=OwnEntity(ae_title=title, port=options["port"])),
        as_json=options["as_json"],
        verbose=options["verbose"],
        quiet=options["quiet"],
    )


def _min_free(value: int | float | None) -> dict[str, Any]:
    """A share of the disk is a float."""
    return {"min_free_share" if isinstance(value, float) else "min_free_octets": value}


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
        keep_days=options["keep_days"],
        keep_octets=options["keep_octets"],
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
