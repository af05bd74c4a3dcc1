"""Objects to look for, real archives that hold them, and an archive of our own that does what a test wants of it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio

from dulcet.cli import run
from dulcet.conformance.peers.address import LOOPBACK, free_port
from dulcet.dimse.messages import CFindRQ, CGetRQ, CMoveRQ
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from dulcet.services.acceptor import Acceptor, Operation
from dulcet.services.admission import Admission
from dulcet.services.data_sets import BytesSource
from dulcet.services.listener import Listener, bind
from dulcet.services.part10 import encode_header
from dulcet.services.querying.identifiers import Identifier, encode_identifier
from dulcet.services.requestor import Peer, associate
from dulcet.services.store import store
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Supported

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ROOT = "1.2.826.0.1.3680043.9.7"
NAME, PATIENT_ID, LEVEL = 0x00100010, 0x00100020, 0x00080052
STUDY, SERIES, INSTANCE, SOP_CLASS = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
UNIQUE = {"STUDY": STUDY, "SERIES": SERIES, "IMAGE": INSTANCE}


@dataclass(frozen=True, kw_only=True)
class Study:
    """Some hundred octets for each object."""

    number: int
    series: int = 1
    instances: int = 5
    """In each series."""
    name: str = "DOE^JOHN"
    character_set: str = ""
    sop_class: str = CT
    date: str = "20260131"

    @property
    def uid(self) -> str:
        return f"{ROOT}.{self.number}"

    def objects(self) -> Iterator[dict[int, str]]:
        """The attributes of every object."""
        for series in range(1, self.series + 1):
            for instance in range(1, self.instances + 1):
                yield {
                    SOP_CLASS: self.sop_class,
                    INSTANCE: f"{self.uid}.{series}.{instance}",
                    0x00080020: self.date,
                    0x00080030: "101010",
                    0x00080050: f"A{self.number}",
                    0x00080060: "CT" if self.sop_class == CT else "MR",
                    NAME: self.name,
                    PATIENT_ID: f"P{self.number}",
                    0x00100030: "19700101",
                    0x00100040: "O",
                    STUDY: self.uid,
                    SERIES: f"{self.uid}.{series}",
                    0x00200010: str(self.number),
                    0x00200011: str(series),
                    0x00200013: str(instance),
                }

    def write(self, folder: Path) -> None:
        """One file for each object."""
        folder.mkdir(parents=True, exist_ok=True)
        for keys in self.objects():
            header = encode_header(
                sop_class_uid=self.sop_class,
                sop_instance_uid=keys[INSTANCE],
                transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
            )
            data_set = encode_identifier(keys, EXPLICIT_VR_LITTLE_ENDIAN, self.character_set)
            (folder / f"{keys[INSTANCE]}.dcm").write_bytes(header + data_set)

    @property
    def instance_uids(self) -> list[str]:
        return [keys[INSTANCE] for keys in self.objects()]


@pytest.fixture(scope="session")
def study() -> type[Study]:
    return Study


@dataclass(frozen=True)
class Answer:
    """What one command line did."""

    code: int
    output: str
    errors: str


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Answer]:
    """Run a command line in this process, with nobody's configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-configuration"))

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


class Cancelled(Exception):
    """By a C-CANCEL; after so many sub-operations."""


@dataclass(kw_only=True)
class Archive:
    """C-FIND, C-MOVE and C-GET over a few studies, and every way to go wrong."""

    studies: tuple[Study, ...]
    ae_title: str = "ARCHIVE"
    port: int = 0
    destinations: dict[str, int] = field(default_factory=dict)
    """AE title -> port: what a C-MOVE knows."""
    calling: str = "ARCHIVE"
    """The title that it calls a destination with."""
    sends: Callable[[list[dict[int, str]]], list[dict[int, str]]] = lambda objects: objects
    """Which of the objects it really sends."""
    final_first: float | None = None
    """Answers before it sends, and begins so many seconds later."""
    status: int | None = None
    """Of a C-MOVE, without sending anything."""
    claims: int | None = None
    """How many sub-operations it says were completed."""
    dies_after: int | None = None
    """Objects after which its association is aborted."""
    lists_images: bool = True
    has_move: bool = True
    has_get: bool = True
    holds_after: int | None = None
    """Matches after which it waits for `go_on`, and listens for a C-CANCEL meanwhile."""
    holds_move_after: int | None = None
    """The same for the objects of a C-MOVE."""
    requests: list[Any] = field(default_factory=list)
    asked: list[dict[int, str]] = field(default_factory=list)
    """The level and the UIDs of each C-MOVE."""
    later: Any = None
    token: Any = None
    scope: Any = None
    go_on: trio.Event = field(default_factory=trio.Event)

    def release(self) -> None:
        """From another thread: let it go on."""
        trio.from_thread.run_sync(self.go_on.set, trio_token=self.token)

    async def hold(self, association: Any, message_id: int, is_due: bool) -> bool:
        """Whether the operation was cancelled while we waited."""
        if not is_due:
            return False
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                await association.read_until(lambda: message_id in association.cancelled_operations)
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            await self.go_on.wait()
            nursery.cancel_scope.cancel()
        return message_id in association.cancelled_operations

    def matching(self, identifier: Identifier) -> list[dict[int, str]]:
        """The objects that the unique keys of an identifier name."""
        found = [keys for study in self.studies for keys in study.objects()]
        for tag in (STUDY, SERIES, INSTANCE):
            values = identifier.values(tag)
            if values:
                found = [keys for keys in found if keys[tag] in values]
        return found

    async def find(self, association: Any, received: Any) -> None:
        request, context = received.message, received.context
        self.requests.append(request)
        identifier = Identifier(bytes(received.sink.octets), context.transfer_syntax)
        level = identifier.text(LEVEL)
        if level == "IMAGE" and not self.lists_images:
            await association.send(context.context_id, request.response(status=0xA900))
            return
        entities = {keys[UNIQUE[level]]: keys for keys in self.matching(identifier)}
        for number, keys in enumerate(entities.values()):
            if await self.hold(association, request.message_id, number == self.holds_after):
                await association.send(context.context_id, request.response(status=0xFE00))
                return
            answer = {tag: keys.get(tag, "") for tag in identifier.elements}
            if 0x00201208 in answer:
                answer[0x00201208] = str(
                    len([each for each in self.matching(identifier) if each[STUDY] == keys[STUDY]])
                )
            octets = encode_identifier({**answer, LEVEL: level}, context.transfer_syntax)
            pending = request.response(status=0xFF00, has_data_set=True)
            await association.send(context.context_id, pending, BytesSource(octets))
        await association.send(context.context_id, request.response(status=0))

    async def move(self, association: Any, received: Any) -> None:
        request, context = received.message, received.context
        self.requests.append(request)
        identifier = Identifier(bytes(received.sink.octets), context.transfer_syntax)
        told = {tag: "\\".join(identifier.values(tag)) for tag in (SERIES, INSTANCE)}
        self.asked.append({LEVEL: identifier.text(LEVEL), **told})
        objects = self.matching(identifier)
        port = self.destinations.get(request.move_destination)
        if self.status is not None or port is None:
            await association.send(context.context_id, request.response(status=self.status or 0xA801))
            return
        to = Peer(host=LOOPBACK, port=port, ae_title=request.move_destination, calling_ae_title=self.calling)
        final = self._final(request, len(self.sends(objects)) if self.claims is None else self.claims, 0)
        if self.final_first is not None:
            await association.send(context.context_id, final)
            self.later.start_soon(self._send_later, to, self.sends(objects))
            return

        async def pending(done: int) -> None:
            if await self.hold(association, request.message_id, done == self.holds_move_after):
                raise Cancelled(done)
            if self.dies_after == done:
                await association.abort()
            counted = request.response(
                status=0xFF00,
                number_of_remaining_suboperations=len(objects) - done,
                number_of_completed_suboperations=done,
                number_of_failed_suboperations=0,
                number_of_warning_suboperations=0,
            )
            await association.send(context.context_id, counted)

        try:
            await self._send(to, self.sends(objects), pending)
        except Cancelled as cancelled:
            final = replace(self._final(request, cancelled.args[0], 0), status=0xFE00)
        await association.send(context.context_id, final)

    async def get(self, association: Any, received: Any) -> None:
        request, context = received.message, received.context
        self.requests.append(request)
        identifier = Identifier(bytes(received.sink.octets), context.transfer_syntax)
        contexts = {each.abstract_syntax: each.context_id for each in association.contexts.values()}
        done = 0
        for keys in self.sends(self.matching(identifier)):
            await self._store(association, contexts[keys[SOP_CLASS]], keys)
            done += 1
        await association.send(context.context_id, self._final(request, done, 0))

    def _final(self, request: Any, completed: int, failed: int) -> Any:
        return request.response(
            status=0,
            number_of_completed_suboperations=completed,
            number_of_failed_suboperations=failed,
            number_of_warning_suboperations=0,
        )

    async def _send_later(self, to: Peer, objects: list[dict[int, str]]) -> None:
        await trio.sleep(self.final_first or 0)

        async def nothing(_done: int) -> None:
            pass

        await self._send(to, objects, nothing)

    async def _send(self, to: Peer, objects: list[dict[int, str]], tell: Callable[[int], Any]) -> None:
        classes = sorted({keys[SOP_CLASS] for keys in objects})
        contexts = [
            PresentationContextRQ.propose(2 * index + 1, uid, (EXPLICIT_VR_LITTLE_ENDIAN,))
            for index, uid in enumerate(classes)
        ]
        if not contexts:
            return
        async with associate(to, contexts) as association:
            for number, keys in enumerate(objects):
                await tell(number)
                await self._store(association, 2 * classes.index(keys[SOP_CLASS]) + 1, keys)

    async def _store(self, association: Any, context_id: int, keys: dict[int, str]) -> None:
        octets = encode_identifier(keys, association.contexts[context_id].transfer_syntax)
        await store(
            association,
            context_id,
            sop_class_uid=keys[SOP_CLASS],
            sop_instance_uid=keys[INSTANCE],
            data_set=BytesSource(octets),
        )

    @property
    def peer(self) -> Peer:
        return Peer(host=LOOPBACK, port=self.port, ae_title=self.ae_title, calling_ae_title="DULCET")

    async def serve(self, *, task_status: Any) -> None:
        """Until cancelled."""
        syntaxes = {EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN}
        models = [STUDY_ROOT_FIND, PATIENT_ROOT_FIND]
        models += [STUDY_ROOT_MOVE] * self.has_move + [STUDY_ROOT_GET] * self.has_get
        storage = [CT, MR] if self.has_get else []
        sockets = bind(LOOPBACK, 0, backlog=16)
        self.port = sockets[0].getsockname()[1]
        acceptor = Acceptor(
            admission=Admission(ae_title=self.ae_title),
            supported=Supported(
                transfer_syntaxes=dict.fromkeys([*models, *storage], syntaxes),
                max_pdu_length=16384,
                requestor_may_be_scp=storage,
            ),
            operations={
                CFindRQ: Operation(perform=self.find, sop_classes=frozenset(models)),
                CMoveRQ: Operation(perform=self.move, sop_classes=frozenset(models)),
                CGetRQ: Operation(perform=self.get, sop_classes=frozenset(models)),
            },
        )
        try:
            async with trio.open_nursery() as self.later:
                task_status.started()
                await Listener(sockets, acceptor).serve()
        finally:
            for sock in sockets:
                sock.close()


@pytest.fixture
async def archive(nursery: trio.Nursery) -> Callable[..., Any]:
    """Starts an `Archive`: keywords are its fields."""

    async def start(*studies: Study, **fields: Any) -> Archive:
        made = Archive(studies=studies, **fields)
        await nursery.start(made.serve)
        return made

    return start


@pytest.fixture
def archive_thread() -> Iterator[Callable[..., Any]]:
    """Starts an `Archive` in a thread, for tests of the command line."""
    stops = []

    def start(*studies: Study, **fields: Any) -> Archive:
        made = Archive(studies=studies, **fields)
        ready = threading.Event()
        thread = threading.Thread(target=trio.run, args=(serve, made, ready))
        thread.start()
        assert ready.wait(60)
        stops.append((made, thread))
        return made

    async def serve(made: Archive, ready: threading.Event) -> None:
        made.token, made.scope = trio.lowlevel.current_trio_token(), trio.CancelScope()
        with made.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(made.serve)
                ready.set()

    yield start
    for made, thread in stops:
        trio.from_thread.run_sync(made.scope.cancel, trio_token=made.token)
        thread.join(60)


@pytest.fixture
def port() -> int:
    """Where our receiver may listen."""
    return free_port()
