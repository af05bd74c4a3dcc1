"""`dulcet tap`: a recording proxy between a client and a peer."""

import json
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import trio

from dulcet.commands.completion import PEER
from dulcet.commands.decode import print_lines
from dulcet.commands.options import FILE, conversation_options, is_given
from dulcet.commands.peers import peers
from dulcet.conformance.captures.ladder import Line, Style
from dulcet.conformance.live_text import LiveJSON, LiveView
from dulcet.conformance.tap import MAX_CONNECTIONS, Ends, Observer, Tap, TappedPeer
from dulcet.conformance.tap_recording import Recording, RecordingDirectory, RecordingFile, open_file
from dulcet.errors import ConfigurationError
from dulcet.escape import quote
from dulcet.services.listener import bind
from dulcet.services.tls import client_context, server_context
from dulcet.station.events import json_head

EXIT_NOT_RECORDED = 1
_BACKLOG = 128
_LOOPBACK = "127.0.0.1"


@click.command()
@click.argument("listen")
@click.argument("peer", nargs=-1, required=True, type=PEER)
@click.option("--write", type=FILE, metavar="FILE", help="Record all connections in one pcapng file.")
@click.option("--directory", type=FILE, metavar="DIR", help="Record each connection in a pcapng file of its own.")
@click.option("--tls-cert", type=FILE, metavar="FILE", help="Clients speak TLS: our certificate for them.")
@click.option("--tls-key", type=FILE, metavar="FILE", help="Its key, if not in the same file.")
@click.option("--tls-ca", type=FILE, metavar="FILE", help="Clients need a certificate signed by these authorities.")
@click.option("--tls", is_flag=True, help="The peer speaks TLS; its certificate is verified.")
@click.option("--peer-tls-ca", type=FILE, metavar="FILE", help="Authorities to trust for the peer.")
@click.option("--peer-tls-cert", type=FILE, metavar="FILE", help="Our certificate, if the peer asks for one.")
@click.option("--peer-tls-key", type=FILE, metavar="FILE", help="The key of --peer-tls-cert, if not in the same file.")
@click.option("--tls-name", metavar="NAME", help="The name on the peer's certificate, if not its host name.")
@click.option(
    "--max-connections",
    type=click.IntRange(1, 10_000),
    default=MAX_CONNECTIONS,
    show_default=True,
    metavar="N",
    help="At once; more wait.",
)
@conversation_options
def tap(listen: str, peer: tuple[str, ...], **options: Any) -> int:
    """Listen, pass each connection on to PEER octet for octet, and show and record what is said.

    LISTEN is [HOST:]PORT, 127.0.0.1 without a HOST; 0.0.0.0:PORT is everywhere. Point the client at it in place of
    PEER: no rights are needed, and TLS on either side is recorded as clear text. One line says when it is ready; SIGINT
    or SIGTERM ends it with a complete file, which Wireshark and `dulcet decode` read.
    """
    _check(options)
    host, port = listen_address(listen)
    target = _peer(peer, options)
    tls = None
    if options["tls_cert"] is not None:
        tls = server_context(cert=options["tls_cert"], key=options["tls_key"], ca=options["tls_ca"])
    sockets = bind(host, port, backlog=_BACKLOG)  # first: a port that is taken must not cost an earlier recording
    try:
        if _is_ours(target, sockets):
            raise ConfigurationError(f"the peer {target.host}:{target.port} is where the tap itself would listen")
        job = _Job(options)
    except ConfigurationError:
        for sock in sockets:
            sock.close()
        raise
    return trio.run(job.run, target, sockets, tls)


def _is_ours(peer: TappedPeer, sockets: Sequence[socket.socket]) -> bool:
    """Whether a connection to the peer would come to one of `sockets`: each would make the next, without end."""
    listening = {host for host, port in (sock.getsockname()[:2] for sock in sockets) if port == peer.port}
    if not listening:
        return False
    try:
        found = {str(address[0]) for *_, address in socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)}
    except OSError:
        return False  # the first connection says that the name has no address
    is_everywhere = bool(listening & {"0.0.0.0", "::"})
    return bool(found & listening) or (is_everywhere and any(map(_is_of_this_machine, found)))


def _is_of_this_machine(address: str) -> bool:
    """Whether a socket can have this address as its own; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `[HOST:]PORT`; ConfigurationError for what is none."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or len(port) > 5:
        raise ConfigurationError(f"'{quote(text)}' is no place to listen: write PORT or HOST:PORT, like 11112")
    return host.removeprefix("[").removesuffix("]") or _LOOPBACK, int(port)


def _check(options: dict[str, Any]) -> None:
    if options["tls_cert"] is None and (options["tls_key"] or options["tls_ca"]):
        raise click.UsageError("--tls-key and --tls-ca need --tls-cert (the peer's are --peer-tls-...)")
    if not options["tls"] and any(map(is_given, ("peer_tls_ca", "peer_tls_cert", "peer_tls_key"))):
        raise click.UsageError("--peer-tls-ca, --peer-tls-cert and --peer-tls-key need --tls")
    if options["write"] is not None and options["directory"] is not None:
        raise click.UsageError("--write and --directory exclude each other")


def _peer(words: Sequence[str], options: dict[str, Any]) -> TappedPeer:
    context = None
    if options["tls"]:
        files = {name: options[f"peer_tls_{name}"] for name in ("ca", "cert", "key")}
        context = client_context(**files)
    found = peers(words, called=None, calling="DULCET", tls=context, server_name=options["tls_name"])
    if len(found) != 1:
        raise click.UsageError("one PEER, please")
    (peer,) = found
    return TappedPeer(host=peer.host, port=peer.port, tls=peer.tls, server_name=peer.server_name)


class _Job:
    def __init__(self, options: dict[str, Any]) -> None:
        self._as_json: bool = options["as_json"]
        self._verbosity: int = options["verbose"]
        self._is_quiet: bool = options["quiet"]
        self._max_connections: int = options["max_connections"]
        self._code = 0
        write, directory = options["write"], options["directory"]
        self._file: RecordingFile | None = None if write is None else open_file(write, self._not_recorded)
        self._files = None if directory is None else RecordingDirectory(directory, self._not_recorded)

    async def run(self, peer: TappedPeer, sockets: Sequence[socket.socket], tls: Any) -> int:
        """Until a signal."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                serving = Tap(peer, self._observers, tls=tls, max_connections=self._max_connections)
                nursery.start_soon(serving.serve, sockets)
                self._announce(peer, sockets)
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    break
        if self._file is not None:
            self._file.close()
        return self._code

    def _announce(self, peer: TappedPeer, sockets: Sequence[socket.socket]) -> None:
        addresses = [f"{host}:{port}" for host, port in (sock.getsockname()[:2] for sock in sockets)]
        where = f"{peer.host}:{peer.port}"
        if self._as_json:
            self._tell_json({**json_head("tap.ready"), "listening": addresses, "peer": where})
        else:
            print(f"dulcet tap: {', '.join(addresses)} -> {where}", flush=True)

    def _observers(self, ends: Ends) -> list[Observer]:
        found: list[Observer] = []
        if self._file is not None:
            found.append(Recording(self._file, ends))
        if self._files is not None:
            recording = self._files.recording(ends)
            found += [] if recording is None else [recording]
        if self._as_json:
            found += [] if self._is_quiet else [_Careful(LiveJSON(ends, self._tell_json))]
        elif not self._is_quiet:
            found.append(_Careful(LiveView(ends, self._tell, self._verbosity)))
        return found

    def _tell_json(self, line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)

    def _tell(self, line: Line) -> None:
        print_lines((line,), sys.stderr)

    def _not_recorded(self, why: str) -> None:
        self._code = EXIT_NOT_RECORDED
        text = f"dulcet: recording ended: {quote(why, 200)}; the conversation goes on"
        self._tell(Line(text, Style.ERROR))


class _Careful:
    """A view that can't harm the conversation: a fault of ours in it, or a terminal that has gone, ends the view."""

    def __init__(self, view: Observer) -> None:
        self._view: Observer | None = view

    def _guard(self, act: Callable[[Observer], None]) -> None:
        if self._view is None:
            return
        try:
            act(self._view)
        except Exception as error:
            self._view = None
            if not isinstance(error, OSError):
                text = quote(f"{type(error).__name__}: {error}", 200)
                click.echo(f"dulcet: the view of this connection ended: {text}; the conversation goes on", err=True)

    def opened(self, time: int) -> None:
        """See `Observer`."""
        self._guard(lambda view: view.opened(time))

    def refused(self, time: int, why: str) -> None:
        """See `Observer`."""
        self._guard(lambda view: view.refused(time, why))

    def sent(self, time: int, direction: Any, octets: bytes) -> None:
        """See `Observer`."""
        self._guard(lambda view: view.sent(time, direction, octets))

    def closed(self, time: int, direction: Any, *, is_reset: bool) -> None:
        """See `Observer`."""
        self._guard(lambda view: view.closed(time, direction, is_reset=is_reset))

    def ended(self, time: int) -> None:
        """See `Observer`."""
        self._guard(lambda view: view.ended(time))
