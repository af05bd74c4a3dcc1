"""`dulcet tap` between real programs, and captures of DCMTK played against DCMTK."""

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from dulcet import cli
from dulcet.conformance.captures.build import read_capture
from dulcet.conformance.captures.transcript import TransportEvent
from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.address import LOOPBACK, free_port
from dulcet.conformance.peers.ours import DEFAULT_SETTINGS, PROGRAM
from dulcet.conformance.tap import Tap, TappedPeer, connect
from dulcet.conformance.tap_recording import RecordingDirectory
from dulcet.errors import PeerUnavailableError

CAPTURES = Path(__file__).parents[1] / "captures"
SECONDS = 60


@contextmanager
def started(*arguments):
    """A command of ours that says when it is ready: (process, port that it listens on)."""
    environment = {**os.environ, **DEFAULT_SETTINGS, "NO_COLOR": "1", "DULCET_NODES": os.devnull}
    command = [*PROGRAM, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        ready = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", ready)
        assert found, ready + process.communicate(timeout=SECONDS)[1]
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


@pytest.fixture
def command(monkeypatch, capsys):
    """The command line in this process, which starts faster: (exit code, standard output, standard error)."""
    monkeypatch.setenv("DULCET_CONFIG", os.devnull)
    monkeypatch.setenv("DULCET_NODES", os.devnull)

    def run(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def ended(process):
    """What it said after SIGTERM."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def heard(process, words, times=1):
    """What it says on standard error up to the line that has the words for the so many-th time."""
    lines = []
    while sum(words in line for line in lines) < times:
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    return "".join(lines)


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=SECONDS, check=False)


def test_objects_pass_as_they_are_and_the_recording_is_complete(need, storescp, pydicom_files, tmp_path):
    need("echoscu")
    need("storescu")
    sent = [pydicom_files / name for name in ("CT_small.dcm", "MR_small.dcm")]
    capture = tmp_path / "tapped.pcapng"
    with started("tap", "0", storescp.address, "--write", capture, "-v") as (tap, port):
        assert run("echoscu", "-aec", "X", LOOPBACK, port).returncode == 0
        assert run("storescu", "-aec", "X", LOOPBACK, port, *sent).returncode == 0
        said = heard(tap, ", released; ", times=2)  # the programs may have ended before that
        code, _, _ = ended(tap)
    assert code == 0
    assert len(storescp.stored_files()) == 2
    transcript = read_capture("tapped", capture.read_bytes())
    assert transcript.damage == ()
    echo, store = transcript.streams
    assert [message.name for message in echo.messages] == ["C-ECHO-RQ", "C-ECHO-RSP"]
    assert [message.name for message in store.messages] == ["C-STORE-RQ", "C-STORE-RSP"] * 2
    assert all(pdu.error is None for stream in transcript.streams for pdu in stream.pdus)
    assert {entry.what for entry in store.entries if isinstance(entry, TransportEvent)} == {"open", "FIN"}
    assert "> C-ECHO-RQ 1, Verification" in said
    assert "C-STORE: 2 requests, 2 x 0000H Success" in said


def test_tshark_reads_what_was_tapped(need, storescp, wait_until, tmp_path):
    need("tshark")
    capture = tmp_path / "tapped.pcapng"
    with started("tap", "0", storescp.address, "--write", capture, "-q") as (tap, port):
        assert run("echoscu", LOOPBACK, port).returncode == 0
        wait_until(lambda: [len(one.pdus) for one in read_capture("", capture.read_bytes()).streams] == [6])
        code, _, said = ended(tap)
    assert (code, said) == (0, "")
    server = f"tcp.port=={storescp.address.port}"
    read = run("tshark", "-r", capture, "-d", f"{server},dicom", "-Y", "dicom", "-T", "fields", "-e", "dicom.pdu.type")
    assert [int(word, 0) for word in read.stdout.split()] == [1, 2, 4, 4, 5, 6]
    wrong = run("tshark", "-r", capture, "-o", "tcp.check_checksum:TRUE", "-Y", "_ws.expert.severity==8388608")
    assert wrong.stdout == ""


def test_json_lines_and_a_peer_that_is_not_there(tmp_path):
    """The client sees its connection closed, and the tap says why."""
    closed = free_port()
    with started("tap", "--json", "0", f"X@{LOOPBACK}:{closed}", "--directory", tmp_path) as (tap, port):
        with socket.create_connection((LOOPBACK, port), timeout=SECONDS) as client:
            assert client.recv(1) == b""
        refused = json.loads(tap.stdout.readline())
        code, _, _ = ended(tap)
    assert code == 0
    assert refused["event"] == "tap.refused"
    assert refused["error"] == f"{LOOPBACK}:{closed} can't be reached: Connection refused"
    (file,) = tmp_path.iterdir()
    assert [pdu for stream in read_capture("refused", file.read_bytes()).streams for pdu in stream.pdus] == []


def test_tls_on_both_sides_is_recorded_as_clear_text(storescp_tls, certificates, dulcet, tmp_path):
    capture = tmp_path / "clear.pcapng"
    ours = ("--tls-cert", certificates.peer_certificate, "--tls-key", certificates.peer_key)
    ours += ("--tls-ca", certificates.authority)
    theirs = ("--tls", "--peer-tls-ca", certificates.authority, "--peer-tls-cert", certificates.our_certificate)
    theirs += ("--peer-tls-key", certificates.our_key)
    client = ("--tls", "--tls-ca", certificates.authority, "--tls-cert", certificates.our_certificate)
    client += ("--tls-key", certificates.our_key)
    with started("tap", "0", storescp_tls.address, "--write", capture, *ours, *theirs) as (tap, port):
        asked = dulcet("echo", f"X@{LOOPBACK}:{port}", *client)
        assert asked.returncode == 0, asked.stderr
        assert dulcet("echo", f"X@{LOOPBACK}:{port}", "--tls", *client[1:3]).returncode in (75, 77)
        heard(tap, "TLS with the client failed")
        ended(tap)
    first = read_capture("clear", capture.read_bytes()).streams[0]
    assert first.transport == "tcp"
    assert [message.name for message in first.messages] == ["C-ECHO-RQ", "C-ECHO-RSP"]


def test_wrong_use_of_tap(command, tmp_path):
    for arguments, code in (
        (("nowhere", "X@127.0.0.1:1"), 78),
        (("99999", "X@127.0.0.1:1"), 78),
        (("0", "X@127.0.0.1:1", "--tls-key", "x"), 2),
        (("0", "X@127.0.0.1:1", "--peer-tls-ca", "x"), 2),
        (("0", "X@127.0.0.1:1", "--write", "a", "--directory", "b"), 2),
        (("0", "X@127.0.0.1:1", "--write", tmp_path / "no" / "a"), 78),
    ):
        found, _, said = command("tap", *arguments)
        assert found == code, said


async def serve_and_reset(stream):
    """Echoes; resets on `R`, ends its half on `F`."""
    async with stream:
        while octets := await stream.receive_some():
            if octets.endswith(b"R"):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            await stream.send_all(octets)


async def test_many_at_once_each_with_its_own_octets_and_its_own_end(tmp_path):
    """FIN as FIN, RST as RST; 40 connections, of which at most 8 pass at a time."""
    problems = []
    directory = RecordingDirectory(tmp_path, problems.append)
    ends = []

    async def client(number, port):
        stream = await trio.open_tcp_stream(LOOPBACK, port)
        async with stream:
            octets = bytes((number,)) * 100_000
            async with trio.open_nursery() as sending:
                sending.start_soon(stream.send_all, octets)
                got = b""
                while len(got) < len(octets):
                    got += await stream.receive_some()
            assert got == octets
            try:
                if number % 2:
                    await stream.send_all(b"R")
                else:
                    await stream.send_eof()
                ends.append((number, await stream.receive_some()))
            except trio.BrokenResourceError:
                ends.append((number, "RST"))

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            peers = await nursery.start(trio.serve_tcp, serve_and_reset, 0)
            peer = TappedPeer(host=LOOPBACK, port=peers[0].socket.getsockname()[1])
            listening = socket.create_server((LOOPBACK, 0))
            listening.setblocking(False)
            tap = Tap(peer, lambda ends: [directory.recording(ends)], max_connections=8)
            nursery.start_soon(tap.serve, [listening])
            async with trio.open_nursery() as clients:
                for number in range(40):
                    clients.start_soon(client, number, listening.getsockname()[1])
            nursery.cancel_scope.cancel()
    assert problems == []
    assert sorted(ends) == [(number, "RST" if number % 2 else b"") for number in range(40)]
    said = [read_capture(path.name, path.read_bytes()).streams[0] for path in sorted(tmp_path.iterdir())]
    assert len(said) == 40
    how = [[entry.what for entry in stream.entries if isinstance(entry, TransportEvent)] for stream in said]
    assert how.count(["open", "RST"]) == 20
    assert how.count(["open", "FIN", "FIN"]) == 20


async def reset_connection():
    """(a stream whose peer has reset it, and where that peer was)."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        stream = await trio.open_tcp_stream(*listening.getsockname())
        theirs, _ = listening.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        await trio.lowlevel.wait_readable(stream.socket)
        return stream, TappedPeer(host=LOOPBACK, port=listening.getsockname()[1])


async def test_a_peer_that_resets_what_it_has_taken(monkeypatch):
    """A balancer, say, with nobody behind it: the tap says who, and nothing is left open."""
    stream, peer = await reset_connection()

    async def connected(host, port):
        return stream

    monkeypatch.setattr(trio, "open_tcp_stream", connected)
    with pytest.raises(PeerUnavailableError, match=f"{LOOPBACK}:{peer.port} took the connection and closed it at once"):
        await connect(peer)
    assert stream.socket.fileno() == -1


async def test_a_client_that_is_gone_before_it_is_served():
    stream, peer = await reset_connection()
    tap = Tap(peer, lambda ends: pytest.fail("there is nobody to be told of"))
    with pytest.raises(OSError, match="not connected"):
        await tap.pass_on(stream)
    assert stream.socket.fileno() == -1


STORESCP = (
    "abort-bad-pdv__raw__dcmtk-storescp",
    "abort-scu-mid__raw__dcmtk-storescp",
    "connection-lost__raw__dcmtk-storescp",
    "contexts-128__pynetdicom__dcmtk-storescp",
    "max-pdu-tiny__dcmtk-storescu__dcmtk-storescp",
    "reject-application-context__raw__dcmtk-storescp",
    "store-jpeg-accepted__dcmtk-storescu__dcmtk-storescp",
    "store-one__dcmtk-storescu__dcmtk-storescp",
    "tiny-fragments__raw__dcmtk-storescp",
)


@pytest.fixture(scope="module")
def playing_storescp(need):
    need("storescp")
    with dcmtk.storescp("+xa", "--fork") as peer:
        yield peer


def is_equal(ran):
    code, out, err = ran
    assert code == 0, out + err
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[-1]["event"] == "replay.result"
    assert lines[-1]["equal"]
    assert lines[-1]["answers"] == len(lines) - 1 > 0
    return lines


@pytest.mark.parametrize("name", STORESCP)
def test_a_capture_of_storescp_against_storescp(name, command, playing_storescp):
    where = f"{LOOPBACK}:{playing_storescp.address.port}"
    is_equal(command("replay", "--json", CAPTURES / f"{name}.pcap", where))


def test_captures_of_dcmrecv_and_dcmqrscp_against_them(need, command, dcmrecv):
    for name in ("echo__dcmtk-echoscu__dcmtk-dcmrecv", "store-many__pynetdicom__dcmtk-dcmrecv"):
        is_equal(command("replay", "--json", CAPTURES / f"{name}.pcap", f"{LOOPBACK}:{dcmrecv.address.port}"))
    need("dcmqrscp")
    with dcmtk.dcmqrscp(ae_title="SHRQR") as archive:
        where = f"{LOOPBACK}:{archive.address.port}"
        for name in (
            "find-none__dcmtk-findscu__dcmtk-dcmqrscp",
            "reject-called-ae__pynetdicom__dcmtk-dcmqrscp",
            "role-selection__pynetdicom__dcmtk-dcmqrscp",
        ):
            is_equal(command("replay", "--json", CAPTURES / f"{name}.pcap", where))
        code, more, _ = command("replay", CAPTURES / "find-3__dcmtk-findscu__dcmtk-dcmqrscp.pcap", where)
    assert code == 1
    assert "! Status (0000,0900): 0000H, captured: FF00H" in more
    assert "the capture has more answers to it" in more


def test_the_acceptor_of_a_capture_for_the_requestor_of_it(need):
    """DCMTK's echoscu asks three times, as it did; the called AE title is another one."""
    need("echoscu")
    capture = CAPTURES / "echo__dcmtk-echoscu__dcmtk-dcmrecv.pcap"
    with started("replay", "--json", capture, "--listen", "0", "-aec", "OTHER", "-aet", "ASKING") as (played, port):
        asked = run("echoscu", "--repeat", 3, "-aec", "OTHER", "-aet", "ASKING", LOOPBACK, port)
        out, err = played.communicate(timeout=SECONDS)
    assert asked.returncode == 0, asked.stderr
    assert played.returncode == 0, out + err
    names = [json.loads(line)["captured"] for line in out.splitlines()[:-1]]
    assert names == ["A-ASSOCIATE-RQ", *["C-ECHO-RQ"] * 3, "A-RELEASE-RQ", "the end of the connection"]


def test_our_own_server_and_the_titles_of_a_peer(command, serve):
    """PEER's AE title is the called one, and what is an implementation's own is told apart."""
    code, out, err = command("replay", "-v", CAPTURES / "echo__dcmtk-echoscu__dcmtk-dcmrecv.pcap", serve.address)
    assert code == 0, out + err
    assert "Implementation Class UID" in out
    assert "(each implementation has its own)" in out
    assert "no difference" in out
    assert f"called '{serve.address.ae_title}', calling 'SHR_SCU_006'" in err
    code, out, err = command(
        "replay", CAPTURES / "echo__dcmtk-echoscu__dcmtk-dcmrecv.pcap", serve.address, "--aec", "NOT"
    )
    assert code == 1
    assert "A-ASSOCIATE-RJ, captured: A-ASSOCIATE-AC" in out


def test_wrong_use_of_replay(command, tmp_path):
    capture = CAPTURES / "echo__dcmtk-echoscu__dcmtk-dcmrecv.pcap"
    text = tmp_path / "text"
    text.write_text("nothing of the kind")
    closed = f"{LOOPBACK}:{free_port()}"
    for arguments, code in (
        ((capture, closed), 69),
        ((capture, "no-such-host.invalid:104"), 68),
        ((tmp_path / "missing.pcap", closed), 66),
        ((text, closed), 65),
        ((capture,), 2),
        ((capture, closed, "--listen", "0"), 2),
        ((capture, closed, "--stream", "7"), 2),
        ((capture, closed, "--aec", "A TITLE THAT IS MUCH TOO LONG"), 78),
        ((CAPTURES / "tls__pynetdicom__dcmtk-storescp.pcap", closed), 69),
    ):
        found, _, said = command("replay", *arguments)
        assert found == code, (arguments, said)


def test_a_page_is_written_and_can_be_refused(command, tmp_path):
    capture = CAPTURES / "echo__dcmtk-echoscu__dcmtk-dcmrecv.pcap"
    page = tmp_path / "page.html"
    assert command("decode", capture, "--html", page) == (0, "", "")
    assert page.read_text().startswith("<!doctype html>")
    assert command("decode", capture, "--html", "-")[1] == page.read_text()
    assert command("decode", capture, "--html", tmp_path / "no" / "page.html")[0] == 78
    assert command("decode", capture, "--html", page, "--json")[0] == 2
