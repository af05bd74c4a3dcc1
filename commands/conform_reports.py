"""What `dulcet conform` shows while it runs and writes when it is done."""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from dulcet.commands.conform_list import json_line
from dulcet.conformance.kit import catalogue, document, report_matrix, report_terminal
from dulcet.conformance.kit.capture import capture
from dulcet.conformance.kit.configuration import read_waivers
from dulcet.conformance.kit.report_html import to_html
from dulcet.conformance.kit.report_junit import to_junit
from dulcet.conformance.kit.report_markdown import to_markdown
from dulcet.conformance.kit.result import CaseResult, Run
from dulcet.errors import ConfigurationError, PeerUnavailableError
from dulcet.escape import quote
from dulcet.station.book.spelling import did_you_mean
from dulcet.station.terminal import has_colour, moves_cursor

EXIT_FAILED = 1
EXIT_SIGNAL = 128  # and the number of the signal, as the shell says it
_FILES = ("output", "junit", "markdown", "html")
_ABOUT_OTHER_CASES = (
    *("--case", "--without", "--level", "--waivers", "--baseline"),
    *("--output", "--junit", "--markdown", "--html", "--pcap-dir"),
)
_ABOUT_OUTPUT = ("--json", "-v", "-vv", "--verbose", "-q", "--quiet", "--strict", "--no-confirm")


class Reporter:
    """Shows the progress, then writes what was asked for and says how it ended."""

    def __init__(self, options: dict[str, Any], side: str) -> None:
        """`side` is `scp` or `scu`. Raises ConfigurationError, NoInputError for files that can't be used."""
        self.options = options
        self.waivers = read_waivers(options["waivers"]) if options["waivers"] else {}
        self.baseline = document.load(options["baseline"]) if options["baseline"] else None
        _check_waivers(options["waivers"], self.waivers)
        if self.baseline is not None and self.baseline["side"] != side:
            raise ConfigurationError(f"the baseline is of `conform {self.baseline['side']}`, this is `conform {side}`")
        _check_places(options)
        self.colour = has_colour(sys.stdout)
        self.shows_progress = moves_cursor(sys.stderr) and not options["quiet"]

    def progress(self, result: CaseResult, finished: int, total: int) -> None:
        """One case is done."""
        if self.shows_progress:
            text = report_terminal.progress_line(result, finished, total)
            click.echo(f"\r\x1b[K{text[:100]}", nl=False, err=True)

    def finish(self, run: Run) -> int:
        """All cases are done: reports and the exit code."""
        if self.shows_progress:
            click.echo("\r\x1b[K", nl=False, err=True)
        for result in run.results:
            result.waiver = self.waivers.get(result.case.id, "")
        arguments = sys.argv[2:]
        run.command_line = f"dulcet conform {shlex.join(arguments)}"
        run.again = f"dulcet conform {shlex.join(_without_selection(arguments))}"
        made = document.to_document(run, kit_version=version("dulcet"))
        if self.baseline is not None:
            _compare(made, self.baseline)
        write_reports(made, self.options, run)
        self._show(made)
        if run.interrupted_by:
            click.echo("dulcet: interrupted", err=True)
            return EXIT_SIGNAL + signal.Signals[run.interrupted_by]
        if run.side == "scu" and not any(result.findings.wires for result in run.results):
            click.echo(f"dulcet: no product connected to the kit{_why_none(run)}", err=True)
            return PeerUnavailableError.exit_code
        return exit_code(made, strict=self.options["strict"])

    def _show(self, made: document.Document) -> None:
        if self.options["as_json"]:
            for case in made["cases"]:
                click.echo(json_line("conform.case", case))
            click.echo(json_line("conform.summary", {**made["summary"], "interrupted": made["interrupted"]}))
            return
        strict = self.options["strict"]
        shown = (
            report_terminal.conclusion(made, strict=strict)
            if self.options["quiet"]
            else report_terminal.lines(made, colour=self.colour, verbose=self.options["verbose"], strict=strict)
        )
        for line in shown:
            click.echo(line)


def exit_code(made: document.Document, *, strict: bool) -> int:
    """1 when something failed that counts, or the product stopped answering for good."""
    counted = made["summary"]
    failed = counted["failures" if strict else "required_failures"]
    return EXIT_FAILED if failed or counted["died_in"] else 0


def _why_none(run: Run) -> str:
    """What its command said, if it ended."""
    said = (result.judgement for result in run.results)
    return next((f": {each.explanation}" for each in said if each.code == "NOT_CONNECTED"), "")


def _without_selection(arguments: Sequence[str]) -> list[str]:
    """The arguments that say how a case is played, without those that say which, and what is written."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.partition("=")
        if name in _ABOUT_OTHER_CASES:
            if not equals:
                next(words, None)
        elif word not in _ABOUT_OUTPUT:
            kept.append(word)
    return kept


def _check_waivers(path: Path, waivers: Mapping[str, str]) -> None:
    """A waiver for a case that there is not would excuse nothing, and nobody would notice."""
    known = {case.id for case in catalogue.all_cases()}
    for case_id in waivers:
        if case_id not in known:
            hint = did_you_mean(case_id, known)
            raise ConfigurationError(f"{quote(str(path))}: no case is called {quote(case_id)}{hint}")


def _check_places(options: dict[str, Any]) -> None:
    """A run takes minutes: whether its reports can be written is looked at before."""
    for name in _FILES:
        path = options.get(name)
        if path is None:
            continue
        if path.is_dir():
            raise ConfigurationError(f"{path} can't be written: it is a directory")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            reason = "no permission" if path.parent.is_dir() else f"there is no directory {path.parent}"
            raise ConfigurationError(f"{path} can't be written: {reason}")
    directory = options.get("pcap_dir")
    if directory is not None and directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"{directory} can't be written: it is no directory")


def _compare(made: document.Document, baseline: document.Document) -> None:
    before = {case["id"]: case["verdict"] for case in baseline["cases"]}
    for case in made["cases"]:
        case["baseline"] = before.get(case["id"])
    observed = baseline["product"]["observed"]
    made["baseline"] = {
        "address": baseline["product"]["address"],
        "implementation_version_name": observed["implementation_version_name"],
        "is_of_this_product": _identity(baseline) == _identity(made),
        "started": baseline["started"],
        "compared": sum(case["baseline"] is not None for case in made["cases"]),
    }
    changed = [case for case in made["cases"] if case["baseline"] not in (None, case["verdict"])]
    made["newly_failing"] = [case["id"] for case in changed if case["verdict"] == "FAIL"]
    made["newly_passing"] = [case["id"] for case in changed if case["verdict"] == "PASS"]


def _identity(made: document.Document) -> tuple[object, ...]:
    """What tells one product and version from another; a product may be tested at another address."""
    product = made["product"]
    declared = product["declared"]
    title = product["address"].partition("@")[0]
    name = product["observed"]["implementation_version_name"]
    return title, name, declared.get("vendor"), declared.get("version")


def write_reports(made: document.Document, options: dict[str, Any], run: Run | None = None) -> None:
    """The files that the options ask for."""
    if options.get("pcap_dir") and run is not None:
        _write_captures(made, run, options["pcap_dir"])
    strict = bool(options.get("strict"))
    makers: dict[str, Callable[[document.Document], str]] = {
        "output": document.dump,
        "junit": lambda made: to_junit(made, strict=strict),
        "markdown": lambda made: to_markdown(made, strict=strict),
        "html": lambda made: to_html(made, strict=strict),
    }
    for name, make in makers.items():
        if options.get(name):
            _write(options[name], make(made))


def compare(made: Sequence[document.Document], options: dict[str, Any]) -> None:
    """Several results side by side: the files that the options ask for, else Markdown on standard output."""
    if options["junit"]:
        raise click.UsageError("--junit is of one RESULT")
    if options["html"]:
        _write(options["html"], report_matrix.to_html(made))
    if options["markdown"]:
        _write(options["markdown"], report_matrix.to_markdown(made))
    if not (options["html"] or options["markdown"]):
        click.echo(report_matrix.to_markdown(made), nl=False)


def _write_captures(made: document.Document, run: Run, directory: Path) -> None:
    files = {case["id"]: case for case in made["cases"]}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for result in run.results:
            if result.findings.wires:
                path = directory / f"{result.case.id}.pcapng"
                path.write_bytes(capture(result))
                files[result.case.id]["capture"] = path.name
    except OSError as error:
        raise ConfigurationError(f"{directory} can't be written: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from None
