"""Settings: which one is in force, where it came from, and what is told about one that can't be."""

import json
import os
import tomllib

import click
import pytest
from click.testing import CliRunner

from dulcet import cli
from dulcet.commands import settings

SITE = """\
# the site
[dulcet]
aet = "SITE"
port = 11113
directory = "received"

[send]
jobs = 4
max-pdu = 65536

[serve]
aet = "STORE"
allow = ["CT1", "MR1@10.0.0.0/8"]
tls_ca = "~/ca.pem"
idle_timeout = 5
max_object = "2G"
"""


@pytest.fixture(autouse=True)
def only_these_commands(monkeypatch):
    names = ("echo", "send", "serve", "node", "whoami", "config", "completion")
    monkeypatch.setattr(cli, "COMMANDS", {name: cli.COMMANDS[name] for name in names})


@pytest.fixture
def in_force(dulcet):
    """(table, setting) -> (value, origin), of what is in force."""

    def read(*arguments):
        lines = [json.loads(line) for line in dulcet("config", "--json", *arguments).output.splitlines()]
        return {(line["table"], line["setting"]): (line["value"], line["origin"]) for line in lines}

    return read


def test_without_a_file_the_defaults_are_in_force(in_force):
    found = in_force()
    assert found["send", "jobs"] == (1, "default")
    assert found["serve", "port"] == (11112, "default")
    assert found["serve", "directory"] == ("received", "default")
    assert found["send", "user"] == (None, "default")
    assert found["echo", "tls"] == (False, "default")
    assert found["serve", "allow"] == ([], "default")
    assert ("send", "help") not in found
    assert {table for table, _ in found} == {"echo", "send", "serve", "whoami"}


def test_each_setting_is_told_with_the_line_that_it_came_from(in_force, write):
    path = write("dulcet.toml", SITE)
    assert in_force("--changed") == {
        ("echo", "aet"): ("SITE", f"{path}:3"),
        ("send", "aet"): ("SITE", f"{path}:3"),
        ("send", "jobs"): (4, f"{path}:8"),
        ("send", "max_pdu"): (65536, f"{path}:9"),
        ("serve", "aet"): ("STORE", f"{path}:12"),
        ("serve", "port"): (11113, f"{path}:4"),
        ("serve", "directory"): (str(path.parent / "received"), f"{path}:5"),
        ("serve", "allow"): (["CT1", "MR1@10.0.0.0/8"], f"{path}:13"),
        ("serve", "tls_ca"): (os.path.expanduser("~/ca.pem"), f"{path}:14"),
        ("serve", "idle_timeout"): (5, f"{path}:15"),
        ("serve", "max_object"): (2_000_000_000, f"{path}:16"),
        ("whoami", "aet"): ("SITE", f"{path}:3"),
        ("whoami", "port"): (11113, f"{path}:4"),
    }


def test_the_environment_wins_over_the_file(in_force, write, monkeypatch):
    path = write("dulcet.toml", SITE)
    variables = {
        "DULCET_AET": "ENV",
        "DULCET_PORT": "104",
        "DULCET_SEND_AET": "ENV_SEND",
        "DULCET_SEND_JOBS": "8",
        "DULCET_SERVE_ALLOW": "A B",
        "DULCET_SERVE_BIND": "0.0.0.0",
        "DULCET_ECHO_TLS": "yes",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = in_force()
    assert found["echo", "aet"] == ("ENV", "environment variable DULCET_AET")
    assert found["serve", "aet"] == ("ENV", "environment variable DULCET_AET")
    assert found["send", "aet"] == ("ENV_SEND", "environment variable DULCET_SEND_AET")
    assert found["serve", "port"] == (104, "environment variable DULCET_PORT")
    assert found["send", "jobs"] == (8, "environment variable DULCET_SEND_JOBS")
    assert found["serve", "allow"] == (["A", "B"], "environment variable DULCET_SERVE_ALLOW")
    assert found["serve", "bind"] == ("0.0.0.0", "environment variable DULCET_SERVE_BIND")
    assert found["echo", "tls"] == (True, "environment variable DULCET_ECHO_TLS")
    assert found["send", "max_pdu"] == (65536, f"{path}:9")


def test_what_is_shown_is_a_configuration_file(dulcet, write, home):
    path = write("dulcet.toml", SITE)
    shown = dulcet("config").output
    assert shown.startswith(
        f"# configuration file {path}\n# node book {home / 'nodes.toml'} (there is none)\n\n[echo]\n"
    )
    assert f"jobs = 4{' ' * 33}# {path}:8\n" in shown
    assert "\n# user is not set\n" in shown
    write("dulcet.toml", shown)
    assert tomllib.loads(dulcet("config").output) == tomllib.loads(shown)


def test_a_command_gets_what_is_in_force_and_the_command_line_wins(dulcet, write, monkeypatch):
    write("dulcet.toml", '[dulcet]\naet = "SITE"\n[whoami]\nport = 2762\n')
    assert dulcet("whoami", "--help").output.count("SITE") == 1
    monkeypatch.setattr("dulcet.commands.whoami.own_addresses", lambda: ["192.0.2.7"])

    def said(*arguments):
        line = json.loads(dulcet("whoami", "--json", *arguments).output)
        return line["ae_title"], line["port"]

    assert said() == ("SITE", 2762)
    monkeypatch.setenv("DULCET_WHOAMI_PORT", "104")
    assert said() == ("SITE", 104)
    assert said("--port", 4242, "-aet", "ME") == ("ME", 4242)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[snd]\njobs = 1\n", "1: there is no table [snd]; did you mean 'send'?"),
        ("[node]\nport = 1\n", "1: there is no table [node]"),
        ("\naet = 'X'\n", "2: aet stands in no table: [dulcet], or that of a command"),
        ("[dulcet]\naet = 'X'\nprot = 104\n", "3: [dulcet] has no setting 'prot'; did you mean 'port'?"),
        ("[dulcet]\njobs = 4\n", "2: [dulcet] has no setting 'jobs'"),
        ("[send]\njosb = 4\n", "2: [send] has no setting 'josb'; did you mean 'jobs'?"),
        ("[send]\nas_json = true\n", "2: [send] has no setting 'as_json'"),
        ("[send]\nhelp = true\n", "2: [send] has no setting 'help'"),
        ("[send]\njobs = 'four'\n", "2: [send] jobs: a whole number is expected"),
        ("[send]\njobs = 4.5\n", "2: [send] jobs: a whole number is expected"),
        ("[send]\njobs = true\n", "2: [send] jobs: a whole number is expected"),
        ("[send]\njobs = 65\n", "2: [send] jobs: 65 is not in the range 1<=x<=64."),
        ("[send]\nno_convert = 'yes'\n", "2: [send] no_convert: true or false is expected"),
        ("[send]\ntimeout = 'long'\n", "2: [send] timeout: a number is expected"),
        ("[send]\naet = 5\n", "2: [send] aet: a text in quotes is expected"),
        ("[send]\naet = ['X']\n", "2: [send] aet: a text in quotes is expected"),
        ("[send]\ntls_ca = 5\n", "2: [send] tls_ca: a text in quotes is expected"),
        ("[serve]\nallow = 'CT1'\n", '2: [serve] allow: a list is expected, like ["a", "b"]'),
        ("[serve]\nallow = [5]\n", "2: [serve] allow: a text in quotes is expected"),
        ("[serve]\ndurability = 'fast'\n", "2: [serve] durability: 'fast' is not one of "),
        ("[serve]\nmax_object = 'big'\n", "2: [serve] max_object: 'big' is no size: write 500M or 4G"),
        ("[dulcet]\nport = 70000\n", "2: [dulcet] port: 70000 is not in the range 0<=x<=65535."),
        ("[send]\njobs = \n", "2: this is not TOML: Invalid value"),
    ],
)
def test_a_setting_that_can_not_be_is_told_with_its_line(dulcet, write, text, sentence):
    path = write("dulcet.toml", text)
    answer = dulcet("config")
    assert (answer.code, answer.output) == (78, "")
    assert answer.errors.startswith(f"dulcet: {path}:{sentence}")
    assert answer.errors.count("\n") == 1


def test_a_fault_of_one_command_is_no_fault_of_another(dulcet, write):
    path = write("dulcet.toml", "[send]\njosb = 4\n")
    assert dulcet("send", "A@h:1", "file").errors.startswith(f"dulcet: {path}:2: [send] has no setting 'josb'")
    assert dulcet("echo", "--help").code == 0


def test_what_mends_a_file_works_while_it_is_at_fault(dulcet, write, home):
    write("dulcet.toml", "[send\n")
    assert dulcet("config", "path").output == f"{home / 'dulcet.toml'}\n"
    assert dulcet("node", "add", "N", "A@h:1").code == 0
    assert dulcet("completion", "fish").code == 0
    assert dulcet("echo", "N").code == 78


def test_a_variable_that_can_not_be_is_named(dulcet, monkeypatch):
    monkeypatch.setenv("DULCET_PORT", "tcp://10.0.0.1:104")
    answer = dulcet("config")
    assert answer.code == 78
    assert answer.errors.startswith("dulcet: environment variable DULCET_PORT: 'tcp://10.0.0.1:104' is not a valid int")
    monkeypatch.setenv("DULCET_PORT", "104")
    monkeypatch.setenv("DULCET_SEND_JOBS", "many")
    assert dulcet("config").errors.startswith(
        "dulcet: environment variable DULCET_SEND_JOBS: 'many' is not a valid int"
    )


def test_a_name_that_is_none_is_escaped_once(dulcet, write):
    write("dulcet.toml", '[dulcet]\n"a\\nb" = 1\n')
    assert r"[dulcet] has no setting 'a\x0ab'" in dulcet("config").errors


def test_a_variable_that_has_no_effect_is_told(dulcet, monkeypatch):
    monkeypatch.setenv("DULCET_SNED_JOBS", "4")
    monkeypatch.setenv("DULCET_DEBUG", "1")
    monkeypatch.setenv("DULCET_PEER_STORE", "A@h:1")
    answer = dulcet("config")
    assert answer.code == 0
    assert answer.errors.startswith("dulcet: the environment variable DULCET_SNED_JOBS is no setting; did you mean ")
    assert answer.errors.count("\n") == 1


def test_a_command_that_can_not_be_loaded_hides_no_other(dulcet, monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "tui", ("dulcet.commands.no_such_module:tui", ""))
    answer = dulcet("config")
    assert answer.code == 0
    assert "[serve]" in answer.output
    assert answer.errors == "dulcet: tui can't be loaded: No module named 'dulcet.commands.no_such_module'\n"


def test_every_general_setting_is_one_of_some_command(in_force):
    assert set(settings.GENERAL) <= {name for _, name in in_force()}


# Groups of commands --------------------------------------------------------------------------------------------------


@pytest.fixture
def program():
    """A program with a group in it, as `queue run`."""

    @click.group()
    @click.pass_context
    def main(ctx):
        settings.load_settings(ctx)

    @main.group()
    @click.option("--file", "database")
    def queue(database):
        click.echo(f"file {database}")

    @queue.command()
    @click.option("--aet", default="DULCET")
    @click.option("--jobs", "lanes", type=int, default=1)
    def run(aet, lanes):
        click.echo(f"aet {aet} jobs {lanes}")

    settings.name_variables(queue, "TEST_QUEUE")

    def call(*arguments):
        result = CliRunner().invoke(main, ["queue", "run", *arguments], auto_envvar_prefix="TEST")
        return result.exception if result.exception else result.output

    call.main = main
    return call


def test_a_command_of_a_group_has_its_own_table(program, write, monkeypatch):
    write("dulcet.toml", '[dulcet]\naet = "SITE"\n[queue]\nfile = "a"\n[queue.run]\njobs = 3\n')
    assert program() == "file a\naet SITE jobs 3\n"
    monkeypatch.setenv("TEST_QUEUE_RUN_JOBS", "5")
    assert program() == "file a\naet SITE jobs 5\n"
    assert program("--jobs", "7") == "file a\naet SITE jobs 7\n"


def test_what_is_in_force_in_a_group_is_told(program, write, monkeypatch):
    path = write("dulcet.toml", '[queue]\nfile = "a"\n[queue.run]\njobs = 3\n')
    monkeypatch.setenv("TEST_QUEUE_RUN_AET", "ENV")
    context = click.Context(program.main, info_name="test", auto_envvar_prefix="TEST")
    found = [
        (each.table, each.name, each.value, each.origin) for each in settings.Settings.read().in_force(context, "queue")
    ]
    assert found == [
        ("queue", "file", "a", f"{path}:2"),
        ("queue.run", "aet", "ENV", "environment variable TEST_QUEUE_RUN_AET"),
        ("queue.run", "jobs", 3, f"{path}:4"),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[queue]\nrun = 5\n", "2: run is a table: [queue.run]"),
        ("[queue.run]\njosb = 5\n", "2: [queue.run] has no setting 'josb'; did you mean 'jobs'?"),
        ("[queue.rnu]\njobs = 5\n", "1: [queue] has no setting 'rnu'; did you mean 'run'?"),
    ],
)
def test_a_fault_in_the_table_of_a_group_is_told(program, write, text, sentence):
    path = write("dulcet.toml", text)
    assert str(program()) == f"{path}:{sentence}"
