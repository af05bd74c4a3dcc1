"""One seed: a storage SCP, those who send to it, a wire and a disk; and what must be true at every step.

1. What is answered with 0000H is, at that moment, surely on the disk, whole; and it is after every crash.
2. A file under a final name is whole, in memory and on the disk, at every moment.
3. A sender that says "stored" was answered with 0000H.
4. Nothing but a `DulcetError` leaves the SCU, and nothing but an `AssociationError` ends an association of the SCP.
5. No connection has two places, and at the end there are none; no deadline is left, no descriptor, no temporary file.
6. Whatever happened before, a good sender is served at the end.
"""

import random
from collections.abc import Callable
from typing import Any

import trio
from simulated.disk import Directory, Disk, File
from simulated.octets import CT, IMPLICIT, MAX_PDU_LENGTH, data_set_of
from simulated.wire import Weather, Wire

from dulcet.dimse.messages import CEchoRQ, CStoreRQ, CStoreRSP
from dulcet.dimse.status import SUCCESS
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import AssociationError, DulcetError, PeerUnavailableError
from dulcet.services.acceptor import ECHO, Acceptor, Observers
from dulcet.services.admission import Admission
from dulcet.services.limits import Limits
from dulcet.services.listener import Listener
from dulcet.services.storage import Durability, OnConflict, Storage, StorageOptions, StoredObject
from dulcet.services.storage_scp import storage_operation
from dulcet.ul.negotiation import Supported

LIMITS = Limits(max_associations=3, max_per_address=2, max_unassociated=3, grace=5.0)
ENOSPC, EIO = 28, 5
TROUBLES = ("write", "fsync", "link", "create", "mkdir")


class Violation(AssertionError):
    """Something that must be true was not."""


class WiredListener(Listener):
    """A listener whose connections come through wires."""

    async def _transport(self, sock: Any, address: str) -> Any:
        return sock


class World:
    """The server's side of one seed: its lives, its disk, and what it said."""

    def __init__(self, rng: random.Random, say: Callable[[str], None]) -> None:
        self.rng = rng
        self._say = say
        self.sent: dict[str, set[bytes]] = {}
        """Data sets by UID that a sender sends; what else comes is chaos, of which nobody knows what it should be."""
        self.acknowledged: dict[str, set[bytes]] = {}
        """What was answered with 0000H, in this life of the server or one before."""
        self.is_fair = False
        """No more trouble from now on."""
        self.stop = trio.Event()
        """Set: this life of the server ends gracefully."""
        self.is_over = False
        self._root = Directory()
        self._disk = Disk(self._root, rng, self._trouble)
        self._listener: WiredListener | None = None
        self._nursery: trio.Nursery | None = None
        self._wires: list[Wire] = []
        self._connections = 0
        self._operations = 0
        self._crash_at = 0
        self._troubles: dict[str, float] = {}
        self._outcomes: dict[tuple[int, int], Any] = {}

    def say(self, what: str) -> None:
        """For who looks at one seed."""
        self._say(f"{trio.current_time():12.6f} {what}")

    # Lives of the server --------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """One life after the other, until the senders have done what they could."""
        while not self.is_over:
            self.stop = trio.Event()
            self._plan_troubles()
            self._disk = disk = Disk(self._root, self.rng, self._trouble)
            disk.on_name = self._named
            options = StorageOptions(
                directory=disk.path,
                durability=self.rng.choice((Durability.FSYNC, Durability.BATCH)),
                on_conflict=OnConflict.REFUSE if not self.is_fair and self.rng.random() < 0.3 else OnConflict.KEEP_BOTH,
                min_free_octets=0,
            )
            try:
                storage = Storage(options, disk)
            except DulcetError as error:
                self.say(f"the server does not start: {error}")
            else:
                self.say(f"the server serves, {options.durability.value}, {self._troubles}, crash at {self._crash_at}")
                await self._live(storage)
            if disk.is_dead:
                self._root = disk.root.after_crash(self.rng)
                self._check_tree("after the crash")
            await trio.sleep(self.rng.choice((0.0, 1.0, 30.0)))

    def _plan_troubles(self) -> None:
        rng, is_fair = self.rng, self.is_fair
        self._operations = 0
        self._crash_at = rng.randrange(3, 50) if not is_fair and rng.random() < 0.4 else 0
        self._troubles = {rng.choice(TROUBLES): rng.choice((0.1, 0.5))} if not is_fair and rng.random() < 0.2 else {}

    async def _live(self, storage: Storage) -> None:
        listener = self._listener = WiredListener([], self._acceptor(storage))
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            with trio.move_on_after(float("inf") if self.is_fair else self.rng.choice((3.0, 40.0, 1e6))):
                await self.stop.wait()
            self.say("the server ends")
            self._nursery = None
            listener.stop()
            await trio.sleep(0 if self._disk.is_dead else LIMITS.grace)
            nursery.cancel_scope.cancel()
        if listener.associations or listener._unassociated or self._connections:
            raise Violation(f"places are taken and nobody is there: {listener._associated} {listener._unassociated}")
        self._wires.clear()
        storage.close()
        if not self._disk.is_dead:
            self._check_end()

    def _check_end(self) -> None:
        self._check_tree("at the end of a life")
        if self._disk.open_descriptors:
            raise Violation(f"{self._disk.open_descriptors} descriptors are open after the storage was closed")
        left = [path for path, _ in self._disk.root.files() if "/.incoming/" in path]
        if left:
            raise Violation(f"temporary files were left: {left}")

    def _acceptor(self, storage: Storage) -> Acceptor:
        return Acceptor(
            admission=Admission(ae_title="DULCET", allow_any=True),
            supported=Supported(
                transfer_syntaxes={VERIFICATION: {IMPLICIT}, CT: {IMPLICIT}},
                max_pdu_length=MAX_PDU_LENGTH,
                operations_invoked=3,
            ),
            operations={CEchoRQ: ECHO, CStoreRQ: storage_operation(storage, observe=self._observe)},
            limits=LIMITS,
            observers=Observers(trace=self._trace, ended=self._ended),
        )

    # What the server does -------------------------------------------------------------------------------------------

    def _observe(self, association: Any, request: CStoreRQ, outcome: Any) -> None:
        kind = "stored" if isinstance(outcome, StoredObject) else f"refused: {outcome}"
        kind += " again" if getattr(outcome, "is_duplicate", False) else ""
        kind += " beside another" if getattr(outcome, "is_conflict", False) else ""
        self.say(f"the storage: {request.affected_sop_instance_uid} {kind}")
        self._outcomes[id(association), request.message_id] = outcome

    def _trace(self, association: Any) -> Callable[[str, Any], None]:
        def trace(way: str, what: Any) -> None:
            self._check_places()
            if way == ">" and isinstance(what, CStoreRSP):
                self.say(f"the server answers {what.message_id} with {what.status:04X}H")
                if what.status == SUCCESS:
                    self._check_safe(self._outcomes[id(association), what.message_id])

        return trace

    def _ended(self, association: Any, error: Exception | None) -> None:
        self.say(f"an association ended: {error!r:.150}")
        if error is not None and not isinstance(error, AssociationError):
            raise Violation(f"an association ended with {error!r}") from error

    def _check_places(self) -> None:
        listener = self._listener
        assert listener is not None
        if listener.associations + len(listener._unassociated) > self._connections:
            raise Violation(f"{self._connections} connections have more places: {listener._associated}")

    def _check_safe(self, outcome: Any) -> None:
        """0000H is about to be sent: is it true?"""
        uid = outcome.sop_instance_uid
        octets = data_set_of(dict(self._disk.root.safe_files()).get(str(outcome.path), b""))
        if octets is None or octets not in self.sent.get(uid, (octets,)):
            raise Violation(f"{outcome.path} is acknowledged and not surely on the disk")
        self.acknowledged.setdefault(uid, set()).add(octets)

    # The disk -------------------------------------------------------------------------------------------------------

    def _trouble(self, operation: str) -> int | None:
        self._operations += 1
        if self._operations == self._crash_at:
            self.say(f"the system crashes at {operation}")
            self._disk.is_dead = True
            self.stop.set()
            for wire in self._wires:
                wire.break_off()
        if self._disk.is_dead:
            return EIO
        if self.rng.random() < self._troubles.get(operation, 0.0):
            return EIO if operation == "fsync" else self.rng.choice((ENOSPC, EIO))
        return None

    def _named(self, name: str, file: File) -> None:
        """A final name is given: to nothing but a whole object whose octets are safe."""
        if not self._is_whole(name, file.octets) or not self._is_whole(name, file.safe):
            raise Violation(f"{name} is not whole, or not surely on the disk, when it gets its name")

    def _is_whole(self, name: str, octets: bytes | bytearray) -> bool:
        uid = name.removesuffix(".dcm").partition("~")[0]
        return not name.endswith(".dcm") or uid not in self.sent or data_set_of(octets) in self.sent[uid]

    def _check_tree(self, when: str) -> None:
        """Everything that was acknowledged is safe, and nothing is under a final name that is not whole."""
        safe = dict(self._root.safe_files())
        there = {data_set_of(octets) for octets in safe.values()}
        for uid, acknowledged in self.acknowledged.items():
            if not acknowledged <= there:
                raise Violation(f"{uid} was acknowledged and is lost {when}")
        for path, octets in self._root.files():
            if not self._is_whole(path.rpartition("/")[2], octets):
                raise Violation(f"{path} is not whole {when}")

    # The wire -------------------------------------------------------------------------------------------------------

    def connect(self, address: str) -> Any:
        """The client's end of a new connection; PeerUnavailableError when there is no server."""
        if self._nursery is None:
            raise PeerUnavailableError("refused the connection")
        wire = Wire(self.rng, Weather() if self.is_fair else Weather.bad(self.rng), address)
        self._wires.append(wire)
        self._connections += 1
        self._nursery.start_soon(self._serve_one, wire, address)
        return wire.client

    async def _serve_one(self, wire: Wire, address: str) -> None:
        assert self._listener is not None
        try:
            await self._listener._serve(wire.server, address)
        finally:
            self._connections -= 1
