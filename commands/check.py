"""`dulcet check`: C-ECHO as a monitoring plugin, as Nagios, Icinga and Naemon call them."""

from dataclasses import dataclass
from typing import Any, NoReturn

import click
import trio

from dulcet.commands.completion import PEER
from dulcet.commands.ending import reason
from dulcet.commands.options import identity_options, peer_options, tls_client_options, user_identity
from dulcet.commands.peers import how_to_call, peers
from dulcet.commands.serve_address import http_address
from dulcet.commands.standard_streams import OutputError
from dulcet.errors import AssociationError, DulcetError
from dulcet.escape import quote
from dulcet.services.requestor import Peer
from dulcet.station.diagnosis import Checked
from dulcet.station.diagnosis import check as check_peer
from dulcet.station.figures import plural

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_SEVERITY = {OK: 0, UNKNOWN: 1, WARNING: 2, CRITICAL: 3}
_MAX_TEXT = 200
_MAX_ANSWER_OCTETS = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Limits:
    """Beyond which a peer is not OK."""

    warning: float | None
    critical: float | None
    certificate: int | None

    def is_too_short(self, answer: Checked) -> bool:
        """Whether too few days are left of the certificate."""
        days = answer.certificate_days
        return self.certificate is not None and days is not None and days < self.certificate


class Plugin(click.Command):
    """A command that ends with 3, UNKNOWN, and one line, when it is used wrongly or does not come to an answer."""

    def make_context(self, *arguments: Any, **keywords: Any) -> click.Context:
        """Parse the words."""
        try:
            return super().make_context(*arguments, **keywords)
        except click.UsageError as error:
            unknown(error.format_message())

    def invoke(self, ctx: click.Context) -> Any:
        """Ask the peers."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            unknown(error.format_message())
        except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
            found = reason(error)
            if isinstance(found, KeyboardInterrupt):
                unknown("interrupted")
            if isinstance(found, DulcetError):
                unknown(str(found))
            if isinstance(found, OutputError):
                click.echo(f"dulcet: {found}", err=True)
                raise click.exceptions.Exit(UNKNOWN) from None
            raise


def unknown(text: str) -> NoReturn:
    """End as a plugin does that came to no answer: one line on standard output, and 3."""
    click.echo(f"DICOM UNKNOWN - {quote(text, _MAX_TEXT)}")
    raise click.exceptions.Exit(UNKNOWN)


@click.command(cls=Plugin)
@click.argument("peer", nargs=-1, type=PEER)
@click.option("-w", "--warning", type=click.FloatRange(min=0), metavar="SECONDS", help="Slower than this: WARNING.")
@click.option("-c", "--critical", type=click.FloatRange(min=0), metavar="SECONDS", help="Slower: CRITICAL.")
@click.option(
    "--certificate",
    type=click.IntRange(min=0),
    metavar="DAYS",
    help="WARNING when the peer's TLS certificate ends sooner.",
)
@click.option("--healthz", metavar="[HOST:]PORT", help="Ask the /healthz of a `dulcet serve --http` instead.")
@peer_options
@tls_client_options
@identity_options
def check(
    peer: tuple[str, ...],
    warning: float | None,
    critical: float | None,
    certificate: int | None,
    healthz: str | None,
    **options: Any,
) -> int:
    """Watch PEERs: C-ECHO as a monitoring plugin.

    One line with performance data; exit codes 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (wrong use, interrupted). A
    peer that can't be reached, refuses or does not answer in time is CRITICAL; so is one whose certificate has ended.

    \b
    dulcet check PACS -w 0.5 -c 2
    DICOM OK - PACS C-ECHO 0000H in 23 ms | total=0.023s;0.5;2;0 tcp=0.002s assoc=0.011s echo=0.004s
    """
    if healthz is not None:
        if peer:
            raise click.UsageError("--healthz asks a server how it is, not a PEER: leave PEER out")
        return _ask_health(healthz, options["timeout"])
    if not peer:
        raise click.UsageError("which PEER should be watched?")
    found = peers(peer, **how_to_call(options))
    without = next((each for each in found if each.tls is None), None)
    if certificate is not None and without is not None:
        raise click.UsageError(f"{without} is not called with TLS, so it has no --certificate: see --tls")
    if warning is not None and critical is not None and warning > critical:
        raise click.UsageError(f"-w {warning:g} is more than -c {critical:g}: nothing would ever be a WARNING")
    limits = _Limits(warning, critical, certificate)
    answers = trio.run(_ask_all, found, options["timeout"], user_identity(options))
    states = [_judge(answer, limits) for answer in answers]
    worst = max(states, key=_SEVERITY.__getitem__)
    texts = [_text(each, answer, limits) for each, answer in zip(found, answers, strict=True)]
    data = [
        line
        for number, answer in enumerate(answers, 1)
        if isinstance(answer, Checked)
        for line in _performance(answer, limits, f"{number}_" if len(found) > 1 else "")
    ]
    click.echo(f"DICOM {_WORDS[worst]} - {'; '.join(texts)}" + (f" | {' '.join(data)}" if data else ""))
    return worst


def _ask_health(place: str, patience: float) -> int:
    """Whether a server takes objects, as it says itself. Blocks for `patience` at most."""
    import http.client
    import json

    host, port = http_address(place)
    connection = http.client.HTTPConnection(host, port, timeout=patience)
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        said = json.loads(response.read(_MAX_ANSWER_OCTETS))
        reasons = [quote(str(reason), _MAX_TEXT) for reason in said["reasons"]]
        text = f"{quote(str(said['ae_title']))} takes objects, {int(said['associations'])} associations"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        click.echo(f"DICOM CRITICAL - {quote(place)} does not say how it is: {_no_health(error, patience)}")
        return CRITICAL
    finally:
        connection.close()
    is_well = response.status == http.client.OK and not reasons
    click.echo(f"DICOM {_WORDS[OK if is_well else CRITICAL]} - {text if is_well else '; '.join(reasons)}")
    return OK if is_well else CRITICAL


def _no_health(error: Exception, patience: float) -> str:
    match error:
        case ConnectionRefusedError():
            return "nothing listens there, or a firewall refuses (`dulcet serve --http`)"
        case TimeoutError():
            return f"no answer within {patience:g} s"
        case OSError():
            return quote(error.strerror or str(error), _MAX_TEXT)
        case _:
            return f"its answer is not that of /healthz ({quote(str(error), _MAX_TEXT)})"


async def _ask_all(found: list[Peer], patience: float, identity: Any) -> list[Checked | AssociationError]:
    answers: dict[int, Checked | AssociationError] = {}

    async def ask(number: int, peer: Peer) -> None:
        try:
            answers[number] = await check_peer(peer, patience=patience, user_items=identity)
        except AssociationError as error:
            answers[number] = error

    async with trio.open_nursery() as nursery:
        for number, peer in enumerate(found):
            nursery.start_soon(ask, number, peer)
    return [answers[number] for number in range(len(found))]


def _judge(answer: Checked | AssociationError, limits: _Limits) -> int:
    if isinstance(answer, AssociationError) or answer.status:
        return CRITICAL
    if limits.critical is not None and answer.total > limits.critical:
        return CRITICAL
    if limits.warning is not None and answer.total > limits.warning:
        return WARNING
    return WARNING if limits.is_too_short(answer) else OK


def _text(peer: Peer, answer: Checked | AssociationError, limits: _Limits) -> str:
    name = quote(str(peer)).replace("|", "/")
    if isinstance(answer, AssociationError):
        said = str(answer).removeprefix(f"{peer} ")
        return f"{name}: {quote(said, _MAX_TEXT)}".replace("|", "/")
    text = f"{name} C-ECHO {answer.status:04X}H in {answer.total * 1000:.0f} ms"
    if limits.is_too_short(answer):
        text += f", its certificate ends in {plural(answer.certificate_days or 0, 'day')}"
    return text


def _performance(answer: Checked, limits: _Limits, prefix: str) -> list[str]:
    warning, critical = ("" if each is None else f"{each:g}" for each in (limits.warning, limits.critical))
    lines = [
        f"{prefix}total={answer.total:.6f}s;{warning};{critical};0",
        f"{prefix}tcp={answer.tcp:.6f}s",
        f"{prefix}assoc={answer.association:.6f}s",
        f"{prefix}echo={answer.echo:.6f}s",
    ]
    if answer.certificate_days is not None:
        soonest = "" if limits.certificate is None else f"{limits.certificate}:"
        lines.append(f"{prefix}certificate_days={answer.certificate_days};{soonest}")
    return lines
