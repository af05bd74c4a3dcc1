"""`dulcet conform`: test a DICOM product clause by clause."""

import shlex
import shutil
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio

from dulcet.commands.conform_list import list_cases
from dulcet.commands.conform_reports import Reporter, compare, exit_code, write_reports
from dulcet.commands.conform_signals import until_signal
from dulcet.commands.options import DEFAULT_AE_TITLE, FILE, split_peers, stacked, tls_client, tls_client_options
from dulcet.commands.peers import explain, peers, preferences
from dulcet.conformance.kit import catalogue, document, report_terminal
from dulcet.conformance.kit.case import Case, Level
from dulcet.conformance.kit.configuration import ACTIVITIES, Declaration, read_declaration
from dulcet.conformance.kit.product import Patience, Product
from dulcet.conformance.kit.reception import Invitation
from dulcet.conformance.kit.runner import Conditions
from dulcet.conformance.kit.scu_session import Listening, test_requestor
from dulcet.conformance.kit.session import Selection, names_of, test_acceptor, unknown_prefixes
from dulcet.errors import AssociationError
from dulcet.services.requestor import Peer
from dulcet.station.book.own_address import is_loopback
from dulcet.station.book.spelling import did_you_mean
from dulcet.station.terminal import has_colour

DEFAULT_PARALLEL = 8
MOST_PROCESSES = 4  # of the product at once
DEFAULT_ARTIM = 30.0


_LEVELS = click.Choice([level.word for level in Level])

selection_options = stacked(
    click.option(
        "--case",
        "cases",
        multiple=True,
        metavar="ID",
        help="Only this case, or the cases of this group: ul.release is ul.release.*; may be repeated.",
    ),
    click.option("--without", multiple=True, metavar="ID", help="Not this case or group; may be repeated."),
    click.option("--level", "levels", multiple=True, type=_LEVELS, help="Only cases of this level."),
    click.option("--list", "list_only", is_flag=True, help="Print the cases and end."),
)
patience_options = stacked(
    click.option("--timeout", type=click.FloatRange(0.1), default=2.0, show_default=True, metavar="S",
                 help="For each answer; what failed is played again, more patiently."),
    click.option("--artim", type=click.FloatRange(0.5), metavar="S",
                 help=f"The product's ARTIM. [default: the configuration's, or {DEFAULT_ARTIM:g}]"),
    click.option("--parallel", type=click.IntRange(1, 32), default=DEFAULT_PARALLEL, show_default=True, metavar="N",
                 help="Cases at once, as far as the product serves them."),
    click.option("--no-confirm", is_flag=True, help="Don't play again what failed."),
    click.option("--allow-load", is_flag=True, help="Also the cases of many connections or much data."),
)  # fmt: skip
report_options = stacked(
    click.option("--config", type=FILE, metavar="FILE", help="What the product claims (TOML)."),
    click.option("--waivers", type=FILE, metavar="FILE", help="Failures that are known, each with a reason (TOML)."),
    click.option("--baseline", type=FILE, metavar="FILE", help="An earlier result: what is newly failing?"),
    click.option("--strict", is_flag=True, help="Failures of any level make the exit code 1."),
    click.option("--output", type=FILE, metavar="FILE", help="Write the result (JSON), the source of all reports."),
    click.option("--junit", type=FILE, metavar="FILE", help="Write a JUnit report."),
    click.option("--markdown", type=FILE, metavar="FILE", help="Write a Markdown report."),
    click.option("--html", type=FILE, metavar="FILE", help="Write an HTML report, a single file."),
    click.option("--pcap-dir", type=FILE, metavar="DIR", help="Write a capture (pcapng) of each case."),
    click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output."),
    click.option("-v", "--verbose", count=True, help="Show warnings too; twice: the PDUs of what is shown."),
    click.option("-q", "--quiet", is_flag=True, help="Only the conclusion."),
)


@click.group()
def conform() -> None:
    """Test a DICOM product clause by clause.

    `scp` connects to a product that listens, `scu` listens for a product that connects, `report` makes other reports
    of a result.

    Exit codes: 0 nothing required failed, 1 something did, 2 usage, 66 no such file, 68 unknown host, 69 the product
    can't be reached or none connected, 75 it takes the connection and is silent, 76 it aborts the kit's association,
    77 it refuses the AE titles or a certificate is not accepted, 78 configuration, 130 and 143 interrupted.
    """


@conform.command()
@click.argument("peer", nargs=-1)
@click.option("--aet", "-aet", metavar="AET", default=DEFAULT_AE_TITLE, show_default=True, help="Our AE title.")
@click.option("--aec", "-aec", metavar="AET", help="The product's AE title, if PEER doesn't say it.")
@click.option("--i-own-this-system", is_flag=True, help="For a PEER elsewhere: this is a test system.")
@selection_options
@patience_options
@tls_client_options
@report_options
def scp(peer: tuple[str, ...], **options: Any) -> int:
    """Test PEER, a product that listens: AET@HOST:PORT.

    Objects that are stored on it are synthetic (patient DULCET^CONFORMANCE). Never run this against a system in
    clinical use.
    """
    selection = _selection(options)
    cases = [*catalogue.acceptor_cases(), *(check.case for check in catalogue.acceptor_checks())]
    _check_selection(selection, cases)
    if options["list_only"]:
        return list_cases(catalogue.in_order(cases), selection, as_json=options["as_json"])
    if not peer:
        raise click.UsageError("a PEER is needed: AET@HOST:PORT")
    declaration = read_declaration(options["config"]) if options["config"] else Declaration()
    asked = _one_peer(peer, options)
    product = _product(asked, declaration, {**options, **_tls_of(split_peers(peer)[0], options)})
    _refuse_strangers(product.host, options["i_own_this_system"])
    reporter = Reporter(options, "scp")
    conditions = _conditions(declaration, options)
    try:
        run = trio.run(
            until_signal,
            lambda stop: test_acceptor(
                product, declaration, replace(conditions, stop=stop), selection, reporter.progress
            ),
        )
    except AssociationError as error:
        explain(error, asked)
        return error.exit_code
    run.declared, run.configuration_digest = declaration.shown(), declaration.digest
    return reporter.finish(run)


@conform.command()
@click.option(
    "--exec",
    "commands",
    multiple=True,
    metavar="[DOES=]COMMAND",
    help="Starts the product, with {host}, {port} and {aet} in it. DOES is echo, store, find ...; without it the first "
    "of --does. May be repeated, with another DOES.",
)
@click.option("--does", multiple=True, type=click.Choice(ACTIVITIES), help="What the product does. [default: echo]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=11112,
    show_default=True,
    help="Without --exec: the called AE title chooses the case.",
)
@click.option(
    "--from-port",
    type=click.IntRange(1, 65000),
    metavar="PORT",
    help="Without --exec: a port for each case, from this one on.",
)
@click.option(
    "--bind", "bind_to", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="0.0.0.0 is everywhere."
)
@click.option("--aet", "-aet", metavar="AET", default=DEFAULT_AE_TITLE, show_default=True, help="Our AE title.")
@click.option(
    "--wait",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Without --exec: end when nothing connects for so long.",
)
@click.option("--exit-code-tells", is_flag=True, help="The product's command ends with 0 only when all went well.")
@selection_options
@patience_options
@report_options
def scu(**options: Any) -> int:
    """Test a product that connects: listen, and judge what it does.

    With --exec the kit starts the product for each case:

    \b
      dulcet conform scu --exec 'echoscu {host} {port} -aec {aet}'
      dulcet conform scu --exec 'store=storescu {host} {port} -aec {aet} FILE'

    Without it people start it, and choose the case by the AE title that they call or by the port (--list shows both).
    """
    selection = _selection(options)
    cases = [*catalogue.requestor_cases(), *(check.case for check in catalogue.requestor_checks())]
    _check_selection(selection, cases)
    if options["list_only"]:
        from_port = options["from_port"] or 0
        return list_cases(catalogue.in_order(cases), selection, as_json=options["as_json"], from_port=from_port)
    declaration = read_declaration(options["config"]) if options["config"] else Declaration()
    reporter = Reporter(options, "scu")
    invitation, conditions = _invitation(declaration, options), _conditions(declaration, options)
    listening = Listening(port=options["port"], from_port=options["from_port"] or 0, idle_seconds=options["wait"])
    processes = min(options["parallel"], MOST_PROCESSES)
    run = trio.run(
        until_signal,
        lambda stop: test_requestor(
            invitation, listening, replace(conditions, stop=stop), selection, reporter.progress, processes
        ),
    )
    run.declared, run.configuration_digest = declaration.shown(), declaration.digest
    return reporter.finish(run)


def _invitation(declaration: Declaration, options: dict[str, Any]) -> Invitation:
    commands: dict[str, str] = {}
    does = list(options["does"] or declaration.does)
    usual = (does or ["echo"])[0]
    for text in options["commands"] or ([declaration.exec] if declaration.exec else []):
        activity, equals, command = text.partition("=")
        if not equals or activity not in ACTIVITIES:
            activity, command = usual, text
        if activity in commands:
            raise click.UsageError(
                f"two commands do {activity}: {commands[activity]!r} and {command!r}; say DOES=COMMAND"
            )
        commands[activity] = command
        if activity not in does:
            does.append(activity)
        _check_command(text, command)
    return Invitation(
        commands=commands,
        does=tuple(does or ["echo"]),
        host=options["bind_to"],
        ae_title=options["aet"],
        exit_code_tells=options["exit_code_tells"],
    )


def _check_command(text: str, command: str) -> None:
    try:
        words = [word.format(host="", port=0, aet="") for word in shlex.split(command)]
    except (KeyError, IndexError, AttributeError):
        raise click.UsageError(f"{text!r}: only {{host}}, {{port}} and {{aet}} stand for something") from None
    except ValueError as error:
        raise click.UsageError(f"{text!r} is no command: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise click.UsageError(
            f"{text!r}: there is no program {words[0] if words else ''!r}; DOES= is one of {', '.join(ACTIVITIES)}"
        )


@conform.command()
@click.argument("results", type=FILE, nargs=-1, required=True)
@click.option("--junit", type=FILE, metavar="FILE", help="Write a JUnit report, of one RESULT.")
@click.option("--markdown", type=FILE, metavar="FILE", help="Write a Markdown report.")
@click.option("--html", type=FILE, metavar="FILE", help="Write an HTML report, a single file.")
@click.option("--strict", is_flag=True, help="Failures of any level count, and make the exit code 1.")
@click.option("-v", "--verbose", count=True, help="Show warnings too; twice: the PDUs of what is shown.")
def report(results: tuple[Path, ...], **options: Any) -> int:
    """Make other reports of RESULT, a file that --output wrote; without an option, print it.

    Several RESULTS are shown side by side: a row for each case, a column for each product. The exit code is 0 when the
    reports could be made; with --strict it is 1 when a RESULT has a failure of any level.
    """
    made = [document.load(result) for result in results]
    if len(made) > 1:
        compare(made, options)
    elif any(options[name] for name in ("junit", "markdown", "html")):
        write_reports(made[0], options)
    else:
        shown = {"verbose": options["verbose"], "strict": options["strict"]}
        for line in report_terminal.lines(made[0], colour=has_colour(sys.stdout), **shown):
            click.echo(line)
    return max(exit_code(each, strict=True) for each in made) if options["strict"] else 0


def _selection(options: dict[str, Any]) -> Selection:
    levels = tuple(level for level in Level if level.word in options["levels"])
    return Selection(prefixes=options["cases"], without=options["without"], levels=levels)


def _check_selection(selection: Selection, cases: Sequence[Case]) -> None:
    for prefix in unknown_prefixes(selection, cases):
        near = _that_begin_with(prefix, cases) or did_you_mean(prefix, names_of(cases))
        raise click.UsageError(f"no case and no group is called {prefix!r}{near or '; --list shows them'}")
    if not any(selection.wants(case) for case in cases):
        raise click.UsageError("no case is left of what --case, --without and --level choose")


def _that_begin_with(text: str, cases: Sequence[Case]) -> str:
    """A group ends at a dot: half a word is none, and what it may have meant is said."""
    found = list(dict.fromkeys(case.id for case in cases if case.id.startswith(text)))
    return (
        f"; a group ends at a dot, cases are {', '.join(found[:3])}{' ...' if len(found) > 3 else ''}" if found else ""
    )


def _one_peer(words: Sequence[str], options: dict[str, Any]) -> Peer:
    found = peers(words, called=options["aec"], calling=options["aet"])
    if len(found) != 1:
        raise click.UsageError("one PEER at a time is tested")
    return found[0]


def _tls_of(word: str, options: dict[str, Any]) -> dict[str, Any]:
    """What the command line says of TLS, or else the node."""
    return preferences(word, **{name: options[name] for name in ("tls", "tls_ca", "tls_cert", "tls_key", "tls_name")})


def _product(peer: Peer, declaration: Declaration, options: dict[str, Any]) -> Product:
    tls = tls_client(options)
    return Product(
        host=peer.host,
        port=peer.port,
        called=peer.ae_title,
        calling=peer.calling_ae_title,
        promiscuous=declaration.promiscuous,
        user=declaration.user,
        bad_user=declaration.bad_user,
        tls=tls,
        tls_name=options["tls_name"],
        make_tls=None if tls is None else _tls_maker(options, options["tls_cert"]),
        make_tls_without_certificate=None if tls is None else _tls_maker(options, None),
        move_destination=declaration.move_destination,
        move_port=declaration.move_port,
        parallel=options["parallel"],
    )


def _tls_maker(options: dict[str, Any], certificate: Path | None) -> Callable[[], ssl.SSLContext]:
    from dulcet.services.tls import client_context

    key = options["tls_key"] if certificate else None
    return partial(client_context, ca=options["tls_ca"], cert=certificate, key=key)


def _refuse_strangers(host: str, owned: bool) -> None:
    if not is_loopback(host) and not owned:
        raise click.UsageError(
            f"{host} is another machine: say --i-own-this-system if it is a test system that may be disturbed"
        )


def _conditions(declaration: Declaration, options: dict[str, Any]) -> Conditions:
    timeout = options["timeout"]
    artim = options["artim"] or declaration.artim
    patience = Patience(
        answer=timeout,
        settle=min(0.25, timeout),
        patient=2.5 * timeout,
        artim=artim or DEFAULT_ARTIM,
        artim_declared=artim is not None,
    )
    return Conditions(patience=patience, confirm=not options["no_confirm"], allow_load=options["allow_load"])
