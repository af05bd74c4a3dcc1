"""The HTTP port of a server, with hostile connections to it: monitors are served, and associations even more so."""

import http.client
import socket
from contextlib import suppress

import pytest
import trio
from hostile_kit import LOOPBACK, PATIENCE, RESET, free_port, serving

from dulcet.station.monitor.http_server import MAX_CONNECTIONS, MAX_REQUEST_OCTETS, REQUEST_SECONDS

SCRAPE_SECONDS = 5.0  # a monitor's own patience is ten

NEVER_ENDS = b"GET /metrics HTTP/1.1\r\nX: "
TALK = {
    "nothing": b"",
    "one octet": b"G",
    "never ends": NEVER_ENDS,
    "an A-ASSOCIATE-RQ": bytes.fromhex("0100000000cd0001"),
    "TLS": bytes.fromhex("160301020001000001fc0303"),
    "oversized": NEVER_ENDS + b"x" * (10 * MAX_REQUEST_OCTETS),
    "pipelined": b"GET /metrics HTTP/1.1\r\n\r\n" * 1000,
    "a body that nobody wants": b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + bytes(1 << 20),
}


@pytest.fixture(scope="module")
def monitored():
    port = free_port()
    with serving("--http", str(port)) as server:
        server.http_port = port
        scrape(port)
        trio.run(server.echo)
        server.settle()
        yield server


def scrape(port):
    """As a monitor does."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=SCRAPE_SECONDS)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        return response.read()
    finally:
        connection.close()


def connection(port, octets):
    """A connection that says something and stays open."""
    sock = socket.create_connection((LOOPBACK, port))
    sock.settimeout(PATIENCE)
    with suppress(OSError):  # the server has heard enough
        sock.sendall(octets)
    return sock


def heard(sock):
    """All that comes until the end."""
    octets = b""
    with suppress(ConnectionResetError):
        while piece := sock.recv(1 << 16):
            octets += piece
    return octets


@pytest.mark.parametrize("name", TALK)
def test_a_monitor_is_served_beside_as_many_as_like(name, monitored):
    """More of them than there may be: the oldest make room, answered or not."""
    with monitored.comes_back_to_rest():
        others = [connection(monitored.http_port, TALK[name]) for _ in range(2 * MAX_CONNECTIONS)]
        assert b"dulcet_associations_open" in scrape(monitored.http_port)
        trio.run(monitored.serves_others)
        said = [heard(sock) for sock in others[:MAX_CONNECTIONS]]
        for sock in others:
            sock.close()
    answers = [octets.split(b"\r\n")[0] for octets in said if octets]
    expected = {
        "oversized": b"HTTP/1.1 431 Request Header Fields Too Large",
        "pipelined": b"HTTP/1.1 200 OK",
        "a body that nobody wants": b"HTTP/1.1 405 Method Not Allowed",
    }
    assert set(answers) <= {expected.get(name)}
    assert all(octets.count(b"HTTP/1.1") <= 1 for octets in said)


def test_in_drops_and_resets(monitored):
    with monitored.comes_back_to_rest():
        for number in range(200):
            with connection(monitored.http_port, NEVER_ENDS[: number % len(NEVER_ENDS)]) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        assert scrape(monitored.http_port)


async def test_who_drips_has_its_end_in_time(monitored):
    """What drips in does not restart the clock, or there would be no end."""
    stream = await trio.open_tcp_stream(LOOPBACK, monitored.http_port)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def drip():
                with suppress(trio.BrokenResourceError):  # it has been closed
                    while True:
                        await stream.send_all(b"x")
                        await trio.sleep(0.1)

            nursery.start_soon(drip)
            with suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
            nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(stream)


async def test_a_server_that_ends_does_not_wait_for_a_monitor():
    port = free_port()
    with serving("--http", str(port)) as server, connection(port, NEVER_ENDS) as sock:
        started = trio.current_time()
        server.signal()
        assert await server.exit_code() == 0
        assert trio.current_time() - started < REQUEST_SECONDS
        assert heard(sock) == b""


async def test_without_descriptors_it_goes_on_when_there_are_some_again():
    port = free_port()
    with serving("--http", str(port), descriptors=40) as server:
        others = [connection(server.port, b"") for _ in range(40)]
        with connection(port, b"GET /healthz HTTP/1.1\r\n\r\n") as waiting:
            for sock in others:
                sock.close()
            assert b"200 OK" in heard(waiting)
        assert scrape(port)
