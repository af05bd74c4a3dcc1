"""A port that speaks TLS, and peers that don't, or stop in the middle of it; objects cut off without close_notify."""

import os
import ssl

import pytest
import trio
import trustme
from hostile_kit import ACCEPTED, LOOPBACK, PATIENCE, REQUEST, Peer, echo, image, named, serving, store

from dulcet.conformance.kit.stimuli import RELEASE_RQ

HANDSHAKE = 4.0  # seconds; no other timer is so short
CLIENT_HELLO = bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An authority, the server's certificate and a client's; another authority's client."""
    directory = tmp_path_factory.mktemp("certificates")
    for name, titles in (("ours", ["localhost", LOOPBACK, "client.example"]), ("theirs", ["client.example"])):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(directory / f"{name}.ca"))
        for title in titles:
            authority.issue_cert(title).private_key_and_cert_chain_pem.write_to_path(str(directory / f"{name}-{title}"))
    return directory


@pytest.fixture(scope="module")
def server(files):
    tls = ("--tls-cert", files / f"ours-{LOOPBACK}", "--tls-ca", files / "ours.ca", "--max-per-address", "100")
    with serving(*map(str, tls), limits={"tls_handshake": HANDSHAKE}) as server:
        server.settle()
        yield server


def client(files, certificate):
    context = ssl.create_default_context(cafile=files / "ours.ca")
    if certificate is not None:
        context.load_cert_chain(files / certificate)
    return context


async def secured(server, files, certificate="ours-client.example"):
    """A connection with TLS."""
    peer = await server.connect()
    stream = trio.SSLStream(peer.stream, client(files, certificate), server_hostname=LOOPBACK, https_compatible=True)
    await stream.do_handshake()
    return Peer(stream)


async def good_echo(server, files):
    peer = await secured(server, files)
    await peer.send(REQUEST.encode() + echo() + RELEASE_RQ)
    await peer.hear(3)
    assert peer.answers == [ACCEPTED, "C-ECHO-RSP(0000H)", "A-RELEASE-RP"]
    await trio.aclose_forcefully(peer.stream.transport_stream)


PLAIN = {
    "silence": b"",
    "an A-ASSOCIATE-RQ without TLS": REQUEST.encode(),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "half a ClientHello": CLIENT_HELLO + bytes(100),
    "a ClientHello of zeros": CLIENT_HELLO + bytes(505),
    "random octets": b"\xa5" + os.urandom(3000),
    "an alert": bytes.fromhex("15 03 03 00 02 02 28"),
    "a record of 16 MiB": bytes.fromhex("16 03 03 ff ff") + bytes(70_000),
}


async def dribble(server):
    """A ClientHello octet by octet."""
    peer = await server.connect()
    for octet in CLIENT_HELLO + bytes(505):
        if not await peer.send(bytes([octet])):
            return
        await trio.sleep(0.1)


def test_what_is_no_handshake_is_closed_in_time_and_others_are_served(server, files):
    async def play():
        peers = {name: await server.connect() for name in PLAIN}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dribble, server)
            for name, peer in peers.items():
                await peer.send(PLAIN[name])
            await good_echo(server, files)
            with trio.fail_after(PATIENCE):
                for peer in peers.values():
                    while not peer.closed_at:
                        octets = await _receive(peer)
                        assert octets[:1] in (b"", b"\x15"), "nothing but a TLS alert is said"

    with server.comes_back_to_rest():
        trio.run(play)
        server.hang_up()


async def _receive(peer):
    try:
        octets = await peer.stream.receive_some(4096)
    except trio.BrokenResourceError:
        octets = b""
    if not octets:
        peer.closed_at = trio.current_time()
    return octets


@pytest.mark.parametrize("certificate", [None, "theirs-client.example"])
def test_a_client_without_a_certificate_of_ours_says_nothing(server, files, certificate):
    async def play():
        """In TLS 1.3 the refusal comes after the client's handshake: as an alert, or as a reset that overtook it."""
        peer = await secured(server, files, certificate)
        await peer.send(REQUEST.encode())
        await peer.hear()
        assert peer.answers == ["closed"]

    before = server.running.log.read_text().count("association.established")
    with server.comes_back_to_rest():
        trio.run(play)
        server.hang_up()
    assert server.running.log.read_text().count("association.established") == before


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_object_that_is_cut_off_without_close_notify_is_not_stored(server, files, share):
    """The end of the connection is never the end of a message."""
    name = named(f"cut off {share}")
    octets = store(name, image(name, bytes(50_000)))

    async def play():
        peer = await secured(server, files)
        await peer.send(REQUEST.encode())
        await peer.hear(1)
        await peer.send(octets[: int(len(octets) * share)])
        await server.until_received(1)
        await trio.aclose_forcefully(peer.stream.transport_stream)

    with server.comes_back_to_rest():
        trio.run(play)
        server.hang_up()
    assert server.stored() == {}


def test_three_hundred_handshakes_that_are_not_finished(server, files):
    async def play():
        peers = [await server.connect("127.0.0.2") for _ in range(300)]
        for peer in peers:
            await peer.send(CLIENT_HELLO)
        await good_echo(server, files)

    with server.comes_back_to_rest():
        trio.run(play)
        server.hang_up()
