"""TLS on both sides: what is accepted, what is refused, and what each side is told (PS3.15 B.12)."""

import datetime
import socket
import ssl
import warnings
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trustme
from cryptography import x509

from dulcet.dimse.messages import CEchoRQ, CStoreRQ
from dulcet.dimse.status import SUCCESS
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import ConfigurationError, ConnectionLostError, PeerProtocolError, TLSError
from dulcet.services.acceptor import ECHO, Acceptor, Observers
from dulcet.services.admission import Admission
from dulcet.services.data_sets import BytesSource
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.limits import Limits
from dulcet.services.listener import Listener, bind
from dulcet.services.requestor import Peer, associate
from dulcet.services.store import store as send_object
from dulcet.services.tls import client_context, server_context
from dulcet.services.transport import accepted_tls_failure, tls_failure
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Supported
from dulcet.ul.pdu import AAbort

NAME = "pacs.example"
CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
PATIENCE = 60  # seconds of the real clock, for a handshake that takes milliseconds
CONTEXTS = (VERIFICATION_CONTEXT, PresentationContextRQ.propose(3, CT, (IMPLICIT,)))


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Certificates as files: by name the pair (certificate with key, authority)."""
    folder = tmp_path_factory.mktemp("tls")
    ours, others = trustme.CA(), trustme.CA()
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = {
        "server": ours.issue_cert(NAME, common_name=NAME),
        "client": ours.issue_cert("workstation.example"),
        "stranger": others.issue_cert("workstation.example"),
        "wrong-name": ours.issue_cert("other.example"),
        "expired": ours.issue_cert(NAME, not_before=now - 9 * day, not_after=now - day),
        "early": ours.issue_cert(NAME, not_before=now + day, not_after=now + 9 * day),
        "foreign": others.issue_cert(NAME),
    }
    for name, certificate in made.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    ours.cert_pem.write_to_path(folder / "ca.pem")
    others.cert_pem.write_to_path(folder / "other-ca.pem")
    return lambda name: folder / f"{name}.pem"


class Log(list):
    """What somebody was told; `first` waits until there is something."""

    def __init__(self):
        super().__init__()
        self._is_there = trio.Event()

    def add(self, value):
        self.append(value)
        self._is_there.set()

    async def first(self):
        await self._is_there.wait()
        return self[0]


@pytest.fixture
def secured(nursery, store, descriptors):
    """Serves on loopback with this context (None: no TLS): (how to call it, what the server was told)."""

    @asynccontextmanager
    async def serve(context, **limits):
        before = descriptors()
        told, ended = Log(), Log()
        acceptor = Acceptor(
            admission=Admission(ae_title="DULCET"),
            supported=Supported(
                transfer_syntaxes={VERIFICATION: {IMPLICIT}, CT: {IMPLICIT}}, max_pdu_length=128 * 1024
            ),
            operations={CEchoRQ: ECHO, CStoreRQ: store.operation},
            limits=Limits(**limits),
            observers=Observers(ended=lambda association, error: ended.add(error)),
        )
        sockets = bind("127.0.0.1", 0, backlog=10)
        listener = Listener(sockets, acceptor, tls=context, failed_handshake=lambda *values: told.add(values))
        port = listener.addresses[0][1]
        over = trio.Event()

        async def run():
            await listener.serve()
            over.set()

        nursery.start_soon(run)
        with trio.fail_after(PATIENCE):
            yield Peer(host="127.0.0.1", port=port, ae_title="DULCET", server_name=NAME), told, ended
            listener.stop()
            await over.wait()
        assert descriptors() == before

    return serve


def calling(peer, context):
    return Peer(host=peer.host, port=peer.port, ae_title=peer.ae_title, tls=context, server_name=peer.server_name)


async def refused(peer, context, told):
    """The error that a call ends with; the server has been told something too."""
    with pytest.raises(TLSError) as caught:
        async with associate(calling(peer, context), CONTEXTS):
            raise AssertionError("there is no association")
    await told.first()
    return str(caught.value)


def certificate_end(path):
    return x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc


# What is accepted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_mutual", [True, False], ids=["mutual", "anonymous"])
async def test_a_conversation(secured, files, store, is_mutual):
    server = server_context(cert=files("server"), ca=files("ca") if is_mutual else None)
    client = client_context(ca=files("ca"), cert=files("client") if is_mutual else None)
    data_set = bytes(range(256)) * 12_000
    async with secured(server) as (peer, told, ended):
        async with associate(calling(peer, client), CONTEXTS) as association:
            assert (await echo(association)).status == SUCCESS
            stored = await send_object(
                association, 3, sop_class_uid=CT, sop_instance_uid="2.25.7", data_set=BytesSource(data_set)
            )
            assert stored.status == SUCCESS
            assert association.transport.peer_address == "127.0.0.1"
            session = association.transport.tls_session()
            assert (session.version, session.names) == ("TLSv1.3", (NAME,))
            assert f"commonName={NAME}" in session.subject
            assert session.valid_until == certificate_end(files("server"))
        await ended.first()
    assert bytes(store.sinks[0].octets) == data_set
    assert (told, ended) == ([], [None])


@pytest.mark.parametrize("side", ["server", "client"])
async def test_tls_1_2_is_enough(secured, files, side):
    server, client = server_context(cert=files("server")), client_context(ca=files("ca"))
    (server if side == "server" else client).maximum_version = ssl.TLSVersion.TLSv1_2
    async with secured(server) as (peer, _, _), associate(calling(peer, client), CONTEXTS) as association:
        assert association.transport._stream.version() == "TLSv1.2"
        assert "GCM" in association.transport._stream.cipher()[0]


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        ("foreign", "unable to get local issuer certificate"),
        ("wrong-name", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("early", "certificate is not yet valid"),
    ],
)
async def test_a_servers_certificate_that_is_no_good(secured, files, certificate, why):
    async with secured(server_context(cert=files(certificate))) as (peer, told, _):
        said = await refused(peer, client_context(ca=files("ca")), told)
    assert said.startswith(f"TLS with 127.0.0.1:{peer.port} failed: its certificate was not accepted ({why}")
    assert [address for address, _ in told] == ["127.0.0.1"]


@pytest.mark.parametrize("certificate", [None, "stranger"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_clients_certificate_that_is_no_good(secured, files, certificate, version):
    """By TLS 1.3 the client is done before the server has looked at its certificate."""
    client = client_context(ca=files("ca"), cert=None if certificate is None else files(certificate))
    client.maximum_version = version
    async with secured(server_context(cert=files("server"), ca=files("ca"))) as (peer, told, ended):
        said = await refused(peer, client, told)
    assert "certificate" in said or "unknown ca" in said
    ((address, reason),) = told
    assert address == "127.0.0.1"
    assert "certificate" in reason
    assert ended == []


def weakened(context, maximum, ciphers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = maximum
    context.set_ciphers(ciphers)
    return context


WEAK = [
    pytest.param(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", id="TLS 1.1"),
    pytest.param(ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0", id="TLS 1.0"),
    pytest.param(ssl.TLSVersion.TLSv1_2, "kRSA+AES:@SECLEVEL=0", id="RSA key exchange"),
    pytest.param(ssl.TLSVersion.TLSv1_2, "eNULL:@SECLEVEL=0", id="no encryption"),
    pytest.param(ssl.TLSVersion.TLSv1_2, "aNULL:@SECLEVEL=0", id="no authentication"),
    pytest.param(ssl.TLSVersion.TLSv1_2, "ECDHE+AES:!AESGCM:!AESCCM:@SECLEVEL=0", id="CBC"),
]


@pytest.mark.parametrize(("maximum", "ciphers"), WEAK)
async def test_a_server_refuses_what_is_weak(secured, files, maximum, ciphers):
    client = weakened(client_context(ca=files("ca")), maximum, ciphers)
    async with secured(server_context(cert=files("server"))) as (peer, told, ended):
        await refused(peer, client, told)
    assert ended == []


@pytest.mark.parametrize(("maximum", "ciphers"), WEAK)
async def test_a_client_refuses_what_is_weak(secured, files, maximum, ciphers):
    server = weakened(server_context(cert=files("server")), maximum, ciphers)
    async with secured(server) as (peer, told, ended):
        await refused(peer, client_context(ca=files("ca")), told)
    assert ended == []


# Who speaks TLS and who does not ------------------------------------------------------------------------------------


async def test_a_call_without_tls_to_a_port_with_tls(secured, files):
    async with secured(server_context(cert=files("server"))) as (peer, told, ended):
        with pytest.raises((ConnectionLostError, PeerProtocolError)):  # a TLS alert, if it gets through, is no PDU
            async with associate(calling(peer, None), CONTEXTS):
                raise AssertionError("there is no association")
    assert told == [("127.0.0.1", "it does not speak TLS (wrong version number)")]
    assert ended == []


async def test_a_call_with_tls_to_a_port_without_tls(secured, files):
    async with secured(None) as (peer, told, ended):
        with pytest.raises(TLSError, match=r"failed: it does not speak TLS \(wrong version number\)"):
            async with associate(calling(peer, client_context(ca=files("ca"))), CONTEXTS):
                raise AssertionError("there is no association")
        await ended.first()
    assert told == []
    assert isinstance(ended[0], PeerProtocolError)


async def test_a_call_with_tls_to_who_hangs_up(files):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        peer = Peer(host="127.0.0.1", port=sock.getsockname()[1], ae_title="X", tls=client_context(ca=files("ca")))

        async def hang_up():
            await trio.lowlevel.wait_readable(sock)
            sock.accept()[0].close()

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hang_up)
                with pytest.raises(TLSError, match="most often it does not speak TLS, or wants a client certificate"):
                    async with associate(peer, CONTEXTS):
                        raise AssertionError("there is no association")


async def test_the_end_without_close_notify_is_the_end(secured, files):
    client = client_context(ca=files("ca"))
    async with secured(server_context(cert=files("server"))) as (peer, _, ended):
        with pytest.raises(ConnectionLostError):
            async with associate(calling(peer, client), CONTEXTS) as association:
                association.transport.close()
        assert str(await ended.first()) == "the connection was lost"


async def test_an_abort_goes_through_tls(secured, files):
    client = client_context(ca=files("ca"))
    async with secured(server_context(cert=files("server"))) as (peer, _, ended):
        with pytest.raises(ZeroDivisionError):
            async with associate(calling(peer, client), CONTEXTS, leaving=PATIENCE):
                raise ZeroDivisionError
        await ended.first()
    assert "service-user" in str(ended[0])


# A handshake that does not come to an end ---------------------------------------------------------------------------


@pytest.fixture
def unfinished(files, raw_peer, octets):
    """(a listener with TLS, the socket of a peer that is connected to it, what the listener was told)."""

    async def make(nursery, **limits):
        told = []
        acceptor = Acceptor(
            admission=Admission(ae_title="DULCET"),
            supported=Supported(transfer_syntaxes={}, max_pdu_length=16384),
            operations={},
            limits=Limits(**limits),
        )
        listener = Listener(
            [], acceptor, tls=server_context(cert=files("server")), failed_handshake=lambda *v: told.append(v)
        )
        ours, theirs = socket.socketpair()
        nursery.start_soon(listener._serve, ours, "192.0.2.1")
        await trio.testing.wait_all_tasks_blocked()
        return listener, raw_peer(trio.SocketStream(trio.socket.from_stdlib_socket(theirs))), told

    return make


@pytest.mark.parametrize("how", ["silent", "an octet now and then"])
async def test_a_handshake_has_its_time(unfinished, nursery, descriptors, how, autojump_clock):
    before = descriptors()
    listener, peer, told = await unfinished(nursery, tls_handshake=10.0)
    start = trio.current_time()

    async def dribble():
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await one_by_one()

    async def one_by_one():
        for octet in bytes.fromhex("16030100f8010000f40303") + bytes(240):
            await peer.send(bytes((octet,)))
            await trio.sleep(4)  # not at the very moment of the end

    async with trio.open_nursery() as inner:
        if how != "silent":
            inner.start_soon(dribble)
        assert await peer.rest() == b""
        assert trio.current_time() == start + 10.0
        inner.cancel_scope.cancel()
    assert told == [("192.0.2.1", "no TLS handshake in time")]
    assert listener._unassociated == {}
    peer.close()
    assert descriptors() == before


async def test_a_handshake_in_progress_makes_room(unfinished, nursery, autojump_clock):
    listener, peer, told = await unfinished(nursery, max_unassociated=1)
    ours, theirs = socket.socketpair()
    with theirs:
        nursery.start_soon(listener._serve, ours, "192.0.2.2")
        assert await peer.rest() == b""
        assert told == []
        listener.stop()
    peer.close()


async def test_no_tls_at_all(unfinished, nursery, autojump_clock):
    _, peer, told = await unfinished(nursery)
    await peer.send(AAbort())
    await peer.rest()
    assert len(told) == 1
    peer.close()


# Settings -----------------------------------------------------------------------------------------------------------


def test_files_that_are_no_good(files, tmp_path):
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"the certificate .*nothing.pem or its key .* is not there"):
        server_context(cert=tmp_path / "nothing.pem")
    with pytest.raises(ConfigurationError, match="can't be used with the key"):
        server_context(cert=tmp_path / "text.pem")
    with pytest.raises(ConfigurationError, match="can't be used with the key"):
        client_context(ca=files("ca"), cert=files("client"), key=files("server"))
    for authorities in (tmp_path / "nothing.pem", tmp_path / "text.pem"):
        with pytest.raises(ConfigurationError, match=r"the certificate authorities in .* can't be used"):
            server_context(cert=files("server"), ca=authorities)
        with pytest.raises(ConfigurationError, match=r"the certificate authorities in .* can't be used"):
            client_context(ca=authorities)


def test_what_the_profile_asks_for(files, tmp_path):
    for context in (
        server_context(cert=files("server"), ca=files("ca")),
        client_context(),
        client_context(ca=tmp_path),
    ):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION
        names = [cipher["name"] for cipher in context.get_ciphers()]
        assert names
        assert [name for name in names if "GCM" not in name and "CHACHA20" not in name] == []
    assert client_context().check_hostname
    assert server_context(cert=files("server")).verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ConnectionResetError(), "the peer closed the connection; most often it does not speak TLS"),
        (None, "the peer closed the connection; most often it does not speak TLS"),
    ],
)
def test_what_went_wrong_in_words(cause, words):
    error = trio.BrokenResourceError()
    error.__cause__ = cause
    assert words in tls_failure(error)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (None, "it closed the connection during the handshake; most often it does not accept our certificate"),
        (ssl.SSLEOFError(8, "EOF"), "it closed the connection during the handshake; most often it does not"),
    ],
)
def test_what_went_wrong_with_who_called_in_words(cause, words):
    """The same end of a connection means something else on the other side: it is our certificate that was looked at."""
    error = trio.BrokenResourceError()
    error.__cause__ = cause
    assert words in accepted_tls_failure(error)


async def test_a_caller_that_distrusts_our_certificate_says_so(secured, files):
    async with secured(server_context(cert=files("server"))) as (peer, told, _):
        with pytest.raises(TLSError, match="its certificate was not accepted"):
            async with associate(calling(peer, client_context(ca=files("server"))), CONTEXTS):
                raise AssertionError("there is no association")
        with trio.fail_after(PATIENCE):
            address, reason = await told.first()
    assert address == "127.0.0.1"
    assert "does not accept our certificate" in reason
