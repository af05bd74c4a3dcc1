"""Octets over sockets and streams: all of them, in order, however little the kernel takes at a time."""

import errno
import socket
import ssl
import struct

import pytest
import trio

from dulcet.errors import PeerUnavailableError, UnknownHostError
from dulcet.services.transport import SocketTransport, StreamTransport, connect

PATIENCE = 60  # seconds of the real clock, for what happens at once


@pytest.fixture
def pair(descriptors):
    """Two ends of a connection; afterwards no descriptor is left that was not there before."""
    before = descriptors()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport = SocketTransport(ours, "192.0.2.1")
    yield transport, theirs
    ours.close()
    theirs.close()
    assert descriptors() == before


async def read_all(sock, count, piece=65536, pause=0.0):
    """`count` octets from the other end, a piece at a time."""
    octets = bytearray()
    while len(octets) < count:
        await trio.lowlevel.wait_readable(sock)
        octets += sock.recv(piece)
        await trio.sleep(pause)
    return bytes(octets)


# Sending ------------------------------------------------------------------------------------------------------------


class Reluctant:
    """A socket that takes few octets at a time and now and then none; it records what each sendmsg was given."""

    family = socket.AF_UNIX

    def __init__(self, sock, takes):
        self._sock = sock
        self._takes = takes
        self.calls = []

    def sendmsg(self, buffers):
        self.calls.append(len(buffers))
        take = self._takes[(len(self.calls) - 1) % len(self._takes)]
        if take == 0:
            raise BlockingIOError
        octets = b"".join(buffers)[:take]
        return self._sock.send(octets)

    def __getattr__(self, name):
        return getattr(self._sock, name)


@pytest.mark.parametrize("takes", [[1], [1, 0, 2], [0, 3], [7, 5, 0, 0, 1], [10_000]])
async def test_partial_writes_send_every_octet_once(takes, autojump_clock):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        reluctant = Reluctant(ours, takes)
        transport = SocketTransport(reluctant)
        buffers = [b"ab", b"", memoryview(b"cde"), b"", b"", b"f", bytes(range(50)), b""]
        await transport.send(buffers)
        assert await read_all(theirs, 56) == b"".join(buffers)


@pytest.mark.parametrize("count", [1, 1023, 1024, 1025, 5000])
async def test_more_buffers_than_one_call_takes(pair, count, autojump_clock):
    transport, theirs = pair
    buffers = [bytes((index % 251,)) * (index % 3) for index in range(count)]
    total = sum(map(len, buffers))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.send, buffers)
        received = await read_all(theirs, total)
    assert received == b"".join(buffers)


async def test_no_call_is_given_more_buffers_than_posix_allows(autojump_clock):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reluctant = Reluctant(ours, [1 << 20])
        await SocketTransport(reluctant).send([b"x"] * 3000)
        assert max(reluctant.calls) <= 1024
        assert theirs.recv(10_000) == b"x" * 3000


async def test_buffers_without_octets(pair, autojump_clock):
    transport, theirs = pair
    await transport.send([])
    await transport.send([b"", memoryview(b"")])
    await transport.send([b"x"])
    assert theirs.recv(10) == b"x"


async def test_a_peer_that_reads_slowly_gets_all(pair, autojump_clock):
    transport, theirs = pair
    octets = bytes(range(256)) * 8000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.send, [octets[:1_000_000], octets[1_000_000:]])
        assert await read_all(theirs, len(octets), piece=50_000, pause=1.0) == octets


async def test_what_is_left_of_a_write_that_does_not_wait(pair):
    transport, theirs = pair
    octets = memoryview(bytes(range(256)) * 8000)
    left = transport.send_now([octets[:1_000_000], octets[1_000_000:]])
    gone = 0
    while True:
        try:
            gone += len(theirs.recv(1 << 20))
        except BlockingIOError:
            break
    assert b"".join(left) == octets[gone:]
    assert 0 < gone < len(octets)
    assert left[0].obj is octets.obj  # no copy


async def test_cancelled_while_it_waits_to_write(pair, autojump_clock):
    transport, _ = pair
    with trio.move_on_after(5) as scope:
        await transport.send([bytes(10_000_000)])
    assert scope.cancelled_caught


@pytest.mark.parametrize("unread", [b"", b"unread"], ids=["closed", "reset"])
async def test_a_connection_that_is_gone_is_an_os_error(pair, unread, autojump_clock):
    transport, theirs = pair
    transport.send_now([unread])
    theirs.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await transport.send([b"x"])


# Receiving ----------------------------------------------------------------------------------------------------------


async def test_receives_into_the_buffer_what_is_there(pair, autojump_clock):
    transport, theirs = pair
    buffer = bytearray(10)
    assert transport.receive_now(memoryview(buffer)) is None
    assert transport.try_receive_into(memoryview(buffer)) == 0
    theirs.send(b"abc")
    assert transport.receive_now(memoryview(buffer)) == 3
    assert buffer[:3] == b"abc"
    theirs.send(b"de")
    assert await transport.receive_into(memoryview(buffer)[3:]) == 2
    theirs.send(b"f")
    assert transport.try_receive_into(memoryview(buffer)[5:]) == 1
    assert buffer == b"abcdef\0\0\0\0"


async def test_waits_for_the_first_octet(pair, nursery, autojump_clock):
    transport, theirs = pair

    async def later():
        await trio.sleep(3)
        theirs.send(b"x")

    nursery.start_soon(later)
    assert await transport.receive_into(memoryview(bytearray(10))) == 1
    assert trio.current_time() == 3


async def test_cancelled_it_loses_nothing(pair, autojump_clock):
    transport, theirs = pair
    buffer = memoryview(bytearray(10))
    for _ in range(3):
        with trio.move_on_after(1):
            await transport.receive_into(buffer)
        theirs.send(b"x")
        assert await transport.receive_into(buffer) == 1


async def test_the_end_is_zero(pair, autojump_clock):
    transport, theirs = pair
    theirs.send(b"x")
    theirs.shutdown(socket.SHUT_WR)
    buffer = memoryview(bytearray(10))
    assert await transport.receive_into(buffer) == 1
    for _ in range(2):
        assert await transport.receive_into(buffer) == 0
        assert transport.receive_now(buffer) == 0
    await transport.send([b"still"])
    assert theirs.recv(10) == b"still"


async def test_a_reset_is_an_os_error(pair, autojump_clock):
    transport, theirs = pair
    transport.send_now([b"unread"])
    theirs.close()
    with pytest.raises(ConnectionResetError):
        await transport.receive_into(memoryview(bytearray(10)))


# Closing ------------------------------------------------------------------------------------------------------------


async def test_closing_is_seen_at_once_and_may_be_repeated(pair, autojump_clock):
    transport, theirs = pair
    transport.close()
    transport.close()
    assert theirs.recv(10) == b""
    for use in (transport.send([b"x"]), transport.receive_into(memoryview(bytearray(1)))):
        with pytest.raises(OSError, match="Bad file descriptor"):
            await use
    assert transport.try_receive_into(memoryview(bytearray(1))) == 0


@pytest.mark.parametrize("what", ["read", "write"])
async def test_closed_by_another_task_while_one_waits(pair, nursery, what, autojump_clock):
    transport, _ = pair

    async def close():
        await trio.sleep(1)
        transport.close()

    nursery.start_soon(close)
    with pytest.raises(ConnectionResetError, match="it was closed"):
        await (transport.receive_into(memoryview(bytearray(1))) if what == "read" else transport.send([bytes(1 << 24)]))


# Streams ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stream_ends(streams):
    """(a transport over one end, the other end)."""
    ours, theirs = streams()
    return StreamTransport(ours, "192.0.2.1"), theirs


async def test_a_stream_carries_the_same(stream_ends, autojump_clock):
    transport, theirs = stream_ends
    buffers = [b"ab", memoryview(b"cd")]
    assert transport.send_now(buffers) is buffers
    await transport.send(buffers)
    assert await theirs.receive_some() == b"abcd"
    await theirs.send_all(b"xyz")
    buffer = bytearray(2)
    assert transport.receive_now(memoryview(buffer)) is None
    assert transport.try_receive_into(memoryview(buffer)) == 0
    assert await transport.receive_into(memoryview(buffer)) == 2
    assert await transport.receive_into(memoryview(buffer)) == 1
    assert buffer == b"zy"
    await theirs.send_eof()
    assert await transport.receive_into(memoryview(buffer)) == 0
    transport.close()
    transport.close()
    assert await theirs.receive_some() == b""


async def test_a_broken_stream_is_an_os_error(stream_ends, autojump_clock):
    transport, theirs = stream_ends
    theirs.close()
    with pytest.raises(ConnectionResetError):
        await transport.send([b"x"])
    transport.close()
    with pytest.raises(ConnectionResetError):
        await transport.receive_into(memoryview(bytearray(1)))
    with pytest.raises(ConnectionResetError):
        await transport.send([b"x"])


# Connecting ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def listening():
    """A socket that listens on loopback, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock, sock.getsockname()[1]


async def test_a_connection_by_tcp(listening, descriptors):
    sock, port = listening
    before = descriptors()
    with trio.fail_after(PATIENCE):
        transport = await connect("127.0.0.1", port)
    assert isinstance(transport, SocketTransport)
    assert transport.peer_address == "127.0.0.1"
    theirs, _ = sock.accept()
    with theirs:
        with trio.fail_after(PATIENCE):
            await transport.send([b"hello"])
        assert theirs.recv(10) == b"hello"
        ours = transport._socket
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        transport.close()
        assert theirs.recv(10) == b""
    assert await _settles_to(descriptors, before)


async def _settles_to(descriptors, before):
    for _ in range(100):
        if descriptors() <= before:
            return True
        await trio.lowlevel.checkpoint()
    return False


async def test_a_port_where_nothing_listens():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # so that nobody else does
        port = sock.getsockname()[1]
        with pytest.raises(PeerUnavailableError, match=f"127.0.0.1:{port} refused the connection"):
            await connect("127.0.0.1", port)


async def test_an_ipv6_address_stands_in_brackets():
    with pytest.raises(PeerUnavailableError, match=r"^\[::1\]:9 "):
        await connect("::1", 9)


@pytest.fixture
def reset_at_once(listening, monkeypatch):
    """The port of a peer that resets each connection as soon as it has taken it, before we do anything with it."""
    sock, port = listening
    connect_by_tcp = trio.open_tcp_stream

    async def connect_late(host, port):
        stream = await connect_by_tcp(host, port)
        theirs, _ = sock.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        await trio.lowlevel.wait_readable(stream.socket)  # the reset is here
        return stream

    monkeypatch.setattr(trio, "open_tcp_stream", connect_late)
    return port


@pytest.mark.parametrize("tls", [None, ssl.create_default_context()], ids=["plain", "TLS"])
async def test_a_peer_that_resets_what_it_has_taken_is_one_to_try_again(reset_at_once, descriptors, tls):
    before = descriptors()
    with (
        trio.fail_after(PATIENCE),
        pytest.raises(PeerUnavailableError, match="took the connection and closed it at once") as raised,
    ):
        await connect("127.0.0.1", reset_at_once, tls)
    assert raised.value.exit_code == 69
    assert descriptors() == before


@pytest.mark.parametrize("where", ["socket", "setsockopt"])
async def test_a_socket_that_can_not_be_set_up_leaves_no_descriptor(listening, descriptors, monkeypatch, where):
    """As on macOS, where every call on a connection that was reset is EINVAL."""

    class Gone(socket.socket):
        def setsockopt(self, *_arguments):
            raise OSError(errno.EINVAL, "Invalid argument")

    def no_socket(*_arguments, **_keywords):
        raise OSError(errno.EINVAL, "Invalid argument")

    before = descriptors()
    stream = await trio.open_tcp_stream("127.0.0.1", listening[1])

    async def connected(host, port):
        return stream

    monkeypatch.setattr(trio, "open_tcp_stream", connected)
    monkeypatch.setattr("dulcet.services.transport.socket.socket", Gone if where == "setsockopt" else no_socket)
    with pytest.raises(PeerUnavailableError, match=r"closed it at once.* \(Invalid argument\)"):
        await connect("127.0.0.1", listening[1])
    monkeypatch.undo()
    assert descriptors() == before


class NoNames(trio.abc.HostnameResolver):
    """No name has an address."""

    async def getaddrinfo(self, *arguments, **keywords):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *arguments):
        raise NotImplementedError


async def test_a_name_without_an_address():
    trio.socket.set_custom_hostname_resolver(NoNames())
    with pytest.raises(UnknownHostError, match=r"the name 'pacs.example' has no address \(Name or service not known\)"):
        await connect("pacs.example", 104)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "did not answer: wrong address, or a firewall drops"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "can't be reached: No route to host"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "refused the connection"),
        (OSError(errno.ECONNRESET, "Error connecting"), r"closed it at once.*\(Connection reset by peer\)"),
    ],
)
@pytest.mark.parametrize("addresses", [1, 2])
async def test_why_a_connection_was_not_made(monkeypatch, error, sentence, addresses):
    async def fail(host, port):
        failure = OSError("all attempts to connect failed")
        failure.__cause__ = ExceptionGroup("all attempts to connect failed", [error] * addresses)
        raise failure

    monkeypatch.setattr(trio, "open_tcp_stream", fail)
    with pytest.raises(PeerUnavailableError, match=sentence):
        await connect("192.0.2.1", 104)
