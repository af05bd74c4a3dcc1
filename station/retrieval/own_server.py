"""Whether it is a server of our own that has the port: then it receives what a C-MOVE sends, and we look for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from dulcet.errors import ConfigurationError
from dulcet.escape import quote, quoted
from dulcet.services.listener import bind
from dulcet.station.monitor.process_file import read_processes
from dulcet.station.retrieval.ports import is_claimed, is_taken
from dulcet.station.retrieval.receiver import echo_problem
from dulcet.station.retrieval.reception import Receive, ReceiverSettings, Reception
from dulcet.station.retrieval.tally import Tally
from dulcet.station.retrieval.watching import watching

SERVER = "serve"  # what its process file calls it


class PortBusyError(ConfigurationError):
    """Another retrieval of ours receives on the port; it will not for long."""

    exit_code = 75


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnServer:
    """A server of ours on the port that we want."""

    ae_title: str
    address: str
    """Where it listens."""
    directory: Path | None
    """Where it stores; None when that is not known, and has to be believed."""


@asynccontextmanager
async def receiving_or_watching(
    settings: ReceiverSettings, receive: Receive, *, directory: Path, tally: Tally
) -> AsyncIterator[Reception]:
    """By `receive`; where a server of ours has the port and stores in `directory`, by looking there.

    ConfigurationError when somebody else has the port, or it stores elsewhere; PortBusyError when another retrieval of
    ours has it.
    """
    server = await find_server(settings)
    if server is None:
        async with receive(settings) as reception:
            yield reception
        return
    check_server(server, settings, directory)
    async with watching(directory, tally, address=server.address, port=settings.port) as watch:
        yield watch


async def find_server(settings: ReceiverSettings) -> OwnServer | None:
    """The server of ours that has the port; None when the port is free, or a stranger has it. PortBusyError."""
    if is_free(settings.host, settings.port):
        return None
    server = await trio.to_thread.run_sync(_published, settings.port)
    if server is not None:
        return server
    if is_claimed(settings.port):
        raise PortBusyError(f"another retrieval receives on port {settings.port} just now")
    if await echo_problem(settings.host, settings.port, settings.ae_title):
        return None
    return OwnServer(ae_title=settings.ae_title, address=settings.host or "this machine", directory=None)


def check_server(server: OwnServer, settings: ReceiverSettings, directory: Path) -> None:
    """ConfigurationError when what is sent to the server is not for us, or does not come to `directory`."""
    what = f"our own server has port {settings.port}"
    if server.ae_title != settings.ae_title:
        raise ConfigurationError(
            f"{what} and answers to {quoted(server.ae_title)}, not to {settings.ae_title!r}: say --aet"
            f" {quote(server.ae_title)}, or another --port"
        )
    if server.directory is not None and server.directory.resolve() != directory.resolve():
        raise ConfigurationError(
            f"{what} and stores in {server.directory}: say --directory {server.directory}, or another --port"
        )


def is_free(host: str, port: int) -> bool:
    """Whether we could listen there; what else may be wrong with it is told when we do."""
    try:
        sockets = bind(host, port, backlog=1)
    except ConfigurationError as error:
        return not is_taken(error)
    for sock in sockets:
        sock.close()
    return True


def _published(port: int) -> OwnServer | None:
    """By the process files."""
    for process in read_processes():
        if process.command != SERVER or not process.directory:
            continue
        for address in process.addresses:
            if address.rpartition(":")[2] == str(port):
                return OwnServer(ae_title=process.ae_title, address=address, directory=Path(process.directory))
    return None
