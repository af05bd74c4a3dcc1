"""HTTP for monitors: every request has an answer or an end, whatever it is, and none takes long."""

import re

import pytest
import trio
from trio.testing import memory_stream_pair

from dulcet.station.monitor.http_server import (
    LINGER_OCTETS,
    LINGER_SECONDS,
    MAX_REQUEST_OCTETS,
    Answer,
    HTTPServer,
)


async def page():
    return Answer(200, "text/plain; charset=utf-8", "grüezi\n")


async def failing():
    raise ZeroDivisionError


async def unwell():
    return Answer(503, "application/json", "{}\n")


SERVER = HTTPServer((), {"/metrics": page, "/broken": failing, "/healthz": unwell})


async def ask(*pieces, ends=False):
    """All that is answered to these octets; the clock is a mock."""
    ours, theirs = memory_stream_pair()
    received = bytearray()

    async def serve():
        await SERVER.converse(theirs)
        await theirs.aclose()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            for piece in pieces:
                await ours.send_all(piece)
            if ends:
                await ours.send_eof()
            async for octets in ours:
                received += octets
    return bytes(received)


def status_of(answer):
    return int(re.match(rb"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z ]+\r\n", answer)[1])


def body_of(answer):
    head, body = answer.split(b"\r\n\r\n", 1)
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert headers["Connection"] == "close"
    assert headers["Date"].endswith(" GMT")
    return headers, body


async def test_get(autojump_clock):
    headers, body = body_of(await ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", ends=True))
    assert body.decode() == "grüezi\n"
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_head_has_the_length_and_no_body(autojump_clock):
    headers, body = body_of(await ask(b"HEAD /metrics HTTP/1.1\r\n\r\n", ends=True))
    assert body == b""
    assert headers["Content-Length"] == "8"


async def test_in_single_octets(autojump_clock):
    request = b"GET /metrics?x=y HTTP/1.0\r\nA: b\r\n\r\n"
    assert status_of(await ask(*(request[at : at + 1] for at in range(len(request))), ends=True)) == 200


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /healthz HTTP/1.1", 503),
        (b"GET / HTTP/1.1", 404),
        (b"HEAD /x HTTP/1.1", 404),
        (b"GET /metrics/ HTTP/1.1", 404),
        (b"GET /../metrics HTTP/1.1", 404),
        (b"GET http://a/metrics HTTP/1.1", 404),
        (b"POST /metrics HTTP/1.1", 405),
        (b"DELETE /metrics HTTP/1.1", 405),
        (b"get /metrics HTTP/1.1", 405),
        (b"GET /metrics HTTP/2.0", 505),
        (b"GET /metrics HTTP/1.2", 505),
        (b"GET /metrics", 400),
        (b"GET  /metrics HTTP/1.1", 400),
        (b"GET /metrics HTTP/1.1 x", 400),
        (b"", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"\x01\x00\x00\x00\x00\xcd\x00\x01", 400),
        (b"G\xffT /metrics HTTP/1.1", 400),
        (b"GET /\xff\xfe HTTP/1.1", 404),
        (b"GET /broken HTTP/1.1", 500),
    ],
)
async def test_each_request_has_its_answer(request_line, status, autojump_clock):
    answer = await ask(request_line + b"\r\n\r\n", ends=True)
    assert status_of(answer) == status
    headers, body = body_of(answer)
    assert (status == 405) == ("Allow" in headers)
    assert body.endswith(b"\n") or request_line.startswith(b"HEAD")


async def test_the_longest_request_and_one_octet_more(autojump_clock):
    start = b"GET /metrics HTTP/1.1\r\nA: "
    longest = start + b"x" * (MAX_REQUEST_OCTETS - len(start))
    assert status_of(await ask(longest + b"\r\n\r\n", ends=True)) == 200
    assert status_of(await ask(longest + b"x\r\n\r\n", ends=True)) == 431
    assert status_of(await ask(b"x" * (MAX_REQUEST_OCTETS + 1), ends=True)) == 431


async def test_of_pipelined_requests_the_first_is_answered(autojump_clock):
    answer = await ask(b"GET /metrics HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n" * 3, ends=True)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_of(answer) == 200


@pytest.mark.parametrize("octets", [b"", b"GET", b"GET /metrics HTTP/1.1\r\n", b"\r\n", b"GET /metrics HTTP/1.1\n\n"])
async def test_who_leaves_in_the_middle_is_not_answered(octets, autojump_clock):
    assert await ask(octets, ends=True) == b""


async def test_who_sends_on_after_the_answer_is_read_for_a_while_and_no_longer(autojump_clock):
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def send_on():
            await ours.send_all(b"GET /metrics HTTP/1.1\r\n\r\n")
            while True:
                await ours.send_all(bytes(1000))
                await trio.sleep(0.001)

        nursery.start_soon(send_on)
        started = trio.current_time()
        await SERVER.converse(theirs)
        assert trio.current_time() - started <= LINGER_SECONDS
        assert trio.current_time() - started < 0.001 * (LINGER_OCTETS / 1000 + 10)
        nursery.cancel_scope.cancel()


async def test_who_stays_silent_after_the_answer_is_waited_for_no_longer_than_that(autojump_clock):
    started = trio.current_time()
    assert status_of(await ask(b"GET /metrics HTTP/1.1\r\n\r\n")) == 200
    assert trio.current_time() - started == pytest.approx(LINGER_SECONDS)
