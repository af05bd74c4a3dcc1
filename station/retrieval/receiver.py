"""The storage SCP that receives what a C-MOVE sends: there for one retrieval, or for several that share its port."""

import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address
from weakref import WeakKeyDictionary

import trio

from dulcet.dimse.messages import CEchoRQ, CStoreRQ, Message
from dulcet.dimse.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from dulcet.errors import AssociationError, ConfigurationError
from dulcet.escape import quote
from dulcet.services.acceptor import ECHO, Acceptor, Observers, Operation
from dulcet.services.admission import Admission
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import Sink
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.limits import Limits
from dulcet.services.listener import Listener, bind
from dulcet.services.requestor import Peer, associate
from dulcet.station.retrieval.ports import PortClaim
from dulcet.station.retrieval.reception import ReceiverSettings
from dulcet.ul.negotiation import REJECTED_CALLED_AE_TITLE, REJECTED_CALLING_AE_TITLE, AcceptedContext, Supported
from dulcet.ul.pdu import AAssociateRJ, AAssociateRQ
from dulcet.ul.reasons import explain_rejection

LOOPBACK = "127.0.0.1"
ECHO_PATIENCE = 5.0  # seconds for a C-ECHO to this machine
RELEASE_PATIENCE = 0.5  # seconds for an archive to release what it has no more use for; then it is aborted
MAX_REJECTIONS = 5  # that are told of


@dataclass(frozen=True, kw_only=True, slots=True)
class _ForOneArchive(Admission):
    archive_title: str
    archive_addresses: frozenset[str]

    def refuse(self, request: AAssociateRQ, address: str) -> AAssociateRJ | None:
        if request.called_ae_title != self.ae_title:
            return REJECTED_CALLED_AE_TITLE
        calling = str(request.calling_ae_title)
        source = _plain(address)
        is_archive = calling == self.archive_title or source in self.archive_addresses
        is_ours = calling == self.ae_title and ip_address(source).is_loopback
        is_named = bool(self.allowed) and Admission.refuse(self, request, address) is None
        return None if self.allow_any or is_archive or is_ours or is_named else REJECTED_CALLING_AE_TITLE


@dataclass(frozen=True, kw_only=True, slots=True)
class _ForMembers(Admission):
    """Whoever may send to one of them."""

    members: "Collection[Receiver]"

    def refuse(self, request: AAssociateRQ, address: str) -> AAssociateRJ | None:
        refused: AAssociateRJ | None = REJECTED_CALLED_AE_TITLE
        for member in self.members:
            refused = member.admission.refuse(request, address)
            if refused is None:
                return None
        return refused


def _plain(address: str) -> str:
    source = ip_address(address.partition("%")[0])
    return str(source.ipv4_mapped) if isinstance(source, IPv6Address) and source.ipv4_mapped else str(source)


@dataclass(slots=True, eq=False)
class Receiver:
    """What one retrieval has of a port that we listen on: a `Reception`."""

    settings: ReceiverSettings
    store: Operation
    """Performs C-STORE for it."""
    expected: Collection[str]
    """The SOP Instance UIDs that are promised to it; they may become more."""
    admission: Admission
    address: str
    port: int
    associations: set[Association]
    """In force on the port, our own echoes not counted."""
    accepted: int = 0
    rejected: list[str] = field(default_factory=list)
    is_ours: bool = True

    def is_receiving(self) -> bool:
        """See `Reception`."""
        return any(association.is_in_message() for association in self.associations)

    def admits(self, association: Association) -> bool:
        """Whether what comes on an association may be for it."""
        assert association.request is not None
        return self.admission.refuse(association.request, association.transport.peer_address) is None


class SharedReceiver:
    """Listens on one port, for all retrievals that have joined. Each object goes to who is promised it.

    What is promised to nobody goes to the first that the sender may be sending to.
    """

    def __init__(self, host: str, port: int, max_pdu_length: int) -> None:
        """Bind the port; ConfigurationError when it can't be had."""
        self._host = host
        self._sockets = bind(host, port, backlog=Limits().backlog)
        self.port: int = self._sockets[0].getsockname()[1]
        self._claim = PortClaim(self.port)
        self._members: list[Receiver] = []
        self._joining = 0
        self._associations: set[Association] = set()
        self._ended = trio.lowlevel.ParkingLot()
        self._sinks: WeakKeyDictionary[Sink, Receiver] = WeakKeyDictionary()
        self._listener = Listener(self._sockets, self._acceptor(max_pdu_length))

    @property
    def is_wanted(self) -> bool:
        """Whether anybody has joined, or is about to."""
        return bool(self._members) or self._joining > 0

    async def serve(self) -> None:
        """Until cancelled."""
        try:
            await self._listener.serve()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the port. Harmless when repeated."""
        for sock in self._sockets:
            sock.close()
        self._claim.release()

    @asynccontextmanager
    async def joined(
        self, settings: ReceiverSettings, store: Operation, expected: Collection[str]
    ) -> AsyncIterator[Receiver]:
        """Receive for a retrieval, too. A C-ECHO to ourselves is answered before anybody else is told to come.

        ConfigurationError when the echo finds somebody else, or nobody.
        """
        self._joining += 1  # before anything waits: who leaves meanwhile must not close it
        try:
            admission = await _admission(settings)
            address = self._host or "every address"
            member = Receiver(settings, store, expected, admission, address, self.port, self._associations)
            self._members.append(member)
        finally:
            self._joining -= 1
        try:
            problem = await echo_problem(self._host, self.port, settings.ae_title)
            if problem:
                raise ConfigurationError(
                    f"our receiver on port {self.port} does not answer a C-ECHO of ours: {problem}"
                )
            yield member
        finally:
            self._members.remove(member)

    async def wait_for_releases(self) -> None:
        """An archive that has sent everything is given the time to release; some keep the association for the next."""
        with trio.move_on_after(RELEASE_PATIENCE):
            while self._associations:
                await self._ended.park()

    # What comes -----------------------------------------------------------------------------------------------------

    def _acceptor(self, max_pdu_length: int) -> Acceptor:
        syntaxes = frozenset(TRANSFER_SYNTAXES)
        store = Operation(perform=self._perform, sop_classes=frozenset(STORAGE_SOP_CLASSES), open_sink=self._open_sink)
        return Acceptor(
            admission=_ForMembers(ae_title="", members=self._members),
            supported=Supported(
                transfer_syntaxes={VERIFICATION: syntaxes, **dict.fromkeys(STORAGE_SOP_CLASSES, syntaxes)},
                max_pdu_length=max_pdu_length,
            ),
            operations={CEchoRQ: ECHO, CStoreRQ: store},
            limits=replace(Limits(), max_per_address=Limits().max_associations),
            observers=Observers(
                established=self._established, rejected=self._turned_away, ended=self._association_ended
            ),
        )

    def _open_sink(self, association: Association, context: AcceptedContext, message: Message) -> Sink:
        assert isinstance(message, CStoreRQ)
        member = self._whose(association, message.affected_sop_instance_uid)
        assert member.store.open_sink is not None
        sink = member.store.open_sink(association, context, message)
        self._sinks[sink] = member
        return sink

    def _whose(self, association: Association, uid: str) -> Receiver:
        for member in self._members:
            if uid in member.expected:
                return member
        for member in self._members:
            if member.admits(association):
                return member
        if self._members:
            return self._members[0]
        raise AssociationError("nobody waits for objects any more")

    async def _perform(self, association: Association, received: Received) -> None:
        assert isinstance(received.message, CStoreRQ)
        known = None if received.sink is None else self._sinks.get(received.sink)
        member = known or self._whose(association, received.message.affected_sop_instance_uid)
        await member.store.perform(association, received)

    def _established(self, association: Association) -> None:
        assert association.request is not None
        calling = str(association.request.calling_ae_title)
        if all(calling != member.settings.ae_title for member in self._members):
            self._associations.add(association)
            for member in self._members:
                member.accepted += member.admits(association)

    def _association_ended(self, association: Association, _error: Exception | None) -> None:
        self._associations.discard(association)
        self._ended.unpark_all()

    def _turned_away(self, request: AAssociateRQ, rejection: AAssociateRJ, address: str) -> None:
        calling, called = quote(request.calling_ae_title), quote(request.called_ae_title)
        why = explain_rejection(rejection.result, rejection.source, rejection.reason)
        for member in self._members:
            if len(member.rejected) < MAX_REJECTIONS:
                member.rejected.append(f"{calling!r} at {address} called {called!r}: {why}")


@asynccontextmanager
async def receiving(
    settings: ReceiverSettings, *, store: Operation, expected: Collection[str]
) -> AsyncIterator[Receiver]:
    """Receive for one retrieval. ConfigurationError when the port can't be had, or does not answer us."""
    shared = SharedReceiver(settings.host, settings.port, settings.max_pdu_length)
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shared.serve)
            try:
                async with shared.joined(settings, store, expected) as receiver:
                    yield receiver
                    await shared.wait_for_releases()
            except Exception as error:  # it leaves by itself, not in the nursery's group
                failure = error
            nursery.cancel_scope.cancel()
    finally:
        shared.close()
    if failure is not None:
        raise failure


async def _admission(settings: ReceiverSettings) -> Admission:
    addresses = await trio.to_thread.run_sync(_addresses_of, settings.archive.host)
    return _ForOneArchive(
        ae_title=settings.ae_title,
        allowed=settings.allowed,
        allow_any=settings.allow_any,
        archive_title=settings.archive.ae_title,
        archive_addresses=frozenset(addresses),
    )


def _addresses_of(host: str) -> set[str]:
    try:
        return {_plain(str(found[4][0])) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (socket.gaierror, UnicodeError):
        return set()


async def echo_problem(host: str, port: int, ae_title: str) -> str:
    """Ask who listens on a port of this machine, under our title and by it; "" when it answers with success."""
    target = LOOPBACK if host in ("", "0.0.0.0") else "::1" if host == "::" else host
    us = Peer(host=target, port=port, ae_title=ae_title, calling_ae_title=ae_title)
    with trio.move_on_after(ECHO_PATIENCE):
        try:
            async with associate(us, (VERIFICATION_CONTEXT,)) as association:
                return "" if (await echo(association)).status == 0 else "it was refused"
        except AssociationError as error:
            return str(error)
    return "it gave no answer"
