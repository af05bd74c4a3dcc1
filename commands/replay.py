"""`dulcet replay`: one side of a capture against a real peer."""

import json
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import trio

from dulcet.commands.completion import PEER
from dulcet.commands.decode import print_lines, read_transcript
from dulcet.commands.options import FILE, ae_title, conversation_options, tls_client, tls_client_options
from dulcet.commands.peers import node_of, peers
from dulcet.commands.tap import listen_address
from dulcet.conformance.captures.ladder import Line, Style
from dulcet.conformance.captures.machines import Side
from dulcet.conformance.captures.transcript import StreamTranscript, Transcript
from dulcet.conformance.live_text import LiveView
from dulcet.conformance.replay import Answer, Player, Result
from dulcet.conformance.replay_compare import Difference
from dulcet.conformance.replay_script import Script, Unit, script
from dulcet.conformance.tap import Address, Ends, TappedPeer, address_of, close, connect, secure
from dulcet.errors import ConnectionLostError, NotDICOMError
from dulcet.escape import quote
from dulcet.services.listener import bind
from dulcet.services.tls import server_context
from dulcet.station.book.nodes import is_address
from dulcet.station.events import json_head

EXIT_DIFFERENT = 1
_SHOWN = 200  # characters of a value


@click.command()
@click.argument("capture", type=FILE)
@click.argument("peer", nargs=-1, type=PEER)
@click.option("--side", type=click.Choice([side.value for side in Side]), help="The side to play. [default: requestor]")
@click.option("--listen", metavar="[HOST:]PORT", help="Wait here for one connection and play the acceptor.")
@click.option("--stream", "number", type=click.IntRange(0), metavar="N", help="This TCP connection of the capture.")
@click.option("--aec", "-aec", metavar="AET", help="Called AE title in place of the captured one.")
@click.option("--aet", "-aet", metavar="AET", help="Calling AE title in place of the captured one.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=30.0, show_default=True, metavar="SECONDS",
              help="For each answer.")  # fmt: skip
@click.option("--keylog", type=FILE, metavar="FILE", help="TLS secrets (NSS key log) of the capture.")
@tls_client_options
@conversation_options
def replay(capture: Path, peer: tuple[str, ...], **options: Any) -> int:
    """Play one side of CAPTURE against PEER, and compare its answers with the captured ones.

    Each captured PDU is sent octet for octet when the peer has said what came before it in the capture. AE titles are
    those of the capture, unless PEER or the options say others. What naturally differs (implementation names, maximum
    lengths, reserved octets, padding, the order of user items) is named apart. Exit codes: 0 equal, 1 different.

    To play the acceptor: dulcet replay CAPTURE --listen PORT. TLS options are then those of the listening side.
    """
    side = _side(peer, options)
    transcript = read_transcript(capture, options["keylog"])
    stream = _stream(transcript, options["number"])
    if side is Side.ACCEPTOR:
        titles = _titles(options["aec"], options["aet"])
        return trio.run(_accept, script(stream, side, **titles), _Report(options, transcript, stream), options)
    target, called = _target(peer, options)
    titles = _titles(called, options["aet"])
    return trio.run(_call, script(stream, side, **titles), _Report(options, transcript, stream), target, options)


def _side(peer: Sequence[str], options: dict[str, Any]) -> Side:
    is_listening = options["listen"] is not None
    side = Side(options["side"] or ("acceptor" if is_listening else "requestor"))
    if is_listening and peer:
        raise click.UsageError("either a PEER to call or --listen, not both")
    if is_listening != (side is Side.ACCEPTOR):
        raise click.UsageError("the acceptor is played with --listen [HOST:]PORT, the requestor against a PEER")
    if not is_listening and not peer:
        raise click.UsageError("a PEER is needed: AET@HOST:PORT (or --listen PORT to play the acceptor)")
    return side


def _titles(called: str | None, calling: str | None) -> dict[str, str | None]:
    return {
        "called": None if called is None else ae_title(called),
        "calling": None if calling is None else ae_title(calling),
    }


def _target(words: Sequence[str], options: dict[str, Any]) -> tuple[TappedPeer, str | None]:
    """Where to connect to, and the called AE title that the words say, if they say one."""
    context = tls_client(options)
    found = peers(words, called=options["aec"], calling="DULCET", tls=context, server_name=options["tls_name"])
    if len(found) != 1:
        raise click.UsageError("one PEER, please")
    (peer,) = found
    has_title = "@" in words[0] or (not is_address(words[0]) and len(words) == 1 and node_of(words[0]) is not None)
    called = peer.ae_title if has_title and options["aec"] is None else options["aec"]
    return TappedPeer(host=peer.host, port=peer.port, tls=peer.tls, server_name=peer.server_name), called


def _stream(transcript: Transcript, number: int | None) -> StreamTranscript:
    """The stream that was asked for, or the first one with DICOM in it."""
    if number is not None:
        for stream in transcript.streams:
            if stream.number == number:
                return stream
        raise click.UsageError(f"there is no such stream: the capture has {len(transcript.streams)}, counted from 0")
    found = [stream for stream in transcript.streams if stream.is_dicom] or list(transcript.streams)
    if not found:
        raise NotDICOMError(f"{quote(transcript.name, _SHOWN)}: it holds no TCP connection")
    if len(found) > 1:
        others = ", ".join(str(stream.number) for stream in found[1:9])
        click.echo(f"dulcet: stream {found[0].number} is played; others are {others} (--stream N)", err=True)
    return found[0]


async def _call(played: Script, report: "_Report", peer: TappedPeer, options: dict[str, Any]) -> int:
    address, stream = await connect(peer)
    return await _play(played, report, stream, ("127.0.0.1", 0), address, options)


async def _accept(played: Script, report: "_Report", options: dict[str, Any]) -> int:
    context = _server_tls(options)
    host, port = listen_address(options["listen"])
    sockets = bind(host, port, backlog=1)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sockets[0]))
    report.listening([f"{name[0]}:{name[1]}" for name in (sock.getsockname() for sock in sockets[:1])])
    for sock in sockets[1:]:
        sock.close()
    async with listener:
        plain = await listener.accept()
    try:
        client, server = address_of(plain.socket.getpeername()), address_of(plain.socket.getsockname())
    except OSError as error:
        await close(plain)
        raise ConnectionLostError("whoever called has closed the connection at once") from error
    stream = plain if context is None else await secure(plain, context, None)
    return await _play(played, report, stream, client, server, options)


def _server_tls(options: dict[str, Any]) -> ssl.SSLContext | None:
    if options["tls_cert"] is None:
        if options["tls"] or options["tls_ca"]:
            raise click.UsageError("to listen with TLS, say --tls-cert")
        return None
    return server_context(cert=options["tls_cert"], key=options["tls_key"], ca=options["tls_ca"])


async def _play(
    played: Script,
    report: "_Report",
    stream: trio.abc.Stream,
    client: Address,
    server: Address,
    options: dict[str, Any],
) -> int:
    watch = report.watch(Ends(number=1, client=client, server=server), played.side)
    try:
        result = await Player(played, stream, options["timeout"], watch).run(report.answer)
    finally:
        with suppress(OSError):
            await close(stream)
    report.result(result)
    return 0 if result.is_equal else EXIT_DIFFERENT


@dataclass(slots=True)
class _Report:
    """Tells people, or programs, what the peer said."""

    options: dict[str, Any]
    transcript: Transcript
    stream: StreamTranscript

    def listening(self, addresses: Sequence[str]) -> None:
        if self.options["as_json"]:
            self._json("replay.ready", {"listening": list(addresses)})
        else:
            print(f"dulcet replay: waiting for a connection on {', '.join(addresses)}", flush=True)

    def watch(self, ends: Ends, side: Side) -> Any:
        """Shows the conversation with -v."""
        if not self.options["verbose"]:
            return None
        import time

        from dulcet.conformance.captures.streams import Direction

        view = LiveView(ends, lambda line: print_lines((line,), sys.stderr), self.options["verbose"])
        view.opened(time.time_ns())
        is_client = side is Side.REQUESTOR

        def see(direction: Direction, octets: bytes) -> None:
            view.sent(time.time_ns(), direction if is_client else direction.opposite, octets)

        return see

    def answer(self, answer: Answer) -> None:
        """One answer, as soon as it is compared."""
        if self.options["as_json"]:
            self._json("replay.answer", _answer_document(answer))
        elif not self.options["quiet"]:
            print_lines(_answer_lines(answer), sys.stdout)
            sys.stdout.flush()

    def result(self, result: Result) -> None:
        """The conclusion."""
        if self.options["as_json"]:
            self._json(
                "replay.result",
                {
                    "capture": self.transcript.name,
                    "stream": self.stream.number,
                    "sent": result.sent,
                    "answers": len(result.answers),
                    "different": sum(not answer.is_equal for answer in result.answers),
                    "not_compared": result.left,
                    "ended": result.why_ended or None,
                    "remarks": list(result.remarks),
                    "equal": result.is_equal,
                },
            )
        elif not self.options["quiet"] or not result.is_equal:
            print_lines(_result_lines(result), sys.stdout)
        sys.stdout.flush()

    def _json(self, event: str, values: dict[str, Any]) -> None:
        print(json.dumps({**json_head(event), **values}), flush=True)


def _answer_lines(answer: Answer) -> Iterator[Line]:
    name = _name(answer.captured)
    wrong = [each for each in answer.differences if not each.nature]
    apart = [each for each in answer.differences if each.nature]
    if answer.observed is None:
        yield Line(f"{name}: nothing came", Style.ERROR)
        return
    yield Line(f"{name}: {'different' if wrong else 'equal'}", Style.ERROR if wrong else Style.PLAIN)
    for each in wrong:
        yield Line(f"    ! {_difference(each)}", Style.ERROR)
    for each in apart:
        yield Line(f"    {_difference(each)} ({each.nature})", Style.DIM)


def _difference(difference: Difference) -> str:
    where = f"{difference.field}: " if difference.field else ""
    return f"{where}{difference.observed}, captured: {difference.captured}"


def _name(unit: Unit) -> str:
    numbers = f"{unit.pdus[0]}" if len(unit.pdus) == 1 else f"{unit.pdus[0]}-{unit.pdus[-1]}" if unit.pdus else ""
    return f"{unit.name} (PDU {numbers})" if numbers else unit.name


def _result_lines(result: Result) -> Iterator[Line]:
    for remark in result.remarks:
        yield Line(remark, Style.DEVIATION)
    if result.why_ended:
        left = f"; {result.left} answers of the capture were not compared" if result.left else ""
        yield Line(f"The play ended early: {result.why_ended}{left}", Style.ERROR)
    different = sum(not answer.is_equal for answer in result.answers)
    told = f"PDUs sent: {result.sent}, answers compared: {len(result.answers)}"
    verdict = "no difference" if result.is_equal else f"{different} different"
    yield Line(f"{told}: {verdict}", Style.HEADING)


def _answer_document(answer: Answer) -> dict[str, Any]:
    return {
        "captured": answer.captured.name,
        "pdus": list(answer.captured.pdus),
        "observed": None if answer.observed is None else answer.observed.name,
        "equal": answer.is_equal,
        "differences": [
            {"field": each.field, "captured": each.captured, "observed": each.observed}
            for each in answer.differences
            if not each.nature
        ],
        "natural": [
            {"field": each.field, "captured": each.captured, "observed": each.observed, "why": each.nature}
            for each in answer.differences
            if each.nature
        ],
    }
