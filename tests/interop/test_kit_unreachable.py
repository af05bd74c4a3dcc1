"""What `dulcet conform scp` says of a product that can't be tested, and its exit codes: those of the other commands."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from dulcet.cli import run as dulcet
from dulcet.conformance.peers.address import LOOPBACK

SECONDS = 60
WRONG_CALLED_TITLE = bytes.fromhex("03 00 00000004 00 01 01 07")
WRONG_CALLING_TITLE = bytes.fromhex("03 00 00000004 00 01 01 03")
ABORT = bytes.fromhex("07 00 00000004 00 00 00 00")
CONGESTION = bytes.fromhex("03 00 00000004 00 02 03 01")
TLS_ALERT = bytes.fromhex("15 0303 0002 02 46")
Handle = Callable[[socket.socket], None]


def answering(octets: bytes) -> Handle:
    """Read something, say this, close in order."""

    def handle(stream: socket.socket) -> None:
        stream.recv(65536)
        if octets:
            stream.sendall(octets)
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(65536):
            pass

    return handle


def silent(stream: socket.socket) -> None:
    while stream.recv(65536):
        pass


@pytest.fixture
def serving() -> Iterator[Callable[[Handle], str]]:
    """Starts a server that does this with each connection; its address."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(listener: socket.socket, handle: Handle) -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            with stream:
                stream.settimeout(SECONDS)
                try:
                    handle(stream)
                except OSError:
                    continue

    def start(handle: Handle) -> str:
        listener = socket.create_server((LOOPBACK, 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=serve, args=(listener, handle)))
        threads[-1].start()
        return f"PACS@{LOOPBACK}:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(SECONDS)


@pytest.mark.parametrize(
    ("handle", "code", "sentences"),
    [
        (answering(WRONG_CALLED_TITLE), 77, ["called-AE-title-not-recognized", "Ask its administrator for its title"]),
        (answering(WRONG_CALLING_TITLE), 77, ["calling-AE-title-not-recognized", "Its administrator has to enter us"]),
        (answering(CONGESTION), 75, ["temporary-congestion", "try again"]),
        (answering(ABORT), 76, ["aborts the kit's association", "administrator"]),
        (answering(TLS_ALERT), 69, ["answers an A-ASSOCIATE-RQ with a TLS alert: it speaks TLS only, say --tls"]),
        (answering(b""), 69, ["CLOSE", "it may speak TLS only: --tls"]),
        (silent, 75, ["takes the connection and answers no A-ASSOCIATE-RQ"]),
    ],
    ids=["called", "calling", "congestion", "abort", "alert", "close", "silence"],
)
def test_a_product_that_makes_no_association(handle, code, sentences, serving, capsys):
    patience = ["--timeout", "0.2"] if handle is silent else []
    assert dulcet(["conform", "scp", serving(handle), *patience]) == code
    said = capsys.readouterr().err
    assert [sentence for sentence in sentences if sentence not in said] == []


@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["plain", "TLS"])
def test_a_port_that_is_closed(tls, capsys):
    with socket.socket() as taken:  # nobody else's, and nobody listens
        taken.bind((LOOPBACK, 0))
        assert dulcet(["conform", "scp", f"PACS@{LOOPBACK}:{taken.getsockname()[1]}", *tls]) == 69
    said = capsys.readouterr().err
    assert "refused the connection: nothing listens on that port, or a firewall refuses" in said
    assert "all attempts" not in said


@pytest.fixture
def certified(tmp_path: Path) -> ssl.SSLContext:
    """Of an authority whose certificate is in authority.pem."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def secured(context: ssl.SSLContext) -> Handle:
    """A handshake, and the end."""

    def handle(stream: socket.socket) -> None:
        with context.wrap_socket(stream, server_side=True) as secure:
            secure.recv(65536)

    return handle


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "unable to get local issuer certificate"),
        (["--tls-ca", "authority.pem", "--tls-name", "other"], "Hostname mismatch"),
    ],
    ids=["authority", "name"],
)
def test_a_certificate_that_is_not_accepted(options, reason, serving, certified, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert dulcet(["conform", "scp", serving(secured(certified)), "--tls", *options]) == 77
    said = capsys.readouterr().err
    assert "failed: its certificate was not accepted (" in said
    assert reason in said
    assert "_ssl.c" not in said
    assert "--tls-ca names the authority" in said


def test_tls_with_a_product_that_does_not_speak_it(serving, capsys):
    assert dulcet(["conform", "scp", serving(answering(b"")), "--tls"]) == 77
    assert "failed: the product closed the connection and sent no alert" in capsys.readouterr().err


def test_a_handshake_that_is_followed_by_the_end(serving, certified, tmp_path, capsys):
    """As of TLS 1.3 a client without the certificate that is wanted learns it after its own handshake."""
    authority = ["--tls-ca", str(tmp_path / "authority.pem"), "--tls-name", "localhost"]
    assert dulcet(["conform", "scp", serving(secured(certified)), "--tls", *authority]) == 69
    assert "it may want a certificate: --tls-cert" in capsys.readouterr().err
