"""From the words of a command line to peers: names, addresses, and who has the last word."""

import json
import ssl
import subprocess
import sys

import click
import pytest
import trustme
from click.testing import CliRunner

from dulcet.commands.options import peer_options, tls_client_options
from dulcet.commands.peers import explain, how_to_call, node_of, peers, peers_of_book, preferences
from dulcet.errors import ConfigurationError, PeerUnavailableError
from dulcet.station.book import calling

BOOK = """\
[PACS1]
ae_title = "ORTHANC"
host = "192.168.1.20"
port = 4242
calling_ae_title = "WS7"
tags = ["main"]
jobs = 4
no_convert = true
retrieve = "get"
query_root = "patient"
character_set = "ISO_IR 192"

[CT]
ae_title = "CT1"
host = "2001:db8::1"
port = 104
tls = false
tags = ["main", "ct"]

[SAFE]
ae_title = "SAFE1"
host = "10.0.0.3"
port = 2762
tls = true
tls_ca = "ca.pem"
tls_name = "pacs.example.org"
"""


@click.command()
@click.argument("words", nargs=-1)
@peer_options
@tls_client_options
@click.option("--tag", multiple=True)
@click.option("--jobs", type=int, default=1)
@click.option("--via", default="auto")
def ask(words, tag, jobs, via, **options):
    """A command as every other that takes peers."""
    how = how_to_call(options)
    found = peers_of_book(tag, **how) if tag else peers(words, **how)
    ask.found = found
    ask.wishes = preferences(words[0], jobs=jobs, via=via) if words else {}


@pytest.fixture
def asked(write):
    """The peers of one command line."""
    write("nodes.toml", BOOK)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(write("ca.pem", "")))
    calling._tls_client.cache_clear()

    def call(*arguments, **context):
        result = CliRunner().invoke(ask, arguments, **context)
        if result.exception:
            raise result.exception
        return ask.found

    return call


def said(found):
    return [(str(peer), peer.calling_ae_title) for peer in found]


def test_names_and_addresses_may_be_mixed(asked):
    assert said(asked("CT", "A@h:1", "PACS1", "h", "104")) == [
        ("CT (CT1@[2001:db8::1]:104)", "DULCET"),
        ("A@h:1", "DULCET"),
        ("PACS1 (ORTHANC@192.168.1.20:4242)", "WS7"),
        ("ANY-SCP@h:104", "DULCET"),
    ]


def test_what_the_node_says_holds_against_file_and_environment(asked):
    more = {"default_map": {"aet": "SITE", "aec": "ANY", "jobs": 8}, "auto_envvar_prefix": "T", "env": {"T_AET": "ENV"}}
    assert said(asked("PACS1", "CT", **more)) == [
        ("PACS1 (ORTHANC@192.168.1.20:4242)", "WS7"),
        ("CT (CT1@[2001:db8::1]:104)", "ENV"),
    ]
    assert ask.wishes == {"jobs": 4, "via": "get"}


def test_what_the_command_line_says_holds_against_the_node(asked):
    assert said(asked("PACS1", "-aet", "ME", "-aec", "YOU", "--jobs", "2")) == [("PACS1 (YOU@192.168.1.20:4242)", "ME")]
    assert ask.wishes == {"jobs": 2, "via": "get"}


def test_a_wish_that_no_node_has_changes_nothing(asked):
    asked("CT", "--jobs", "2")
    assert ask.wishes == {"jobs": 2, "via": "auto"}
    asked("A@h:1")
    assert ask.wishes == {"jobs": 1, "via": "auto"}


def test_every_wish_has_a_field(home, write):
    write("nodes.toml", BOOK)
    given = dict.fromkeys(("jobs", "async_window", "no_convert", "max_pdu", "via", "root", "charset"))
    assert preferences("PACS1", **given) == {
        **given,
        "jobs": 4,
        "no_convert": True,
        "via": "get",
        "root": "patient",
        "charset": "ISO_IR 192",
    }


def test_a_node_brings_its_own_tls(asked):
    (safe,) = asked("SAFE")
    assert isinstance(safe.tls, ssl.SSLContext)
    assert safe.tls.verify_mode is ssl.CERT_REQUIRED
    assert len(safe.tls.get_ca_certs()) == 1
    assert safe.server_name == "pacs.example.org"


def test_contexts_are_made_once_for_many_nodes(asked):
    first, second = asked("SAFE", "SAFE")
    assert first.tls is second.tls


def test_tls_of_the_command_line_replaces_that_of_the_node(asked):
    (mine,) = asked("SAFE", "--tls")
    assert len(mine.tls.get_ca_certs()) != 1
    assert mine.server_name is None
    (named,) = asked("SAFE", "--tls-name", "other.example.org")
    assert named.server_name == "other.example.org"
    assert len(named.tls.get_ca_certs()) == 1


def test_a_file_that_says_tls_does_not_reach_a_node_that_says_never(asked):
    safe, never, unsaid = asked("SAFE", "CT", "PACS1", default_map={"tls": True})
    assert (never.tls, safe.tls is None, unsaid.tls is None) == (None, False, False)


def test_authorities_in_the_file_are_no_reason_to_complain_without_tls(asked, home):
    (plain,) = asked("PACS1", default_map={"tls_ca": str(home / "ca.pem")})
    assert plain.tls is None
    with pytest.raises(SystemExit):
        asked("PACS1", "--tls-ca", str(home / "ca.pem"))


def test_nodes_are_chosen_by_tag(asked):
    assert [peer.name for peer in asked("--tag", "main")] == ["PACS1", "CT"]
    assert [peer.name for peer in asked("--tag", "ct")] == ["CT"]
    with pytest.raises(ConfigurationError, match=r"no node in .* has the tag 'mian'; did you mean 'main'"):
        asked("--tag", "mian")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("PACS2", "'PACS2' is no node of {book}; did you mean 'PACS1'?"),
        ("A@", "'A@' is no peer: write AET@HOST:PORT"),
        ("h:0", "'h:0': a port is a number from 1 to 65535"),
    ],
)
def test_a_word_that_names_nobody_is_told(asked, home, word, sentence):
    with pytest.raises(ConfigurationError) as caught:
        asked(word)
    assert str(caught.value).startswith(sentence.format(book=home / "nodes.toml"))


def test_an_address_needs_no_book(write):
    write("nodes.toml", "[broken\n")
    assert said(peers(["A@h:1"], called=None, calling="ME")) == [("A@h:1", "ME")]
    assert node_of("A@h:1") is None
    with pytest.raises(ConfigurationError, match="this is not TOML"):
        peers(["PACS1"], called=None, calling="ME")


def test_a_failure_is_told_with_the_name(write, capsys):
    write("nodes.toml", BOOK)
    named, address = peers(["PACS1", "A@h:1"], called=None, calling="ME")
    explain(PeerUnavailableError("192.168.1.20:4242 refused the connection"), named)
    explain(PeerUnavailableError(f"{named} did not answer"), named)
    explain(PeerUnavailableError("h:1 refused the connection"), address)
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(" ")]
    assert told == [
        "dulcet: PACS1 (ORTHANC@192.168.1.20:4242): 192.168.1.20:4242 refused the connection",
        "dulcet: PACS1 (ORTHANC@192.168.1.20:4242) did not answer",
        "dulcet: h:1 refused the connection",
    ]


def test_echo_wants_to_know_whom(dulcet):
    answer = dulcet("echo")
    assert answer.code == 2
    assert "who should be asked? A PEER, --tag TAG, or --all of the node book" in answer.errors


def test_echo_tells_that_the_book_is_empty(dulcet, home):
    answer = dulcet("echo", "--all")
    assert answer.code == 78
    assert f"the node book {home / 'nodes.toml'} is empty" in answer.errors


def test_send_tells_the_nearest_name(dulcet, write, tmp_path):
    write("nodes.toml", BOOK)
    answer = dulcet("send", "PACS2", tmp_path)
    assert answer.code == 78
    assert "did you mean 'PACS1'?" in answer.errors


@pytest.mark.parametrize("word", ["127.0.0.1", "localhost"])
def test_an_address_without_a_port_is_no_name_to_enter(dulcet, word):
    answer = dulcet("echo", word)
    assert answer.code == 78
    assert f"{word} is the address of a machine, and its port is missing" in answer.errors
    assert "node add" not in answer.errors


@pytest.mark.parametrize("exists", [True, False])
def test_send_with_the_file_before_the_peer(dulcet, tmp_path, exists):
    file = tmp_path / "0.dcm"
    if exists:
        file.touch()
    answer = dulcet("send", file, "A@127.0.0.1:9")
    assert answer.code == 2
    assert "is a file: the PEER comes first" in answer.errors


def test_quiet_leaves_out_prose_and_never_the_reason(dulcet, tmp_path):
    answer = dulcet("send", "-q", "A@127.0.0.1:9", tmp_path / "gone.dcm")
    assert (answer.code, answer.output) == (66, "")
    assert answer.errors == "dulcet: 1 file not sent: there is no such file or folder\n"


def test_a_response_to_no_identity_is_wrong_use(dulcet):
    answer = dulcet("echo", "A@127.0.0.1:9", "--user-response")
    assert answer.code == 2
    assert "--user-response needs an identity" in answer.errors


# What is imported ----------------------------------------------------------------------------------------------------

HEAVY = ("tomlkit", "tomllib", "pydicom", "numpy", "sqlite3", "rich", "platformdirs", "difflib")
RESOLVE = """
import json, sys
from dulcet import cli
from dulcet.commands import echo as module
asked = []
async def run(self, called, every):
    asked.extend(map(str, called))
    return 0
module._EchoJob.run = run
code = cli.run(sys.argv[1:])
loaded = [name for name in %r if name in sys.modules]
print(json.dumps([code, asked, loaded]))
"""


def started(directory, *arguments):
    environment = {"PATH": "/usr/bin:/bin", "XDG_CONFIG_HOME": str(directory)}
    command = [sys.executable, "-c", RESOLVE % (HEAVY,), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=True)
    return json.loads(answer.stdout)


def test_an_echo_to_an_address_loads_nothing_heavy(tmp_path):
    assert started(tmp_path, "echo", "A@h:1") == [0, ["A@h:1"], []]


def test_an_echo_to_a_name_loads_what_reads_the_book(home, write):
    write("nodes.toml", BOOK)
    answer = [0, ["PACS1 (ORTHANC@192.168.1.20:4242)"], ["tomllib"]]
    assert started(home.parent, "echo", "PACS1") == answer
    write("dulcet.toml", '[dulcet]\naet = "SITE"\n')
    assert started(home.parent, "echo", "PACS1") == answer


def test_help_loads_neither_settings_nor_commands():
    loaded = "sorted(name for name in sys.modules if 'dulcet.' in name)"
    code = f"import sys; from dulcet import cli; cli.run(['--help']); print({loaded})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    ending = ["dulcet.commands", "dulcet.commands.ending", "dulcet.commands.standard_streams"]
    light = ["dulcet.errors", "dulcet.escape", "dulcet.station", "dulcet.station.terminal"]
    assert answer.stdout.splitlines()[-1] == str(["dulcet.cli", *ending, *light])
