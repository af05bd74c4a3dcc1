"""`dulcet echo`: C-ECHO to one peer or several, once, repeatedly or for ever."""

import json
import sys
from collections.abc import Mapping
from statistics import median
from typing import Any

import click
import trio

from dulcet.commands import conversation
from dulcet.commands.completion import PEER, TAG
from dulcet.commands.options import (
    conversation_options,
    identity_options,
    peer_options,
    tls_client_options,
    user_identity,
)
from dulcet.commands.peers import explain, how_to_call, peers, peers_of_book
from dulcet.dimse.status import explain as explain_status
from dulcet.errors import AssociationError, PeerTimeoutError
from dulcet.services.echo import VERIFICATION_CONTEXT, Echoed
from dulcet.services.echo import echo as c_echo
from dulcet.services.requestor import Peer, associate
from dulcet.station.events import json_head

EXIT_STATUS = 76  # an answer that is not success
MAX_AT_ONCE = 100  # peers; each needs a descriptor, and a book may have thousands


@click.command()
@click.argument("peer", nargs=-1, type=PEER)
@click.option("--all", "everybody", is_flag=True, help="Every node of the node book.")
@click.option("--tag", "tags", multiple=True, type=TAG, help="Every node with this tag; may be repeated.")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="On one association.")
@click.option("--every", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Again and again, until interrupted.")
@peer_options
@tls_client_options
@identity_options
@conversation_options
def echo(
    peer: tuple[str, ...],
    everybody: bool,
    tags: tuple[str, ...],
    every: float | None,
    **options: Any,
) -> int:
    """Ask each PEER whether it is there (C-ECHO).

    Several peers are asked at once. The exit code is that of the first failure.
    """
    if not (peer or everybody or tags):
        raise click.UsageError("who should be asked? A PEER, --tag TAG, or --all of the node book")
    how = how_to_call(options)
    called = peers(peer, **how)
    if everybody or tags:
        called += peers_of_book(() if everybody else tags, **how)
    return trio.run(_EchoJob(options).run, called, every)


class _EchoJob:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self.repeat: int = options["repeat"]
        self.timeout: float = options["timeout"]
        self.identity = user_identity(options)
        self.as_json: bool = options["as_json"]
        self.verbose: int = options["verbose"]
        self.quiet: bool = options["quiet"]
        self.codes: dict[int, int] = {}
        self.places = trio.CapacityLimiter(MAX_AT_ONCE)

    async def run(self, called: list[Peer], every: float | None) -> int:
        """All peers at once, and again `every` so many seconds."""
        while True:
            started = trio.current_time()
            async with trio.open_nursery() as nursery:
                for index, peer in enumerate(called):
                    nursery.start_soon(self._ask, index, peer)
            if every is None:
                return next((code for _, code in sorted(self.codes.items()) if code), 0)
            await trio.sleep_until(started + every)

    async def _ask(self, index: int, peer: Peer) -> None:
        async with self.places:
            await self._ask_now(index, peer)

    async def _ask_now(self, index: int, peer: Peer) -> None:
        answers: list[Echoed] = []
        error: AssociationError | None = None
        try:
            with trio.fail_after(self.timeout) as patience:
                async with associate(
                    peer,
                    (VERIFICATION_CONTEXT,),
                    user_items=self.identity,
                    trace=conversation.trace(self.verbose),
                    on_transition=conversation.on_transition(self.verbose),
                ) as association:
                    for _ in range(self.repeat):
                        patience.deadline = trio.current_time() + self.timeout
                        answers.append(await c_echo(association))
        except AssociationError as failure:
            error = failure
        except trio.TooSlowError:
            error = PeerTimeoutError(f"{peer} did not answer within {self.timeout:g} s")
        self._tell(peer, answers, error)
        failed = any(answer.status for answer in answers)
        self.codes[index] = error.exit_code if error else EXIT_STATUS if failed else 0

    def _tell(self, peer: Peer, answers: list[Echoed], error: AssociationError | None) -> None:
        if self.as_json:
            print(json.dumps(_line(peer, answers, error)), flush=True)
        elif not self.quiet:
            for text in _prose(peer, answers):
                click.echo(text)
        if error is not None:
            explain(error, peer)
        sys.stdout.flush()


def _prose(peer: Peer, answers: list[Echoed]) -> list[str]:
    failed = [answer for answer in answers if answer.status]
    lines = [f"{peer}: {explain_status(answer.status, 'C-ECHO')} ({answer.status:04X}H)" for answer in failed[:3]]
    times = [answer.seconds * 1000 for answer in answers]
    if len(times) == 1 and not failed:
        lines.append(f"{peer}: success in {times[0]:.1f} ms")
    elif times:
        spread = f"{min(times):.2f} / {median(times):.2f} / {max(times):.2f} ms"
        lines.append(f"{peer}: {len(times) - len(failed)} of {len(times)} successful, min/median/max {spread}")
    return lines


def _line(peer: Peer, answers: list[Echoed], error: AssociationError | None) -> dict[str, Any]:
    times = [answer.seconds * 1000 for answer in answers]
    line: dict[str, Any] = {
        **json_head("echo.result"),
        "peer": str(peer),
        "echoes": len(answers),
        "statuses": sorted({f"{answer.status:04X}H" for answer in answers}),
        "exit_code": error.exit_code if error else EXIT_STATUS if any(answer.status for answer in answers) else 0,
    }
    if times:
        line |= {"min_ms": min(times), "median_ms": median(times), "max_ms": max(times)}
    if error is not None:
        line["error"] = str(error)
    return line
