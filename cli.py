"""The command line: finds the command, runs it, and turns what went wrong into a sentence and an exit code.

The commands live in `dulcet.commands`, one module each, and are imported when they are called: `dulcet echo` loads
neither pydicom nor rich.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dulcet.commands.ending import reason
from dulcet.commands.standard_streams import OutputError, flush_output, guard_streams
from dulcet.errors import DulcetError
from dulcet.escape import quote, quoted

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

EXIT_INTERNAL = 70  # sysexits: a fault of ours
EXIT_OUTPUT = 75  # sysexits: a disk may have room again
EXIT_INTERRUPTED = 130
EXIT_NOBODY_READS = 141  # as the shell says of a program that SIGPIPE ended

COMMANDS = {
    "echo": ("dulcet.commands.echo:echo", "Ask peers whether they are there (C-ECHO)."),
    "send": ("dulcet.commands.send:send", "Send files, folders, DICOMDIRs and zip files to a peer (C-STORE)."),
    "find": (
        "dulcet.commands.find:find",
        "Ask a peer what it has: patients, studies, series, images, worklist (C-FIND).",
    ),
    "retrieve": (
        "dulcet.commands.retrieve:retrieve",
        "Bring studies, series, images here, counted (C-MOVE, C-GET).",
    ),
    "move": ("dulcet.commands.move:move", "Have a peer send to a third one (C-MOVE)."),
    "get": ("dulcet.commands.get:get", "Get objects on the association that asks (C-GET)."),
    "commit": ("dulcet.commands.commit:commit_command", "Have a peer commit itself to keep objects."),
    "queue": ("dulcet.commands.queue:queue", "What is sent and retrieved in the background: list, show, cancel, run."),
    "route": ("dulcet.commands.route:route", "Rules that forward what arrives."),
    "serve": ("dulcet.commands.serve:serve", "Receive objects, and be an archive: storage and query SCP."),
    "status": ("dulcet.commands.status:status", "Show what goes on: processes, associations, transfers, jobs."),
    "index": ("dulcet.commands.index:index", "Bring the index of stored objects up to date."),
    "series": ("dulcet.commands.series:series", "What arrived: list, show, open, export, verify, remove."),
    "decode": ("dulcet.commands.decode:decode", "Read captures and PDUs."),
    "tap": ("dulcet.commands.tap:tap", "Listen, pass each connection on to a peer, show and record it."),
    "replay": ("dulcet.commands.replay:replay", "Play one side of a capture against a peer, and compare."),
    "explain": ("dulcet.commands.explain:explain", "Explain a status, a rejection, a UID, a tag, a state, a PDU."),
    "table": ("dulcet.commands.table:table", "Print the state table and the PDU layouts of PS3.8."),
    "doctor": ("dulcet.commands.doctor:doctor", "Examine a peer stage by stage, and say what is wrong."),
    "check": ("dulcet.commands.check:check", "Watch peers: C-ECHO as a monitoring plugin."),
    "conform": ("dulcet.commands.conform:conform", "Test a DICOM product clause by clause."),
    "node": ("dulcet.commands.node:node", "The node book: peers by name."),
    "tui": ("dulcet.commands.tui:tui", "The workstation on a terminal."),
    "whoami": ("dulcet.commands.whoami:whoami", "Show what a peer has to know about us."),
    "config": ("dulcet.commands.config:config", "Show the settings in force, and where each came from."),
    "completion": ("dulcet.commands.completion:completion", "Print what makes a shell complete names at a TAB."),
    "demo": ("dulcet.commands.demo:demo", "Two application entities on this machine, talking."),
}
"""Name, where it is, what it does in one line."""


class Commands(click.Group):
    """Imports a command when it is called; a word that is none gets the nearest one named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order of need."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        from dulcet.commands.settings import name_variables

        name_variables(command, f"DULCET_{cmd_name.upper()}")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """As click does, with a suggestion."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no command {quoted(args[0])}.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """The table again: a TAB must not import every command."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "DULCET", "max_content_width": 110},
)
@click.version_option(package_name="dulcet", prog_name="dulcet")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """The DICOM network: echo, send, receive, and look at the protocol.

    A PEER is a name of the node book, AET@HOST:PORT, HOST:PORT, or HOST PORT with -aec AET. Most take --json for
    programs, and -v to show the conversation. Exit codes: 0 done, 1 partly failed, 2 usage, 65 not DICOM, 66 no
    input, 68 unknown host, 69 unavailable, 75 try again later, 76 protocol error, 77 refused, 78 configuration.
    """
    from dulcet.commands.settings import load_settings

    try:
        load_settings(ctx)
    except DulcetError as error:
        if ctx.invoked_subcommand != "check":
            raise
        from dulcet.commands.check import unknown  # a monitor's plugin speaks in its own way, whatever is wrong

        unknown(str(error))


def main() -> None:
    """The `dulcet` command."""
    guard_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; no traceback leaves here (DULCET_DEBUG=1 shows it)."""
    code = _attempt(lambda: _invoke(arguments))
    return _attempt(_flush) or code


def _invoke(arguments: list[str]) -> int:
    """As `cli.main` of click without its handling of errors, which makes 1 of a broken pipe."""
    if os.environ.get("_DULCET_COMPLETE"):  # a shell asks at a TAB; it ends the process
        cli.main(arguments, prog_name="dulcet")
    with cli.make_context("dulcet", list(arguments)) as ctx:
        code = cli.invoke(ctx)
    return code if isinstance(code, int) else 0


def _flush() -> int:
    flush_output()
    return 0


def _attempt(function: Callable[[], int]) -> int:
    try:
        return function()
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        found = reason(error)
        code = _tell(found)
        if code == EXIT_INTERNAL and os.environ.get("DULCET_DEBUG") and not isinstance(found, DulcetError):
            raise
        return code


def _tell(error: BaseException) -> int:
    """Say what went wrong, if there is something to say; the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            error.show()
            return error.exit_code
        case DulcetError():
            text, code = str(error), error.exit_code
        case KeyboardInterrupt() | EOFError() | click.Abort():
            if sys.stderr.isatty():  # after the ^C
                click.echo(err=True)
            text, code = "interrupted", EXIT_INTERRUPTED
        case BrokenPipeError():
            return EXIT_NOBODY_READS
        case OutputError():
            text, code = str(error), EXIT_OUTPUT
        case _:
            what = f"{type(error).__name__}: {quote(str(error), 300)}"
            text, code = f"a fault of dulcet's own: {what} (DULCET_DEBUG=1 shows where)", EXIT_INTERNAL
    click.echo(f"dulcet: {text}", err=True)
    return code


if __name__ == "__main__":
    main()
