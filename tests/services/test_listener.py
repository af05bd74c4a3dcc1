"""The listener: how many connections and from whom, whatever they do; and that it goes on."""

import errno
import gc
import socket
import weakref

import pytest
import trio

from dulcet.dimse.messages import CEchoRQ, CFindRQ, CStoreRQ
from dulcet.dimse.status import SUCCESS
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import ConfigurationError, PeerTimeoutError
from dulcet.services import acceptor as acceptor_module
from dulcet.services.acceptor import ECHO, Acceptor, Observers, Operation
from dulcet.services.admission import Admission
from dulcet.services.association import Association
from dulcet.services.limits import Limits
from dulcet.services.listener import ACCEPT_PAUSE, Listener, bind
from dulcet.ul.negotiation import Supported
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AETitle, AReleaseRP, AReleaseRQ

IMPLICIT = "1.2.840.10008.1.2"
LOCAL_LIMIT = AAssociateRJ(result=2, source=3, reason=2)
CONGESTION = AAssociateRJ(result=2, source=3, reason=1)


class ListeningSocket:
    """Connections come when a test says so, from what address it says."""

    def __init__(self):
        self._ours, self._theirs = socket.socketpair()
        self._pending = []

    def connect(self, address):
        """Our end of a new connection; or an error of accept(2) comes."""
        self._theirs.send(b"!")
        if isinstance(address, OSError):
            self._pending.append(address)
            return None
        one, other = socket.socketpair()
        self._pending.append((one, (address, 40000)))
        return other

    def accept(self):
        self._ours.recv(1)
        first = self._pending.pop(0)
        if isinstance(first, OSError):
            raise first
        return first

    def fileno(self):
        return self._ours.fileno()

    def getsockname(self):
        return ("192.0.2.100", 11112)

    def close(self):
        self._ours.close()
        self._theirs.close()
        while self._pending:
            connection = self._pending.pop()
            if not isinstance(connection, OSError):
                connection[0].close()


class Listening:
    """A listener, who it told what, and peers that connect to it."""

    def __init__(self, raw_peer, octets, limits, operations=None):
        self.raw_peer = raw_peer
        self.octets = octets
        self.socket = ListeningSocket()
        self.rejected = []
        self.ended = []
        self.peers = []
        acceptor = Acceptor(
            admission=Admission(ae_title="DULCET", allow_any=True),
            supported=Supported(transfer_syntaxes={VERIFICATION: {IMPLICIT}}, max_pdu_length=16384),
            operations=operations or {CEchoRQ: ECHO},
            limits=limits,
            observers=Observers(
                rejected=lambda request, rejection, address: self.rejected.append((address, rejection)),
                ended=lambda association, error: self.ended.append(error),
            ),
        )
        self.listener = Listener([self.socket], acceptor)
        self.over = trio.Event()

    async def serve(self):
        await self.listener.serve()
        self.over.set()

    def connect(self, address="192.0.2.1"):
        """A peer; one without an address is an error of accept(2)."""
        sock = self.socket.connect(address)
        if sock is None:
            return None
        self.peers.append(self.raw_peer(trio.SocketStream(trio.socket.from_stdlib_socket(sock))))
        return self.peers[-1]

    async def request(self, address="192.0.2.1", **changed):
        """(a peer that asked for an association, the answer)."""
        peer = self.connect(address)
        await peer.send(self.octets.request(**changed))
        return peer, await peer.pdu()

    async def echo(self, address="192.0.2.1"):
        """A whole good conversation."""
        peer, answer = await self.request(address)
        assert isinstance(answer, AAssociateAC), answer
        await peer.send(self.octets.echo())
        assert (await peer.message()).status == SUCCESS
        await peer.send(AReleaseRQ())
        assert await peer.pdu() == AReleaseRP()
        peer.close()
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
async def listening(nursery, raw_peer, octets, descriptors):
    """Makes a listener with these limits; afterwards all is as it was: descriptors and tasks."""
    made = []

    async def make(operations=None, **limits):
        await trio.testing.wait_all_tasks_blocked()
        before = descriptors(), len(nursery.child_tasks)
        one = Listening(raw_peer, octets, Limits(**limits), operations)
        made.append((one, *before))
        nursery.start_soon(one.serve)
        return one

    yield make
    for one, open_descriptors, tasks in made:
        one.listener.stop()
        for peer in one.peers:
            peer.close()
        await one.over.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert one.listener.associations == 0
        assert one.listener._unassociated == {}
        assert (descriptors(), len(nursery.child_tasks)) == (open_descriptors, tasks)


async def is_open(peer):
    """Whether the other end still holds the connection: nothing came and it was not closed."""
    with trio.move_on_after(0.01):
        return bool(await peer.stream.receive_some())
    return True


async def test_conversations_one_after_the_other_and_beside_each_other(listening, autojump_clock):
    one = await listening()
    assert one.listener.addresses == [("192.0.2.100", 11112)]
    for _ in range(3):
        await one.echo()
    peer, _ = await one.request()
    assert one.listener.associations == 1
    await one.echo("192.0.2.2")
    await peer.send(one.octets.echo())
    assert (await peer.message()).status == SUCCESS
    assert one.ended == [None] * 4


@pytest.mark.parametrize("how", ["released", "aborted", "lost", "no DICOM", "rejected"])
async def test_an_association_that_has_ended_is_gone_at_once(listening, monkeypatch, autojump_clock, how):
    """Nothing refers to it in a circle: its buffers would stay until the collector comes by, which may be never."""
    living = weakref.WeakSet()

    class Counted(Association):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            living.add(self)

    monkeypatch.setattr(acceptor_module, "Association", Counted)
    one = await listening()
    gc.disable()
    try:
        if how == "released":
            await one.echo()
        else:
            peer = one.connect()
            called = AETitle("NOBODY" if how == "rejected" else "DULCET")
            request = one.octets.request(called_ae_title=called) if how != "no DICOM" else b"GET / HTTP/1.1\r\n"
            await peer.send(request)
            await peer.pdu()
            assert len(living) == 1
            if how == "aborted":
                await peer.send(AAbort(source=0, reason=0))
            peer.close()
            await trio.testing.wait_all_tasks_blocked()
        assert len(one.ended) == 1
        one.ended.clear()  # an error refers to where it was raised
        assert len(living) == 0
    finally:
        gc.enable()


async def test_a_connection_that_can_not_be_set_up_is_lost_alone(listening, monkeypatch, autojump_clock):
    """macOS refuses every setting of a connection that its peer has reset before we accepted it."""
    one = await listening()
    there, answer = await one.request()
    assert isinstance(answer, AAssociateAC)
    with monkeypatch.context() as patch:

        def reset_already(*_arguments):
            raise OSError(errno.EINVAL, "Invalid argument")

        patch.setattr("dulcet.services.listener.SocketTransport", reset_already)
        gone = one.connect("192.0.2.2")
        await trio.testing.wait_all_tasks_blocked()
    assert not await is_open(gone)
    await one.echo("192.0.2.2")
    await there.send(one.octets.echo())
    assert (await there.message()).status == SUCCESS


async def test_no_more_associations_than_allowed(listening, autojump_clock):
    one = await listening(max_associations=3, max_per_address=0)
    peers = [(await one.request(f"192.0.2.{number}"))[0] for number in range(3)]
    assert one.listener.associations == 3
    late, answer = await one.request("192.0.2.9")
    assert answer == LOCAL_LIMIT
    assert one.rejected == [("192.0.2.9", LOCAL_LIMIT)]
    late.close()
    peers[1].close()
    await trio.testing.wait_all_tasks_blocked()
    assert one.listener.associations == 2
    await one.echo("192.0.2.9")


async def test_no_more_associations_from_one_address_than_allowed(listening, autojump_clock):
    one = await listening(max_associations=0, max_per_address=2)
    for _ in range(2):
        _, answer = await one.request("192.0.2.1")
        assert isinstance(answer, AAssociateAC)
    _, answer = await one.request("192.0.2.1")
    assert answer == LOCAL_LIMIT
    await one.echo("192.0.2.2")
    one.peers[0].close()
    await trio.testing.wait_all_tasks_blocked()
    await one.echo("192.0.2.1")


@pytest.mark.parametrize(
    "limits", [{"max_associations": 1, "max_per_address": 0}, {"max_associations": 0, "max_per_address": 1}]
)
async def test_one_is_a_limit_and_none_is_no_limit(listening, limits, autojump_clock):
    one = await listening(**limits)
    assert isinstance((await one.request())[1], AAssociateAC)
    assert (await one.request())[1] == LOCAL_LIMIT


async def test_without_limits_there_are_none(listening, autojump_clock):
    one = await listening(max_associations=0, max_per_address=0)
    for _ in range(50):
        _, answer = await one.request()
        assert isinstance(answer, AAssociateAC)
    assert one.listener.associations == 50


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_oldest_connection_without_an_association_makes_room(listening, at_once, autojump_clock):
    one = await listening(max_unassociated=3)
    peers = []
    for _ in range(10):
        peers.append(one.connect())
        if not at_once:
            await trio.testing.wait_all_tasks_blocked()
    await trio.testing.wait_all_tasks_blocked()
    assert [await is_open(peer) for peer in peers] == [False] * 7 + [True] * 3
    await one.echo("192.0.2.2")
    assert [await is_open(peer) for peer in peers[7:]] == [False, True, True]


async def test_silent_connections_do_not_keep_others_out(listening, autojump_clock):
    one = await listening(max_unassociated=64)
    for _ in range(100):
        for _ in range(10):
            one.connect(f"192.0.2.{len(one.peers) % 250}")
        await trio.testing.wait_all_tasks_blocked()
        assert len(one.listener._unassociated) <= 64
    start = trio.current_time()
    await one.echo("198.51.100.1")
    assert trio.current_time() == start


async def test_an_association_is_not_dropped_for_a_connection(listening, autojump_clock):
    one = await listening(max_unassociated=2)
    peer, _ = await one.request()
    for _ in range(20):
        one.connect("192.0.2.2")
    await trio.testing.wait_all_tasks_blocked()
    await peer.send(one.octets.echo())
    assert (await peer.message()).status == SUCCESS


@pytest.mark.parametrize("way", ["title", "version", "no request"])
async def test_who_was_rejected_and_does_not_close_takes_no_association(listening, way, autojump_clock):
    one = await listening(max_associations=2, max_per_address=2, max_unassociated=5)
    changed = {"title": {"called_ae_title": AETitle("OTHER")}, "version": {"protocol_version": 0}, "no request": {}}[
        way
    ]
    peers = []
    for _ in range(10):
        if way == "no request":
            peer = one.connect()
            await peer.send(b"\x99")
            answer = await peer.pdu()
        else:
            peer, answer = await one.request(**changed)
        assert isinstance(answer, AAssociateRJ | AAbort)
        peers.append(peer)
    assert one.listener.associations == 0
    assert len(one.listener._unassociated) == 5
    assert [await is_open(peer) for peer in peers] == [False] * 5 + [True] * 5
    await one.echo()
    start = trio.current_time()
    await trio.sleep(10.5)
    assert one.listener._unassociated == {}
    assert [await is_open(peer) for peer in peers[5:]] == [False] * 5
    assert trio.current_time() < start + 11


async def test_a_place_is_free_again_when_artim_has_expired(listening, autojump_clock):
    one = await listening(max_associations=1, artim=10.0)
    peer, _ = await one.request()
    await peer.send(b"\x99")
    assert await peer.pdu() == AAbort(source=2, reason=1)
    assert (await one.request("192.0.2.2"))[1] == LOCAL_LIMIT
    await trio.sleep(9.9)
    assert (await one.request("192.0.2.2"))[1] == LOCAL_LIMIT
    await trio.sleep(0.2)
    await one.echo("192.0.2.2")


async def test_a_handler_that_fails_does_not_stop_the_listener(listening, autojump_clock):
    async def fail(association, received):
        raise ZeroDivisionError

    one = await listening({CEchoRQ: ECHO, CFindRQ: Operation(perform=fail, sop_classes=frozenset({VERIFICATION}))})
    peer, _ = await one.request()
    other, _ = await one.request("192.0.2.2")
    find = CFindRQ(affected_sop_class_uid=VERIFICATION, message_id=1)
    await peer.send(one.octets.message(find, context_id=1), one.octets.data(b"\0\0", context_id=1))
    assert await peer.pdu() == AAbort(source=0, reason=0)
    peer.close()
    await other.send(one.octets.echo())
    assert (await other.message()).status == SUCCESS
    await one.echo()
    assert [type(error) for error in one.ended] == [ZeroDivisionError, type(None)]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_descriptors_it_pauses_and_goes_on(listening, number, autojump_clock):
    one = await listening()
    one.connect(OSError(number, "out of it"))
    start = trio.current_time()
    await one.echo()
    assert trio.current_time() == start + ACCEPT_PAUSE


@pytest.mark.parametrize("error", [OSError(errno.ECONNABORTED, "gone"), OSError(errno.EPROTO, ""), BlockingIOError()])
async def test_a_connection_that_was_gone_before_it_was_accepted(listening, error, autojump_clock):
    one = await listening()
    one.connect(error)
    start = trio.current_time()
    await one.echo()
    assert trio.current_time() == start


# Ending -------------------------------------------------------------------------------------------------------------


async def test_stopped_it_ends_when_the_last_message_has_been_answered(listening, autojump_clock):
    """Who has nothing under way is aborted at once, who only connected is closed with the last association."""
    one = await listening()
    busy, _ = await one.request()
    idle, _ = await one.request()
    silent = one.connect()
    request = one.octets.echo()
    await busy.send(request[:6] + request[6:12].replace(b"\3", b"\1") + request[12:])  # the last fragment is to come
    await trio.testing.wait_all_tasks_blocked()
    one.listener.stop()
    assert await idle.pdu() == AAbort(source=0, reason=0)
    idle.close()
    await trio.testing.wait_all_tasks_blocked()
    assert one.socket.fileno() == -1
    assert await is_open(silent)
    assert not one.over.is_set()
    await busy.send(bytes.fromhex("04 00 00000006 00000002 01 03"))
    assert (await busy.message()).status == SUCCESS
    assert await busy.pdu() == AAbort(source=0, reason=0)
    busy.close()
    await one.over.wait()
    assert not await is_open(silent)


async def test_who_asks_while_it_stops_is_told_to_come_later(listening, autojump_clock):
    one = await listening()
    busy, _ = await one.request()
    await busy.send(
        one.octets.message(
            CStoreRQ(affected_sop_class_uid="1.2.3", message_id=1, affected_sop_instance_uid="1.2.3"), context_id=1
        )
    )
    peer = one.connect()
    await trio.testing.wait_all_tasks_blocked()
    one.listener.stop()
    await peer.send(one.octets.request())
    assert await peer.pdu() == CONGESTION
    assert one.rejected == [("192.0.2.1", CONGESTION)]
    assert not one.over.is_set()
    busy.close()
    await one.over.wait()


async def test_cancelled_it_aborts_every_association(nursery, raw_peer, octets, descriptors, autojump_clock):
    before = descriptors()
    one = Listening(raw_peer, octets, Limits())
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as inner:
            inner.start_soon(one.serve)
            for number in range(3):
                await one.request(f"192.0.2.{number}")
            one.connect()
            await trio.testing.wait_all_tasks_blocked()
            start = trio.current_time()
            scope.cancel()
    assert trio.current_time() - start == 2.0  # the peers don't close
    for peer in one.peers:
        assert await peer.rest() == (b"" if peer is one.peers[-1] else AAbort(source=0, reason=0).encode())
        peer.close()
    assert [type(error) for error in one.ended] == [type(None)] * 4
    assert descriptors() == before + 2  # the listening socket's own
    one.socket.close()


async def test_five_hundred_connections_that_come_and_go(listening, autojump_clock):
    one = await listening()
    for number in range(500):
        peer = one.connect(f"192.0.2.{number % 200}")
        if number % 3 == 0:
            await peer.send(one.octets.request().encode()[: number % 70])
        elif number % 3 == 1:
            await peer.send(one.octets.request(), AAbort())
        peer.close()
        if number % 7 == 0:
            await trio.testing.wait_all_tasks_blocked()
    await one.echo()
    assert one.listener.associations == 0


async def test_a_peer_that_never_asks_leaves_a_reason(listening, autojump_clock):
    one = await listening(artim=10.0)
    one.connect()
    await trio.sleep(10.1)
    assert [type(error) for error in one.ended] == [PeerTimeoutError]


# Sockets ------------------------------------------------------------------------------------------------------------


def test_bind_takes_a_free_port_on_loopback():
    (sock,) = bind("127.0.0.1", 0, backlog=128)
    with sock:
        host, port = sock.getsockname()
        assert (host, port > 0, sock.getblocking()) == ("127.0.0.1", True, False)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        with pytest.raises(ConfigurationError, match=f"can't listen on 127.0.0.1:{port}: .*; another program listens"):
            bind("127.0.0.1", port, backlog=1)


def test_several_processes_may_share_a_port():
    (first,) = bind("127.0.0.1", 0, backlog=1, shared=True)
    (second,) = bind("127.0.0.1", first.getsockname()[1], backlog=1, shared=True)
    with first, second:
        assert first.getsockname() == second.getsockname()


def test_every_address_or_none(monkeypatch, descriptors):
    """The second address of a name can't be had: the first is given back."""
    real = socket.getaddrinfo

    def two(host, port, **keywords):
        return real("127.0.0.1", port, **keywords) + real("192.0.2.77", port, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", two)
    before = descriptors()
    with pytest.raises(ConfigurationError, match="can't listen on pacs"):
        bind("pacs.example", 0, backlog=1)
    assert descriptors() == before


def test_a_name_that_has_no_address():
    with pytest.raises(ConfigurationError, match="can't listen on 'no such name'"):
        bind("no such name", 0, backlog=1)


def test_a_port_that_needs_root(monkeypatch):
    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("dulcet.services.listener._listening", refuse)
    with pytest.raises(ConfigurationError, match="ports below 1024 need root, 11112 is DICOM's registered port"):
        bind("127.0.0.1", 104, backlog=1)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_only_where_it_was_asked_for():
    try:
        (sock,) = bind("::1", 0, backlog=1)
    except ConfigurationError:
        pytest.skip("this machine has no IPv6 loopback")
    with sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
