"""What `dulcet serve` runs: a storage SCP that says when it is ready, tells what it does, and ends gracefully."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from dulcet.dimse.messages import CEchoRQ, CStoreRQ
from dulcet.dimse.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from dulcet.errors import ConfigurationError, StorageError
from dulcet.services.acceptor import ECHO, Acceptor, Observers
from dulcet.services.association import Association
from dulcet.services.listener import Listener
from dulcet.services.storage import Durability, Storage, StoredObject
from dulcet.services.storage_scp import storage_operation
from dulcet.services.tls import server_context
from dulcet.station.archive.arrivals import source_of
from dulcet.station.book.own_address import is_loopback
from dulcet.station.forwarding.routes import has_journal
from dulcet.station.lines import write_line
from dulcet.station.monitor.process_file import publish
from dulcet.station.monitor.server_monitor import ServerMonitor
from dulcet.station.monitor.service_manager import READY, STOPPING, keep_watchdog, notify, reloading
from dulcet.station.server_log import Log
from dulcet.station.server_settings import ServerSettings, TLSFiles, differences, needs_restart, taken_over
from dulcet.station.terminal import has_hung_up, terminals
from dulcet.ul.negotiation import Supported
from dulcet.ul.pdu import AAssociateRJ, AAssociateRQ
from dulcet.ul.reasons import explain_rejection

if TYPE_CHECKING:
    import ssl

    from dulcet.station.archive.archive_services import ArchiveServices
    from dulcet.station.forwarding.forwarding import Forwarding
    from dulcet.station.queue.child import QueueChild

__all__ = ["Part", "ServerSettings", "TLSFiles", "run_server"]

EXIT_STORAGE_FAILED = 5  # an fsync failed: what is on the disk can't be promised any more
WRITTEN_SECONDS = 1.0  # for our first report, before we say that we are ready
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What a server is told by."""
PASSED_ON = {signal.SIGTERM: signal.SIGUSR1, signal.SIGINT: signal.SIGUSR2}
"""What ends a server, and as what the parent of workers passes it on. Who signals a whole process group, as a terminal
and systemd do, reaches the workers himself as well: that is one wish to end, not two."""
ONE_SIGNAL = 0.25  # seconds: timeout(1) signals its child, and then the group that it is in
BLOCKED = {*SIGNALS, *PASSED_ON.values()}
"""What waits until it is taken; a worker is started so."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part that this process has in a server."""

    is_first: bool = True
    """Of several processes one says that the server is ready, and does what is to be done once."""
    family: int = 0
    """The process that started all of them; 0: this one is alone."""
    http_sockets: Sequence[socket.socket] = ()
    """Where the first process serves `/metrics` and `/healthz`."""
    read_settings: Callable[[], ServerSettings] | None = None
    """Reads the settings again, for SIGHUP, in a thread; ConfigurationError says what is wrong with them."""


def run_server(settings: ServerSettings, sockets: Sequence[socket.socket], part: Part | None = None) -> int:
    """Serve on `sockets` until SIGTERM or SIGINT; the exit code."""
    return trio.run(_Server(settings, part or Part()).run, sockets)


class _Server:
    def __init__(self, settings: ServerSettings, part: Part) -> None:
        self._settings = settings
        self._part = part
        self._log = Log(settings)
        self._monitor = ServerMonitor(settings, self._log, family=part.family or os.getpid())
        self._archive: ArchiveServices | None = None
        self._queue: QueueChild | None = None
        self._forwarding: Forwarding | None = None
        self._terminals = terminals()

    async def run(self, sockets: Sequence[socket.socket]) -> int:
        """Until a signal; from now on none is lost, and none ends us without order."""
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        for number in BLOCKED:  # trio gives back what came when nobody listened any more: that must not kill us
            signal.signal(number, lambda *_: None)
        with (
            trio.open_signal_receiver(*PASSED_ON, *PASSED_ON.values()) as ends,
            trio.open_signal_receiver(signal.SIGHUP) as reloads,
        ):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
            return await self._run(sockets, ends, reloads)

    async def _run(
        self, sockets: Sequence[socket.socket], ends: AsyncIterator[int], reloads: AsyncIterator[int]
    ) -> int:
        storage = Storage(self._settings.storage)
        try:
            self._archive = self._archive_services()
            self._forwarding = self._forward()
            listener = Listener(
                sockets,
                self._acceptor(storage),
                tls=self._tls(),
                failed_handshake=lambda address, reason: self._log("tls.failed", address=address, reason=reason),
            )
            async with trio.open_nursery() as nursery:
                self._beside = nursery
                await self._start_beside(nursery, storage, listener)
                nursery.start_soon(self._await_ends, ends, listener, nursery.cancel_scope)
                nursery.start_soon(self._await_reloads, reloads, storage, listener)
                if self._part.is_first:
                    self._announce(listener, storage)
                await listener.serve()
                if self._queue is not None:
                    await self._queue.ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            storage.close()
            if self._archive is not None:
                self._archive.close()
        return EXIT_STORAGE_FAILED if storage.failed else 0

    # Beside the associations ----------------------------------------------------------------------------------------

    async def _start_beside(self, nursery: trio.Nursery, storage: Storage, listener: Listener) -> None:
        """What goes on until the end; the first process does what is to be done once."""
        monitor, where = self._monitor, listener.addresses
        monitor.addresses = tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in where)
        monitor.storing_failed = lambda: storage.failed
        if self._archive is not None:
            archive = self._archive
            monitor.index_lag = lambda: archive.index_lag
            nursery.start_soon(archive.run)
        if self._forwarding is not None:
            nursery.start_soon(self._forwarding.run)
        written = trio.Event()
        nursery.start_soon(partial(publish, monitor.report, failed=self._not_written, written=written.set))
        with trio.move_on_after(WRITTEN_SECONDS):  # a disk that is slow keeps nobody waiting
            await written.wait()
        if not self._part.is_first:
            return
        nursery.start_soon(keep_watchdog)
        if self._part.http_sockets:
            from dulcet.station.monitor.pages import http_server

            nursery.start_soon(http_server(self._part.http_sockets, monitor, storage, self._settings).serve)
        if self._settings.queue:
            from dulcet.station.queue.child import QueueChild, queue_command

            settings = self._settings
            command = queue_command(as_json=settings.as_json, verbose=settings.verbose, quiet=settings.quiet)
            self._queue = QueueChild(command, self._log)
            nursery.start_soon(self._queue.run)

    def _not_written(self, reason: str) -> None:
        self._log("monitor.failed", reason=reason)

    def _archive_services(self) -> "ArchiveServices | None":
        settings = self._settings
        if not settings.archive.is_wanted:
            return None
        from dulcet.station.archive.archive_services import ArchiveServices

        is_first = self._part.is_first
        return ArchiveServices(settings.archive, settings.storage, settings.ae_title, self._log, is_first=is_first)

    def _forward(self) -> "Forwarding | None":
        """Nothing is imported as long as there are no rules."""
        settings = self._settings
        if not settings.routes and not has_journal(settings.storage.directory):
            return None
        from dulcet.station.forwarding.forwarding import Forwarding, StationQueue

        return Forwarding(
            settings.storage.directory,
            settings.routes,
            self._log,
            queue=StationQueue,
            options={"aet": settings.ae_title},
            is_durable=settings.storage.durability is not Durability.NONE,
        )

    def _take_routes(self) -> None:
        """Forward by the rules that are in force now."""
        if self._forwarding is not None:
            self._forwarding.change(self._settings.routes)
        elif (forwarding := self._forward()) is not None:
            self._forwarding = forwarding
            self._beside.start_soon(forwarding.run)

    # Signals --------------------------------------------------------------------------------------------------------

    async def _await_ends(self, signals: AsyncIterator[int], listener: Listener, everything: trio.CancelScope) -> None:
        """The first signal: accept no more and finish what is in flight; the second, or the end of patience: abort."""
        async for number in signals:
            self._log("server.stopping", signal=_original(number).name, associations=listener.associations)
            self._monitor.is_stopping = True
            if self._part.is_first:
                notify(STOPPING)
            listener.stop()
            if self._queue is not None:
                self._queue.stop()
            with trio.move_on_after(self._settings.limits.grace):
                await asked_again(signals, number)
            everything.cancel()

    async def _await_reloads(self, signals: AsyncIterator[int], storage: Storage, listener: Listener) -> None:
        """SIGHUP: read the settings again; where it means that our terminal has gone, end."""
        has_hung = False
        async for _ in signals:
            if has_hung_up(self._terminals):
                if not has_hung:  # the whole group is told of it, and a worker by its parent again: that is one wish
                    os.kill(os.getpid(), signal.SIGTERM)
                has_hung = True
            elif self._part.read_settings is not None:
                if self._part.is_first:
                    notify(reloading())
                await self._reload(self._part.read_settings, storage, listener)
                if self._part.is_first:
                    notify(READY)

    async def _reload(self, read_settings: Callable[[], ServerSettings], storage: Storage, listener: Listener) -> None:
        """What can change does, for associations to come; what can't is named. Faulty settings change nothing."""
        old = self._settings
        try:
            new = await trio.to_thread.run_sync(read_settings)
            self._settings = taken_over(old, new)
            self._take_routes()
            listener.change(self._acceptor(storage), self._tls())
        except Exception as error:  # whatever is wrong with them: the server goes on as it was
            self._settings = old
            self._take_routes()
            is_theirs = isinstance(error, ConfigurationError)
            self._log("settings.fault", reason=str(error) if is_theirs else f"{type(error).__name__}: {error}")
            return
        self._log.settings = self._settings
        changed, waiting = differences(old, self._settings), needs_restart(old, new)
        self._log("settings.read", changed=changed or None, needs_restart=waiting or None)
        if self._archive is not None:
            self._archive.reload()

    # Associations ---------------------------------------------------------------------------------------------------

    def _tls(self) -> "ssl.SSLContext | None":
        files = self._settings.tls
        return None if files is None else server_context(**vars(files))

    def _acceptor(self, storage: Storage) -> Acceptor:
        settings, archive = self._settings, self._archive
        syntaxes = frozenset(TRANSFER_SYNTAXES)
        store = self._monitor.timing(storage_operation(storage, observe=self._stored))
        if self._forwarding is not None:
            store = self._forwarding.operation(store, self._stored)
        operations = {CEchoRQ: ECHO, CStoreRQ: store}
        return Acceptor(
            admission=settings.admission,
            supported=Supported(
                transfer_syntaxes={
                    VERIFICATION: syntaxes,
                    **dict.fromkeys(STORAGE_SOP_CLASSES, syntaxes),
                    **({} if archive is None else archive.transfer_syntaxes),
                },
                max_pdu_length=settings.max_pdu_length,
                operations_invoked=settings.window,
                requestor_may_be_scp=() if archive is None else archive.requestor_may_be_scp,
                extended=(lambda _uid, _offered: None) if archive is None else archive.extended,
            ),
            operations=operations if archive is None else {**operations, **archive.operations},
            limits=settings.limits,
            observers=Observers(established=self._established, rejected=self._rejected, ended=self._ended),
        )

    def _established(self, association: Association) -> None:
        self._log("association.established", association, contexts=len(association.contexts))

    def _rejected(self, request: AAssociateRQ, rejection: AAssociateRJ, address: str) -> None:
        self._monitor.rejected(rejection)
        self._log(
            "association.rejected",
            calling=str(request.calling_ae_title),
            called=str(request.called_ae_title),
            address=address,
            reason=explain_rejection(rejection.result, rejection.source, rejection.reason),
        )

    def _ended(self, association: Association, error: Exception | None) -> None:
        self._monitor.ended(association)
        if association.request is None:  # it never came to an association: a port scan, a check, a rejection
            if error is not None and self._settings.verbose:
                address = association.transport.peer_address
                self._log("connection.ended", address=address, how=f"{type(error).__name__}: {error}")
            return
        how = "released" if error is None else f"{type(error).__name__}: {error}"
        self._log("association.ended", association, how=how, deviations=len(association.deviations) or None)

    def _stored(self, association: Association, request: CStoreRQ, outcome: StoredObject | StorageError) -> None:
        uid = request.affected_sop_instance_uid
        self._monitor.stored(association, request, outcome)
        if self._forwarding is not None:
            self._forwarding.stored(association, request, outcome)
        if self._archive is not None and isinstance(outcome, StoredObject):
            self._archive.stored(outcome, source_of(association, request))
        if isinstance(outcome, StorageError):
            self._log("object.refused", association, uid=uid, status=f"{outcome.status:04X}H", reason=str(outcome))
        elif outcome.is_conflict:  # acknowledged like any other, so that somebody should be told
            self._log("object.conflict", association, uid=uid, octets=outcome.octets, stored_as=outcome.path.name)
        elif self._settings.verbose:
            self._log("object.stored", association, uid=uid, octets=outcome.octets)

    # Ready ----------------------------------------------------------------------------------------------------------

    def _announce(self, listener: Listener, storage: Storage) -> None:
        settings = self._settings
        where = ", ".join(self._monitor.addresses)
        tls = " with TLS" if settings.tls else ""
        line = f"{settings.ae_title} is ready on {where}{tls}, storing in {settings.storage.directory}"
        http = [f"{host}:{port}" for host, port in (sock.getsockname()[:2] for sock in self._part.http_sockets)]
        if http:
            line += f", telling of itself on http://{http[0]}/metrics"
        if settings.as_json:
            about = {"addresses": listener.addresses, "http": http or None, "pid": os.getpid()}
            self._log("server.ready", None, ae_title=settings.ae_title, **about)
        else:
            write_line(line, sys.stdout)
        for warning in (*_warnings(settings), *_no_room(storage)):
            write_line(f"dulcet: {warning}", sys.stderr)
        notify(READY)


async def asked_again(signals: AsyncIterator[int], first: int) -> None:
    """Wait until who wants us to end says so for the second time: to ourselves, or to the parent of all workers."""
    heard = {_original(first) == first: trio.current_time()}
    async for number in signals:
        now = trio.current_time()
        if now > heard.setdefault(_original(number) == number, now) + ONE_SIGNAL:
            return


def _original(number: int) -> signal.Signals:
    """What the parent was told, where it passed it on."""
    return next((told for told, passed in PASSED_ON.items() if passed == number), signal.Signals(number))


def _no_room(storage: Storage) -> list[str]:
    """Who starts a server on a full disk hears of it before the first sender does."""
    try:
        storage.check()
    except StorageError as error:
        return [f"no object can be stored now, each is refused with A700H: {error} (--min-free)"]
    return []


def _warnings(settings: ServerSettings) -> list[str]:
    warnings = []
    if not is_loopback(settings.host):
        if not settings.admission.allowed and not settings.admission.allow_any:
            warnings.append("nobody but this machine may associate: say --allow AET[@CIDR] or --allow-any")
        elif settings.tls is None or settings.tls.ca is None:
            warnings.append("AE titles are names, not authentication: TLS with --tls-ca is")
    if settings.storage.durability is Durability.NONE:
        warnings.append("--durability none: an object that was acknowledged can be lost if the system crashes")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        warnings.append("running as root is not needed: port 11112 works for everybody")
    return warnings
