"""An archive in memory behind our acceptor, and a peer that queries it with octets."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trio
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from dulcet.dimse.messages import CCancelRQ, CFindRQ, CGetRQ, CMoveRQ, CStoreRQ, CStoreRSP
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from dulcet.services.part10 import encode_header, read_header
from dulcet.services.query_retrieve import QueryRetrieve
from dulcet.services.querying.attributes import extended_negotiation
from dulcet.services.querying.identifiers import encode_identifier
from dulcet.services.querying.responding import Page, QueryLimits
from dulcet.services.requestor import Peer
from dulcet.services.retrieving.suboperations import RetrieveLimits
from dulcet.station.archive.destinations import Destination, choose_for_requestor
from dulcet.station.sending.found import FileToSend
from dulcet.ul.items import PresentationContextRQ, RoleSelection
from dulcet.ul.negotiation import Supported
from dulcet.ul.pdu import AReleaseRP

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
CONTEXTS = {1: VERIFICATION, 3: STUDY_ROOT_FIND, 5: STUDY_ROOT_MOVE, 7: STUDY_ROOT_GET, 9: CT}
SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)  # of CT the first: nothing is converted
PAGE_ROWS = 3


@dataclass
class MemoryArchive:
    """Rows and objects, given out in small pages; it remembers what it was asked."""

    rows: list[dict[str, str]] = field(default_factory=list)
    found: list[FileToSend] = field(default_factory=list)
    seconds: float = 0.0
    """That each answer takes."""
    error: Exception | None = None
    pages: int = 0
    asked: list[Any] = field(default_factory=list)

    async def settled(self) -> None:
        await trio.lowlevel.checkpoint()

    async def page(self, search: Any, after: int, seconds: float) -> Page:
        self.pages += 1
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        matches = search.matcher()
        rows = [[row.get(one.name, "") for one in search.attributes] for row in self.rows[after : after + PAGE_ROWS]]
        after += PAGE_ROWS
        return Page([row for row in rows if matches(row)], after if after < len(self.rows) else None)

    async def objects(self, retrieval: Any, limit: int, seconds: float) -> list[FileToSend]:
        self.asked.append(retrieval)
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return self.found[:limit]


class Asking:
    """The peer's side: what it sends, and what comes back."""

    def __init__(self, served: Any, octets: Any, told: list[Any]) -> None:
        self.told = told
        """What the observer was told: (service, status, counts, comment)."""
        self.served = served
        self.octets = octets
        self.peer = served.peer

    async def find(self, keys: Any, message_id: int = 1, *more: bytes) -> None:
        """A C-FIND-RQ."""
        request = CFindRQ(affected_sop_class_uid=STUDY_ROOT_FIND, message_id=message_id)
        await self._ask(request, 3, keys, *more)

    async def move(self, keys: Any = None, to: str = "DULCET", message_id: int = 1, **fields: Any) -> None:
        """A C-MOVE-RQ."""
        request = CMoveRQ(affected_sop_class_uid=STUDY_ROOT_MOVE, message_id=message_id, move_destination=to, **fields)
        await self._ask(request, 5, keys or {0x00080052: "STUDY", 0x0020000D: "1.2"})

    async def get(self, message_id: int = 1) -> None:
        """A C-GET-RQ."""
        request = CGetRQ(affected_sop_class_uid=STUDY_ROOT_GET, message_id=message_id)
        await self._ask(request, 7, {0x00080052: "STUDY", 0x0020000D: "1.2"})

    async def _ask(self, request: Any, context_id: int, keys: Any, *more: bytes) -> None:
        identifier = keys if isinstance(keys, bytes) else encode_identifier(keys, IMPLICIT_VR_LITTLE_ENDIAN)
        message = self.octets.message(request, context_id=context_id)
        await self.peer.send(message + self.octets.data(identifier, context_id=context_id), *more)

    def cancel(self, message_id: int = 1, context_id: int = 3) -> bytes:
        """A C-CANCEL-RQ."""
        return self.octets.message(CCancelRQ(message_id_being_responded_to=message_id), context_id=context_id)

    async def response(self) -> tuple[Any, Any]:
        """The next message, and its data set as pydicom has it; None when there is none."""
        message, octets = await self.peer.whole_message()
        return message, read_dataset(DicomBytesIO(octets), True, True) if message.has_data_set else None

    async def responses(self) -> list[tuple[Any, Any]]:
        """Up to the final response."""
        found = []
        while not found or found[-1][0].status in (0xFF00, 0xFF01):
            found.append(await self.response())
        return found

    async def answer_store(self, status: int = 0) -> CStoreRQ:
        """Take a sub-operation of a C-GET and answer it; the request."""
        request, _ = await self.peer.whole_message()
        assert isinstance(request, CStoreRQ), request
        await self.peer.send(self.octets.message(request.response(status=status), context_id=9))
        return request


@pytest.fixture
def archive() -> MemoryArchive:
    """Empty at first."""
    return MemoryArchive()


@pytest.fixture
def make_objects(tmp_path):
    """Files of stored objects: so many of a SOP class in a transfer syntax."""

    def make(count: int, sop_class: str = CT, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN, first: int = 1):
        found = []
        for number in range(first, first + count):
            path = tmp_path / f"1.9.{number}.dcm"
            header = encode_header(
                sop_class_uid=sop_class, sop_instance_uid=f"1.9.{number}", transfer_syntax_uid=syntax
            )
            path.write_bytes(header + b"\x10\x00\x10\x00PN\x06\x00DOE^J " + b"\xe0\x7f\x10\x00OW\0\0\x04\0\0\0\1\2\3\4")
            with path.open("rb") as file:
                found.append(FileToSend(name=str(path), header=read_header(file.fileno())))
        return found

    return make


@pytest.fixture
def ask(scp, octets, archive):
    """Associates a peer with our acceptor over the archive: keywords are of QueryLimits and RetrieveLimits."""

    async def make(
        *,
        roles: bool = True,
        items: tuple[Any, ...] = (),
        operations_invoked: int = 1,
        matches: int = 1000,
        seconds: float = 5.0,
        **retrieve: Any,
    ) -> Asking:
        destination = Destination(
            peer=Peer(host="pacs.example", port=11112, ae_title="DULCET", calling_ae_title="ARCHIVE"), convert=True
        )
        told: list[Any] = []
        query_retrieve = QueryRetrieve(
            archive=archive,
            ae_title="ARCHIVE",
            observe=lambda _association, request, performed: told.append(
                (request.SERVICE, performed.status, dict(performed.counts), performed.comment)
            ),
            routes=lambda ae_title: destination if ae_title == "DULCET" else None,
            choose=choose_for_requestor,
            query_limits=QueryLimits(matches=matches, seconds=seconds),
            retrieve_limits=RetrieveLimits(**{"pending_seconds": 0.0, **retrieve}),
        )
        served = scp(operations_invoked=operations_invoked)
        served.acceptor = replace(
            served.acceptor,
            operations={**served.acceptor.operations, **query_retrieve.operations()},
            supported=Supported(
                transfer_syntaxes=dict.fromkeys(CONTEXTS.values(), SYNTAXES),
                max_pdu_length=16384,
                requestor_may_be_scp={CT},
                operations_invoked=operations_invoked,
                extended=extended_negotiation,
            ),
        )
        role = RoleSelection(sop_class_uid=CT, scu_role=0, scp_role=1)
        contexts = [
            PresentationContextRQ.propose(number, uid, SYNTAXES[:1] if uid == CT else SYNTAXES[1:])
            for number, uid in CONTEXTS.items()
        ]
        await served.peer.send(octets.request(*contexts, items=(*((role,) if roles else ()), *items)))
        await served.peer.pdu()
        return Asking(served, octets, told)

    return make


class StorageSCP:
    """A storage SCP of octets, at the other end of `network`."""

    def __init__(self, octets: Any) -> None:
        self.octets = octets
        self.requests: list[CStoreRQ] = []
        self.data_sets: list[bytes] = []
        self.statuses: list[int] = []
        """Of its answers, one after the other; then success."""
        self.vanishes_after: int | None = None
        self.silent_after: int | None = None
        self.is_released = False
        self.association_request: Any = None

    async def __call__(self, peer: Any) -> None:
        request = self.association_request = await peer.pdu()
        await peer.send(self.octets.accept(request))
        while True:
            try:
                message, data_set = await peer.whole_message()
            except AssertionError as pdu:
                self.is_released = "AReleaseRQ" in str(pdu)
                await peer.send(AReleaseRP())
                return
            assert isinstance(message, CStoreRQ)
            if self.vanishes_after == len(self.requests):
                return
            if self.silent_after == len(self.requests):
                await trio.sleep_forever()
            self.requests.append(message)
            self.data_sets.append(data_set)
            status = self.statuses.pop(0) if self.statuses else 0
            (context,) = [
                one.context_id
                for one in request.presentation_contexts
                if one.abstract_syntax == message.affected_sop_class_uid
            ]
            response = message.response(status=status)
            assert isinstance(response, CStoreRSP)
            await peer.send(self.octets.message(response, context_id=context))


@pytest.fixture
def destination(network, octets) -> StorageSCP:
    """Where C-MOVE goes."""
    made = StorageSCP(octets)
    network.script = made
    return made
