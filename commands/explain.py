"""`dulcet explain`: what a code, a UID, a tag, a state or a PDU means."""

import json
import re
import textwrap
from dataclasses import asdict

import click

from dulcet.dimse.status import SERVICES
from dulcet.errors import DecodeError
from dulcet.escape import quoted
from dulcet.station.events import json_head
from dulcet.station.explaining import Explanation, explain_pdu, explain_word

_PDU = re.compile(r"(0x)?0[1-7][ :]?00([ :]?[0-9A-Fa-f]{2}){4,}")
_WIDTH = 100


@click.command()
@click.argument("word", nargs=-1, required=True, metavar="WORD...")
@click.option("--service", type=click.Choice(list(SERVICES), case_sensitive=False), help="Whose status it is.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
def explain(word: tuple[str, ...], service: str | None, as_json: bool) -> int:
    """Explain what a peer said: what it means, where the standard says so, what causes it, what to do.

    \b
    dulcet explain 0xA801            a status
    dulcet explain 1/1/7             an A-ASSOCIATE-RJ: result/source/reason
    dulcet explain 2/2               an A-ABORT: source/reason
    dulcet explain 1.2.840.10008.1.2 a UID
    dulcet explain 0008,0018         a tag, or a keyword: SOPInstanceUID
    dulcet explain Sta6 Evt10 AE-6   a state, an event, an action
    dulcet explain '07 00 00 ...'    a PDU in hexadecimal
    """
    joined = " ".join(word).strip()
    code = 0
    for number, each in enumerate((joined,) if _PDU.fullmatch(joined) else word):
        is_pdu = _PDU.fullmatch(each.strip()) is not None
        if is_pdu and not as_json:
            click.echo("", nl=bool(number))
            code = code or _show_pdu(each)
        found = _of_pdu(each, as_json) if is_pdu else explain_word(each, service or "")
        if not found and not is_pdu:
            raise click.UsageError(f"{quoted(each)} is no status, rejection, abort, UID, tag, state or PDU")
        for position, one in enumerate(found):
            if as_json:
                click.echo(json.dumps({**json_head("explanation"), "word": each, **asdict(one)}))
            else:
                click.echo("", nl=bool(number or position or is_pdu))
                _show(one)
    return code


def _show_pdu(word: str) -> int:
    """Its fields, as `dulcet decode -v` has them, and its exit code."""
    from dulcet.commands.decode import decode

    return int(decode.main(["-v", word], standalone_mode=False) or 0)


def _of_pdu(word: str, as_json: bool) -> list[Explanation]:
    """What its codes mean; for people only where `decode` has not said all of it."""
    octets = bytes.fromhex(word.strip().removeprefix("0x").replace(":", " "))
    try:
        found = explain_pdu(octets)
    except DecodeError:
        if as_json:
            raise
        return []
    return [found] if as_json or found.cause else []


def _show(one: Explanation) -> None:
    click.secho(f"{one.subject}: {one.meaning}", bold=True)
    click.echo(f"  {one.clause}")
    for line in one.details:
        click.echo(f"  {line}")
    for title, text in (("Usually", one.cause), ("Do", one.advice)):
        if text:
            click.echo(textwrap.fill(f"{title}: {text}", _WIDTH, initial_indent="  ", subsequent_indent="    "))
