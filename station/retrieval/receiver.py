"""The storage SCP that receives what a C-MOVE sends: it is there for one retrieval, for the archive and for us."""

import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address

import trio

from dulcet.dimse.messages import CEchoRQ, CStoreRQ
from dulcet.dimse.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from dulcet.errors import AssociationError, ConfigurationError
from dulcet.escape import quote
from dulcet.services.acceptor import ECHO, Acceptor, Observers, Operation
from dulcet.services.admission import Admission, AllowedPeer
from dulcet.services.association import Association
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.limits import Limits
from dulcet.services.listener import Listener, bind
from dulcet.services.requestor import Peer, associate
from dulcet.ul.negotiation import REJECTED_CALLED_AE_TITLE, REJECTED_CALLING_AE_TITLE, Supported
from dulcet.ul.pdu import AAssociateRJ, AAssociateRQ
from dulcet.ul.reasons import explain_rejection

LOOPBACK = "127.0.0.1"
ECHO_PATIENCE = 5.0  # seconds for our own C-ECHO to us
RELEASE_PATIENCE = 0.5  # seconds for an archive to release what it has no more use for; then it is aborted
MAX_REJECTIONS = 5  # that are told of


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiverSettings:
    """Where to listen, and for whom."""

    ae_title: str
    """Ours: the move destination."""
    port: int
    host: str = ""
    """The address to listen on; "" is every one."""
    archive: Peer
    """Who sends: by its AE title, from anywhere, or by any title from its address."""
    allowed: tuple[AllowedPeer, ...] = ()
    """Who else may."""
    allow_any: bool = False
    max_pdu_length: int


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


def _plain(address: str) -> str:
    source = ip_address(address.partition("%")[0])
    return str(source.ipv4_mapped) if isinstance(source, IPv6Address) and source.ipv4_mapped else str(source)


@dataclass(slots=True)
class Receiver:
    """A receiver that listens; see `receiving`."""

    settings: ReceiverSettings
    address: str
    port: int
    associations: set[Association] = field(default_factory=set)
    """In force, our own echo not counted."""
    accepted: int = 0
    """How many associations the archive has made."""
    rejected: list[str] = field(default_factory=list)
    """Whom we turned away and why, in sentences."""

    association_ended: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    def is_receiving(self) -> bool:
        """Whether part of an object has come; the listener's limits see to it that the rest does, or the end."""
        return any(association.is_in_message() for association in self.associations)

    def _established(self, association: Association) -> None:
        assert association.request is not None
        if str(association.request.calling_ae_title) != self.settings.ae_title:
            self.accepted += 1
            self.associations.add(association)

    def _ended(self, association: Association, _error: Exception | None) -> None:
        self.associations.discard(association)
        self.association_ended.unpark_all()

    def _turned_away(self, request: AAssociateRQ, rejection: AAssociateRJ, address: str) -> None:
        if len(self.rejected) < MAX_REJECTIONS:
            calling, called = quote(request.calling_ae_title), quote(request.called_ae_title)
            why = explain_rejection(rejection.result, rejection.source, rejection.reason)
            self.rejected.append(f"{calling!r} at {address} called {called!r}: {why}")


@asynccontextmanager
async def receiving(settings: ReceiverSettings, store: Operation) -> AsyncIterator[Receiver]:
    """Listen, and see that we are heard: a C-ECHO to ourselves is answered before anybody else is told to come.

    ConfigurationError when the port can't be had, or the echo finds somebody else, or nobody.
    """
    addresses = await trio.to_thread.run_sync(_addresses_of, settings.archive.host)
    sockets = bind(settings.host, settings.port, backlog=Limits().backlog)
    receiver = Receiver(settings, settings.host or "every address", sockets[0].getsockname()[1])
    listener = Listener(sockets, _acceptor(receiver, store, addresses))
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.serve)
            try:
                await _check(receiver)
                yield receiver
            except Exception as error:  # it leaves by itself, not in the nursery's group
                failure = error
            await _wait_for_releases(receiver)
            nursery.cancel_scope.cancel()
    finally:
        for sock in sockets:
            sock.close()
    if failure is not None:
        raise failure


async def _wait_for_releases(receiver: Receiver) -> None:
    """An archive that has sent everything is given the time to release; some keep the association for the next one."""
    with trio.move_on_after(RELEASE_PATIENCE):
        while receiver.associations:
            await receiver.association_ended.park()


def _acceptor(receiver: Receiver, store: Operation, addresses: Collection[str]) -> Acceptor:
    settings = receiver.settings
    syntaxes = frozenset(TRANSFER_SYNTAXES)
    return Acceptor(
        admission=_ForOneArchive(
            ae_title=settings.ae_title,
            allowed=settings.allowed,
            allow_any=settings.allow_any,
            archive_title=settings.archive.ae_title,
            archive_addresses=frozenset(addresses),
        ),
        supported=Supported(
            transfer_syntaxes={VERIFICATION: syntaxes, **dict.fromkeys(STORAGE_SOP_CLASSES, syntaxes)},
            max_pdu_length=settings.max_pdu_length,
        ),
        operations={CEchoRQ: ECHO, CStoreRQ: store},
        limits=replace(Limits(), max_per_address=Limits().max_associations),
        observers=Observers(established=receiver._established, rejected=receiver._turned_away, ended=receiver._ended),
    )


def _addresses_of(host: str) -> set[str]:
    try:
        return {_plain(str(found[4][0])) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (socket.gaierror, UnicodeError):
        return set()


async def _check(receiver: Receiver) -> None:
    host = receiver.settings.host
    title = receiver.settings.ae_title
    target = LOOPBACK if host in ("", "0.0.0.0") else "::1" if host == "::" else host
    us = Peer(host=target, port=receiver.port, ae_title=title, calling_ae_title=title)
    problem = "it gave no answer"
    with trio.move_on_after(ECHO_PATIENCE):
        try:
            async with associate(us, (VERIFICATION_CONTEXT,)) as association:
                if (await echo(association)).status == 0:
                    return
                problem = "it was refused"
        except AssociationError as error:
            problem = str(error)
    raise ConfigurationError(f"our receiver on port {receiver.port} does not answer a C-ECHO of ours: {problem}")
