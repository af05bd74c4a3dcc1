"""What `dulcet serve` runs: a storage SCP that says when it is ready, tells what it does, and ends gracefully."""

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from dulcet.dimse.messages import CEchoRQ, CStoreRQ
from dulcet.dimse.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from dulcet.errors import StorageError
from dulcet.escape import quote
from dulcet.services.acceptor import ECHO, Acceptor, Observers
from dulcet.services.admission import Admission
from dulcet.services.association import Association
from dulcet.services.limits import Limits
from dulcet.services.listener import Listener
from dulcet.services.storage import Durability, Storage, StorageOptions, StoredObject
from dulcet.services.storage_scp import storage_operation
from dulcet.services.tls import server_context
from dulcet.station.archive.archive_settings import ArchiveSettings
from dulcet.station.book.own_address import is_loopback
from dulcet.station.events import JSON_SCHEMA_VERSION, rfc3339
from dulcet.ul.negotiation import Supported
from dulcet.ul.pdu import AAssociateRJ, AAssociateRQ
from dulcet.ul.reasons import explain_rejection

if TYPE_CHECKING:
    from dulcet.station.archive.archive_services import ArchiveServices

EXIT_STORAGE_FAILED = 5  # an fsync failed: what is on the disk can't be promised any more
ONE_SIGNAL = 0.25  # seconds: who signals a whole process group reaches a worker twice, once through its parent
MAX_LINES = 20  # for each association; a peer must not be able to fill the log


@dataclass(frozen=True, kw_only=True)
class TLSFiles:
    """Our certificate and its key; `ca` signs those of the peers, None asks them for none."""

    cert: Path
    key: Path | None
    ca: Path | None


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """All that a server process needs to know."""

    ae_title: str
    host: str
    port: int
    admission: Admission
    limits: Limits
    storage: StorageOptions
    max_pdu_length: int
    window: int = 1
    workers: int = 1
    tls: TLSFiles | None = None
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    """The services beside C-STORE."""
    as_json: bool = False
    verbose: int = 0
    quiet: bool = False


def run_server(settings: ServerSettings, sockets: Sequence[socket.socket], *, announce: bool = True) -> int:
    """Serve on `sockets` until SIGTERM or SIGINT; the exit code. `announce`: print the line that says ready."""
    return trio.run(_Server(settings).run, sockets, announce)


class Log:
    """One line for each event on standard error, or JSON Lines on standard output; no values of data sets.

    An association gets MAX_LINES; what it causes beyond is counted, not written.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._written: dict[int, int] = {}

    def __call__(self, event: str, about: Association | None = None, **values: Any) -> None:
        """Write one line: peers' strings in `values` are quoted here."""
        if about is not None:
            count = self._written[id(about)] = self._written.get(id(about), 0) + 1
            if count > MAX_LINES and event != "association.ended":
                return
            values = {"calling": _calling(about), "address": about.transport.peer_address, **values}
            if event == "association.ended":
                values["lines_suppressed"] = max(0, self._written.pop(id(about)) - MAX_LINES - 1) or None
        values = {name: quote(value, 200) if isinstance(value, str) else value for name, value in values.items()}
        self._write(event, {name: value for name, value in values.items() if value is not None})

    def _write(self, event: str, values: dict[str, Any]) -> None:
        settings = self._settings
        if settings.as_json:
            head = {"v": JSON_SCHEMA_VERSION, "ts": rfc3339(datetime.now(UTC)), "event": event}
            print(json.dumps({**head, **values}), flush=True)
        elif not settings.quiet:
            text = " ".join(f"{name}={json.dumps(value)}" for name, value in values.items())
            print(f"{event} {text}", file=sys.stderr, flush=True)


class _Server:
    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._log = Log(settings)
        self._exit_code = 0
        self._archive: ArchiveServices | None = None

    async def run(self, sockets: Sequence[socket.socket], announce: bool) -> int:
        """Until a signal; from now on none is lost, and none ends us without order."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            return await self._run(sockets, announce, signals)

    async def _run(self, sockets: Sequence[socket.socket], announce: bool, signals: AsyncIterator[int]) -> int:
        settings = self._settings
        storage = Storage(settings.storage)
        try:
            self._archive = self._archive_services(is_first=announce)
            listener = Listener(
                sockets,
                self._acceptor(storage),
                tls=None if settings.tls is None else server_context(**vars(settings.tls)),
                failed_handshake=lambda address, reason: self._log("tls.failed", address=address, reason=reason),
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._await_signals, signals, listener, nursery.cancel_scope)
                if self._archive is not None:
                    nursery.start_soon(self._archive.run)
                if announce:
                    self._announce(listener)
                await listener.serve()
                nursery.cancel_scope.cancel()
        finally:
            storage.close()
            if self._archive is not None:
                self._archive.close()
        return EXIT_STORAGE_FAILED if storage.failed else self._exit_code

    async def _await_signals(
        self, signals: AsyncIterator[int], listener: Listener, everything: trio.CancelScope
    ) -> None:
        """The first signal: accept no more and finish what is in flight; the second, or the end of patience: abort."""
        async for number in signals:
            self._log("server.stopping", signal=signal.Signals(number).name, associations=listener.associations)
            listener.stop()
            first = trio.current_time()
            with trio.move_on_after(self._settings.limits.grace):
                async for _ in signals:
                    if trio.current_time() >= first + ONE_SIGNAL:
                        break
            everything.cancel()

    def _archive_services(self, *, is_first: bool) -> "ArchiveServices | None":
        settings = self._settings
        if not settings.archive.is_wanted:
            return None
        from dulcet.station.archive.archive_services import ArchiveServices

        return ArchiveServices(settings.archive, settings.storage, settings.ae_title, self._log, is_first=is_first)

    def _acceptor(self, storage: Storage) -> Acceptor:
        settings, archive = self._settings, self._archive
        syntaxes = frozenset(TRANSFER_SYNTAXES)
        operations = {CEchoRQ: ECHO, CStoreRQ: storage_operation(storage, observe=self._stored)}
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
            observers=self._observers(),
        )

    def _observers(self) -> Observers:
        return Observers(established=self._established, rejected=self._rejected, ended=self._ended)

    def _established(self, association: Association) -> None:
        self._log("association.established", association, contexts=len(association.contexts))

    def _rejected(self, request: AAssociateRQ, rejection: AAssociateRJ, address: str) -> None:
        self._log(
            "association.rejected",
            calling=str(request.calling_ae_title),
            called=str(request.called_ae_title),
            address=address,
            reason=explain_rejection(rejection.result, rejection.source, rejection.reason),
        )

    def _ended(self, association: Association, error: Exception | None) -> None:
        if association.request is None:  # it never came to an association: a port scan, a check, a rejection
            if error is not None and self._settings.verbose:
                address = association.transport.peer_address
                self._log("connection.ended", address=address, how=f"{type(error).__name__}: {error}")
            return
        how = "released" if error is None else f"{type(error).__name__}: {error}"
        self._log("association.ended", association, how=how, deviations=len(association.deviations) or None)

    def _stored(self, association: Association, request: CStoreRQ, outcome: StoredObject | StorageError) -> None:
        uid = request.affected_sop_instance_uid
        if self._archive is not None and isinstance(outcome, StoredObject):
            self._archive.stored(outcome)
        if isinstance(outcome, StorageError):
            self._log("object.refused", association, uid=uid, status=f"{outcome.status:04X}H", reason=str(outcome))
        elif outcome.is_conflict:  # acknowledged like any other, so that somebody should be told
            self._log("object.conflict", association, uid=uid, octets=outcome.octets, stored_as=outcome.path.name)
        elif self._settings.verbose:
            self._log("object.stored", association, uid=uid, octets=outcome.octets)

    def _announce(self, listener: Listener) -> None:
        settings = self._settings
        where = ", ".join(f"{host}:{port}" for host, port in listener.addresses)
        tls = " with TLS" if settings.tls else ""
        line = f"{settings.ae_title} is ready on {where}{tls}, storing in {settings.storage.directory}"
        if settings.as_json:
            self._log("server.ready", ae_title=settings.ae_title, addresses=listener.addresses, pid=os.getpid())
        else:
            print(line, flush=True)
        for warning in self._warnings():
            print(f"dulcet: {warning}", file=sys.stderr, flush=True)

    def _warnings(self) -> list[str]:
        settings = self._settings
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


def _calling(association: Association) -> str:
    return "" if association.request is None else str(association.request.calling_ae_title)
