"""Storage SCP: C-STORE performed, PS3.4 Annex B, PS3.7 9.1.1.

The object goes to `storage` as it comes; 0000H is sent when `storage` says that it is safe, whatever that means there.
"""

from collections.abc import Callable, Iterable
from typing import Protocol, cast

from dulcet.dimse.messages import CStoreRQ, Message
from dulcet.dimse.status import PROCESSING_FAILURE, SUCCESS
from dulcet.dimse.uids import STORAGE_SOP_CLASSES
from dulcet.errors import StorageError
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import Sink
from dulcet.services.storage import StoredObject
from dulcet.ul.negotiation import AcceptedContext


class Incoming(Sink, Protocol):
    """An object that comes."""

    async def finish(self) -> StoredObject:
        """Store it, as safely as was promised. StorageError with the status for the response, and then it isn't."""


class Receives(Protocol):
    """Where objects go: a `services.storage.Storage`, or what takes its place."""

    def begin(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae_title: str = ""
    ) -> Incoming:
        """Take an object. StorageError with the status for the response."""


StoreObserver = Callable[[Association, CStoreRQ, StoredObject | StorageError], None]
"""Told of each C-STORE what became of it."""


def storage_operation(
    storage: Receives,
    *,
    sop_classes: Iterable[str] = STORAGE_SOP_CLASSES,
    observe: StoreObserver = lambda _association, _request, _outcome: None,
) -> Operation:
    """C-STORE into `storage` for the contexts of `sop_classes`."""

    def open_sink(association: Association, context: AcceptedContext, message: Message) -> Incoming:
        assert isinstance(message, CStoreRQ)
        calling = "" if association.request is None else association.request.calling_ae_title
        try:
            return storage.begin(
                sop_class_uid=message.affected_sop_class_uid,
                sop_instance_uid=message.affected_sop_instance_uid,
                transfer_syntax_uid=context.transfer_syntax,
                calling_ae_title=calling,
            )
        except StorageError as error:
            return _Refused(error)

    async def perform(association: Association, received: Received) -> None:
        request, sink = received.message, received.sink
        assert isinstance(request, CStoreRQ)
        try:
            outcome = await _finish(sink)
        except StorageError as error:
            observe(association, request, error)
            response = request.response(status=error.status, error_comment=str(error))
        else:
            observe(association, request, outcome)
            response = request.response(status=SUCCESS)
        await association.send(received.context.context_id, response)

    return Operation(perform=perform, sop_classes=frozenset(sop_classes), open_sink=open_sink)


async def _finish(sink: Sink | None) -> StoredObject:
    if sink is None:
        raise StorageError("no data set came with the C-STORE-RQ", status=PROCESSING_FAILURE)
    return await cast("Incoming", sink).finish()  # `open_sink` opened it


class _Refused:
    """An object that could not be begun: what comes is dropped, and the answer is known."""

    def __init__(self, error: StorageError) -> None:
        self.error = error

    def write(self, fragment: memoryview) -> None:
        """Nothing: the association goes on."""

    async def finish(self) -> StoredObject:
        """Never."""
        raise self.error

    def abandon(self) -> None:
        """Nothing to let go of."""
