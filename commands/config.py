"""`dulcet config`: the settings in force, and where each came from."""

import json
import os
from collections.abc import Iterator
from typing import Any

import click

from dulcet.commands.settings import GENERAL, WITHOUT_SETTINGS, InForce, Settings
from dulcet.escape import quote
from dulcet.station.book.configuration import (
    CONFIGURATION_VARIABLE,
    NODE_BOOK_VARIABLE,
    STATE_VARIABLE,
    configuration_path,
    node_book_path,
)
from dulcet.station.book.spelling import did_you_mean
from dulcet.station.book.toml_file import toml_value
from dulcet.station.events import json_head

_OTHER_VARIABLES = (CONFIGURATION_VARIABLE, NODE_BOOK_VARIABLE, STATE_VARIABLE, "DULCET_DEBUG")
_OF_TESTS = ("DULCET_PEER_", "DULCET_REQUIRE_PEERS", "DULCET_PYNETDICOM")


@click.group(invoke_without_command=True)
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
@click.pass_context
def config(ctx: click.Context, changed: bool, as_json: bool) -> int:
    """Show each setting in force and where it came from.

    \b
    The order, the later ones win:
      the defaults
      [dulcet] in the configuration file: aet, port, directory, for every command
      the command's own table:            [send] jobs = 4
      the environment:                    DULCET_AET, then DULCET_SEND_JOBS
      the command line

    What is printed can be copied into the configuration file.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    settings = Settings.read()
    every = list(_every(ctx, settings))
    found = [each for each in every if not changed or each.origin != "default"]
    if as_json:
        for each in found:
            click.echo(json.dumps(_line(each), default=str))
    else:
        _show(found, settings)
    for warning in _unknown_variables(every):
        click.echo(f"dulcet: {warning}", err=True)
    return 0


@config.command()
@click.option("--nodes", is_flag=True, help="The path of the node book instead.")
def path(nodes: bool) -> int:
    """Print where the configuration file is, or would be."""
    click.echo(node_book_path() if nodes else configuration_path())
    return 0


def _every(ctx: click.Context, settings: Settings) -> Iterator[InForce]:
    program = ctx.find_root()
    group = program.command
    assert isinstance(group, click.Group)
    commands = group.list_commands(program)
    settings.check_tables(commands)
    for name in commands:
        if name in WITHOUT_SETTINGS:
            continue
        try:
            yield from settings.in_force(program, name)
        except ImportError as error:  # an extra that is not installed
            click.echo(f"dulcet: {name} can't be loaded: {quote(str(error), 200)}", err=True)


def _show(found: list[InForce], settings: Settings) -> None:
    state = "" if settings.file is not None else " (there is none)"
    click.echo(f"# configuration file {configuration_path()}{state}")
    nodes = node_book_path()
    click.echo(f"# node book {nodes}{'' if nodes.exists() else ' (there is none)'}")
    table = ""
    for each in found:
        if each.table != table:
            table = each.table
            click.echo(f"\n[{table}]")
        assignment = f"# {each.name} is not set" if each.value is None else f"{each.name} = {toml_value(each.value)}"
        click.echo(assignment if each.value is None else f"{assignment:<40} # {each.origin}")


def _line(each: InForce) -> dict[str, Any]:
    return {
        **json_head("setting"),
        "table": each.table,
        "setting": each.name,
        "value": each.value,
        "origin": each.origin,
        "variable": each.variable,
    }


def _unknown_variables(every: list[InForce]) -> list[str]:
    """Sentences about variables that look like settings and are none: a misspelt one has no effect."""
    known = {*_OTHER_VARIABLES, *(f"DULCET_{name.upper()}" for name in GENERAL), *(each.variable for each in every)}
    return [
        f"the environment variable {quote(name)} is no setting{did_you_mean(name, known)}"
        for name in sorted(os.environ)
        if name.startswith("DULCET_") and name not in known and not name.startswith(_OF_TESTS)
    ]
