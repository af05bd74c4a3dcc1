"""Settings: from the configuration file and the environment to click's `default_map`, and where each came from.

    [dulcet]            # for every command that has such an option
    aet = "WS1"
    [send]              # an option of `dulcet send`, its name with _ for -
    jobs = 4

The order, the later ones win: defaults, [dulcet], the command's table, DULCET_AET, DULCET_SEND_AET, the command line.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from dulcet.errors import ConfigurationError
from dulcet.escape import quote, quoted
from dulcet.station.book.configuration import read_configuration
from dulcet.station.book.spelling import did_you_mean
from dulcet.station.book.toml_file import TOMLFile

GENERAL_TABLE = "dulcet"
GENERAL = ("aet", "port", "directory")
"""What [dulcet] may hold, and DULCET_AET, DULCET_PORT and DULCET_DIRECTORY."""
RULES = "route"
"""`[[route]]`: rules, not settings; `station.forwarding.routes` reads them."""
WITHOUT_SETTINGS = ("config", "completion", "node", RULES)
"""Commands that have to work when the file is at fault, or whose options are about something else than us."""


@dataclass(frozen=True, slots=True)
class InForce:
    """One setting of one command."""

    table: str
    """The command; a command of a group as `group.command`, as its table is written."""
    name: str
    value: Any
    origin: str
    """`path:line`, `environment variable NAME`, or `default`."""
    variable: str
    """The environment variable that sets it for this command alone."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file and the general variables say. Nothing is imported for a file that isn't there."""

    file: TOMLFile | None
    environment: Mapping[str, str]
    origins: dict[tuple[str, str], str] = field(default_factory=dict)
    """(table, setting) -> where its value in a `default_map` came from; filled by `defaults`."""

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """ConfigurationError when the file can't be read or is not TOML."""
        return cls(read_configuration(environment), environment)

    def check_tables(self, commands: list[str]) -> None:
        """ConfigurationError when the file has a table, or a setting in [dulcet], that nobody knows."""
        if self.file is None:
            return
        known = [GENERAL_TABLE, *(command for command in commands if command not in WITHOUT_SETTINGS)]
        for name, table in self.file.values.items():
            place = self.file.place(name)
            if name == RULES:
                if not isinstance(table, list) or not all(isinstance(each, dict) for each in table):
                    raise ConfigurationError(f"{place}: each rule that forwards begins with a line [[{RULES}]]")
                continue
            if not isinstance(table, dict):
                raise ConfigurationError(f"{place}: {quote(name)} stands in no table: [dulcet], or that of a command")
            if name not in known:
                raise ConfigurationError(f"{place}: there is no table [{quote(name)}]{did_you_mean(name, known)}")
        for name in self._general_table():
            if name not in GENERAL:
                self._refuse_unknown((GENERAL_TABLE,), name, GENERAL)

    def defaults(self, ctx: click.Context, name: str, command: click.Command) -> dict[str, Any]:
        """The `default_map` of `command`. ConfigurationError, with the line, for a value that an option can't have."""
        table = {} if self.file is None or name in WITHOUT_SETTINGS else self.file.values.get(name, {})
        return self._defaults(ctx, (name,), command, table)

    def in_force(self, program: click.Context, name: str) -> Iterator[InForce]:
        """Every setting of the command `name` and of the commands below it; `program` is the context of the whole."""
        group = program.command
        command = group.get_command(program, name) if isinstance(group, click.Group) else None
        assert command is not None
        ctx = click.Context(group, info_name=program.info_name, auto_envvar_prefix=program.auto_envvar_prefix)
        ctx.default_map = {name: self.defaults(ctx, name, command)}
        yield from self._in_force(ctx, (name,), command)

    def _defaults(
        self, parent: click.Context, path: tuple[str, ...], command: click.Command, table: Mapping[str, Any]
    ) -> dict[str, Any]:
        ctx = click.Context(command, info_name=path[-1], parent=parent)
        options = {setting_name(option): option for option in options_of(command)}
        below = command.list_commands(ctx) if isinstance(command, click.Group) else []
        spelled = {name.replace("-", "_"): name for name in table}
        defaults = dict[str, Any]()
        for name, option in options.items():
            given = None
            if name in GENERAL and path[0] not in WITHOUT_SETTINGS:
                given = self._general(ctx, option, name)
            if name in spelled:
                own = self._from_file(ctx, option, (*path, spelled[name]), table[spelled[name]])
                given = given if given and _is_variable(given[1]) else own
            if given is not None:
                defaults[option.name or name], self.origins[".".join(path), name] = given
        for name in below:
            subcommand = command.get_command(ctx, name) if isinstance(command, click.Group) else None
            assert subcommand is not None
            inner = table.get(name, {})
            if not isinstance(inner, dict):
                place = self._place(*path, name)
                raise ConfigurationError(f"{place}: {quote(name)} is a table: [{'.'.join(path)}.{name}]")
            defaults[name] = self._defaults(ctx, (*path, name), subcommand, inner)
        for name, key in spelled.items():
            if name not in options and key not in below:
                self._refuse_unknown(path, key, [*options, *below])
        return defaults

    def _general(self, ctx: click.Context, option: click.Option, name: str) -> tuple[Any, str] | None:
        variable = f"DULCET_{name.upper()}"
        value = self.environment.get(variable)
        if value:
            origin = f"environment variable {variable}"
            return _cast(ctx, option, value, origin), origin
        table = self._general_table()
        return self._from_file(ctx, option, (GENERAL_TABLE, name), table[name]) if name in table else None

    def _from_file(
        self, ctx: click.Context, option: click.Option, keys: tuple[str, ...], value: object
    ) -> tuple[Any, str]:
        assert self.file is not None
        place = self._place(*keys)
        where = f"{place}: [{'.'.join(keys[:-1])}] {keys[-1]}"
        return _cast(ctx, option, _as_written(option, value, where, self.file.path.parent), where), place

    def _general_table(self) -> Mapping[str, Any]:
        table = {} if self.file is None else self.file.values.get(GENERAL_TABLE, {})
        return table if isinstance(table, dict) else {}

    def _refuse_unknown(self, path: tuple[str, ...], name: str, known: list[str] | tuple[str, ...]) -> None:
        hint = did_you_mean(name.replace("-", "_"), known)
        raise ConfigurationError(f"{self._place(*path, name)}: [{'.'.join(path)}] has no setting {quoted(name)}{hint}")

    def _place(self, *keys: str) -> str:
        assert self.file is not None
        return self.file.place(*keys)

    def _in_force(self, parent: click.Context, path: tuple[str, ...], command: click.Command) -> Iterator[InForce]:
        ctx = click.Context(command, info_name=path[-1], parent=parent, resilient_parsing=True)
        table = ".".join(path)
        for option in options_of(command):
            name = setting_name(option)
            variable = f"{ctx.auto_envvar_prefix}_{name.upper()}"
            value, source = option.consume_value(ctx, {})
            origin = "default"
            if source is ParameterSource.ENVIRONMENT:
                origin = f"environment variable {variable}"
            elif source is ParameterSource.DEFAULT_MAP:
                origin = self.origins[table, name]
            try:
                value = option.process_value(ctx, value)
            except click.MissingParameter:  # only the command line can say it
                value = None
            except click.BadParameter as error:
                raise ConfigurationError(f"{origin}: {error.message}") from error
            is_unset = type(value).__name__ == "Sentinel"  # click 8.3 and later have a mark of their own
            yield InForce(table, name, None if is_unset else value, origin, variable)
        if isinstance(command, click.Group):
            for name in command.list_commands(ctx):
                below = command.get_command(ctx, name)
                assert below is not None
                yield from self._in_force(ctx, (*path, name), below)


def load_settings(ctx: click.Context) -> None:
    """Put what the file and the environment say into the `default_map` of the command that is about to be invoked."""
    name, group = ctx.invoked_subcommand, ctx.command
    if name is None or name in WITHOUT_SETTINGS or not isinstance(group, click.Group):
        return
    settings = Settings.read()
    settings.check_tables(group.list_commands(ctx))
    command = group.get_command(ctx, name)
    assert command is not None
    ctx.default_map = {name: settings.defaults(ctx, name, command)}


def in_force(ctx: click.Context, name: str) -> dict[str, InForce]:
    """The settings of the command `name` by their names, from within any command."""
    return {each.name: each for each in Settings.read().in_force(ctx.find_root(), name) if each.table == name}


def options_of(command: click.Command) -> list[click.Option]:
    """Its options that are settings: --help is none."""
    return [each for each in command.params if isinstance(each, click.Option) and each.expose_value]


def setting_name(option: click.Option) -> str:
    """The option as the file and the environment write it: `max_pdu` for --max-pdu."""
    name = next((spelling for spelling in option.opts if spelling.startswith("--")), option.opts[0])
    return name.lstrip("-").replace("-", "_")


def name_variables(command: click.Command, prefix: str) -> None:
    """Let the environment spell each option as the command line does, whatever the function calls its parameter."""
    for option in options_of(command):
        name = setting_name(option)
        if option.envvar is None and name != option.name:
            option.envvar = f"{prefix}_{name.upper()}"
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            name_variables(below, f"{prefix}_{name.upper().replace('-', '_')}")


def _is_variable(origin: str) -> bool:
    return origin.startswith("environment variable")


def _as_written(option: click.Option, value: object, where: str, directory: Path) -> Any:
    """`value` when it is of TOML's type for the option; a path counts from the directory of the file."""
    if option.multiple or option.nargs != 1:
        if not isinstance(value, list):
            raise ConfigurationError(f'{where}: a list is expected, like ["a", "b"]')
        return [_single(option, each, where, directory) for each in value]
    return _single(option, value, where, directory)


def _single(option: click.Option, value: object, where: str, directory: Path) -> Any:
    kind = option.type
    if option.is_flag or isinstance(kind, click.types.BoolParamType):
        expected, fits = "true or false", isinstance(value, bool)
    elif isinstance(kind, click.types.IntParamType):
        expected, fits = "a whole number", type(value) is int
    elif isinstance(kind, click.types.FloatParamType):
        expected, fits = "a number", type(value) in (int, float)
    elif isinstance(kind, click.types.StringParamType | click.Path | click.Choice):
        expected, fits = "a text in quotes", isinstance(value, str)
    else:
        expected, fits = "a text in quotes or a number", isinstance(value, str) or type(value) is int
    if not fits:
        raise ConfigurationError(f"{where}: {expected} is expected")
    return directory / Path(str(value)).expanduser() if isinstance(kind, click.Path) else value


def _cast(ctx: click.Context, option: click.Option, value: object, where: str) -> Any:
    """`value` as it is, once the option has taken it."""
    try:
        option.type_cast_value(ctx, value)
    except click.BadParameter as error:
        raise ConfigurationError(f"{where}: {error.message}") from error
    return value
