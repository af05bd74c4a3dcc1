"""Standard output that can't be written, that nobody reads, that lacks letters; and SIGINT: as a process has them."""

import json
import os
import signal
import socket
import subprocess
import sys

import pydicom
import pytest
from pydicom.data import get_testdata_file

from dulcet.commands.ending import reason
from dulcet.services.storing.storage_directory import shard_of

SECONDS = 60
FULL = "dulcet: standard output can't be written: No space left on device\n"
CLOSED = "dulcet: standard output can't be written: Bad file descriptor\n"
COMMANDS = [("--help",), ("echo", "--help"), ("explain", "A700"), ("table",), ("config",), ("node", "list"), ("echo",)]


@pytest.fixture
def peer():
    """Takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"SILENT@127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def server():
    """A peer that answers a C-ECHO."""
    from dulcet.conformance.peers.ours import dulcet_serve

    with dulcet_serve() as running:
        yield running.address


@pytest.fixture
def words(write, request):
    """A command that has something to say: some need a peer, some a node."""
    write("nodes.toml", '[PACS1]\nae_title = "ORTHANC"\nhost = "10.0.0.1"\nport = 4242\n')

    def complete(command):
        return ("echo", str(request.getfixturevalue("server"))) if command == ("echo",) else command

    return complete


@pytest.fixture
def start(home):
    """Start `dulcet` as a process, which can be interrupted; text streams."""
    running = []
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if we were started in the background

    def begin(*arguments, environment=(), **streams):
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        started = subprocess.Popen(
            [sys.executable, "-m", "dulcet", *map(str, arguments)],
            stderr=subprocess.PIPE,
            env={**variables, **dict(environment)},
            text=True,
            encoding="utf-8",
            **streams,
        )
        running.append(started)
        return started

    yield begin
    signal.signal(signal.SIGINT, handler)
    for process in running:
        process.kill()
        process.communicate()


def ended(process):
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output, errors


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk_is_told_in_one_sentence(start, words, command):
    with open("/dev/full", "w") as full:
        assert ended(start(*words(command), stdout=full)) == (75, None, FULL)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_gone_ends_a_command_quietly(start, words, command):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as nobody:
        assert ended(start(*words(command), stdout=nobody)) == (141, None, "")


def test_a_closed_standard_output_is_not_taken_for_a_file_or_a_connection(home, server):
    program = f"exec {sys.executable} -m dulcet echo {server} >&-"
    ended = subprocess.run(["sh", "-c", program], stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    assert (ended.returncode, ended.stderr) == (75, CLOSED)


def test_a_standard_error_that_is_full_is_no_failure(home, server):
    program = f"exec {sys.executable} -m dulcet echo -v {server} 2>/dev/full"
    ended = subprocess.run(["sh", "-c", program], stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0
    assert "success in" in ended.stdout


def test_a_monitoring_plugin_that_can_not_say_anything_is_unknown(start, peer):
    with open("/dev/full", "w") as full:
        assert ended(start("check", peer, "--timeout", 0.1, stdout=full)) == (3, None, FULL)


def test_letters_that_the_encoding_lacks_are_escaped(start, tmp_path):
    image = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    image.SpecificCharacterSet, image.PatientName = "ISO_IR 192", "山田^太郎"
    path = tmp_path / "vault" / shard_of(image.SOPInstanceUID) / f"{image.SOPInstanceUID}.dcm"
    path.parent.mkdir(parents=True)
    image.save_as(path)
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ("series", "list", "--directory", tmp_path / "vault")
    code, output, errors = ended(start(*words, stdout=subprocess.PIPE, environment=plain))
    assert (code, errors) == (0, "")
    assert "\\u5c71\\u7530" in output
    assert "山田" in ended(start(*words, stdout=subprocess.PIPE, environment={"PYTHONUTF8": "1"}))[1]


CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("echo",), (130, "", "dulcet: interrupted\n")),
        (("commit", f"{CT}:1.2.3"), (130, "", "dulcet: interrupted\n")),
        (("check",), (3, "DICOM UNKNOWN - interrupted\n", "")),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) else "",
)
def test_an_interruption_is_told_in_one_sentence(start, command, said):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SECONDS)
        name, *rest = command
        process = start(name, f"SILENT@127.0.0.1:{listening.getsockname()[1]}", *rest, stdout=subprocess.PIPE)
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(SECONDS)
            assert connection.recv(1) == b"\x01", "an A-ASSOCIATE-RQ"
            process.send_signal(signal.SIGINT)
            assert ended(process) == said


def test_an_interrupted_get_has_no_traceback(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SECONDS)
        address = f"SILENT@127.0.0.1:{listening.getsockname()[1]}"
        process = start("get", address, "--study", "1.2.3", "--directory", tmp_path / "here", stdout=subprocess.PIPE)
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(SECONDS)
            assert connection.recv(1) == b"\x01"
            process.send_signal(signal.SIGINT)
            code, _output, errors = ended(process)
    assert code == 130
    assert "Traceback" not in errors


def test_an_interruption_counts_most_in_a_group():
    interruption = KeyboardInterrupt()
    first = ValueError("first")
    assert reason(BaseExceptionGroup("", [first, BaseExceptionGroup("", [interruption])])) is interruption
    assert reason(ExceptionGroup("", [ExceptionGroup("", [first]), OSError()])) is first
    assert reason(first) is first


def test_a_variable_of_ours_is_known(dulcet, home, monkeypatch):
    monkeypatch.setenv("DULCET_STATE", str(home))
    answer = dulcet("config", "--json")
    assert answer.errors == ""
    assert json.loads(answer.output.splitlines()[0])["event"] == "setting"


ROOM_AGAIN = """
import resource, sys
from dulcet.commands.standard_streams import OutputError, flush_output, guard_streams
guard_streams()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
for room, line in ((5, "one"), (5, "two"), (most, "three"), (most, "four")):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        print(line, flush=True)
    except OutputError as error:
        print(error, file=sys.stderr)
flush_output()
"""


def test_when_there_is_room_again_what_follows_is_written(tmp_path):
    path = tmp_path / "out"
    with path.open("w") as output:
        ran = subprocess.run([sys.executable, "-c", ROOM_AGAIN], stdout=output, stderr=subprocess.PIPE, timeout=SECONDS)
    assert (ran.returncode, ran.stderr) == (0, b"standard output can't be written: File too large\n")
    assert path.read_text().splitlines() == ["one", "t", "three", "four"]  # and no line is two
