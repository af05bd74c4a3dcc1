"""One file on its way out: opened, converted if need be, sent, and what became of it."""

import time

from dulcet.dimse.status import Category, categorize, explain
from dulcet.services.association import Association
from dulcet.services.object_to_send import PreparedObject
from dulcet.services.store import PendingStore, Stored, start_store
from dulcet.station.events import Outcome, StoreResult
from dulcet.station.sending.found import FileToSend
from dulcet.station.sending.presentation_contexts import ContextChoice
from dulcet.station.sending.progress import Transfer

STORAGE = "C-STORE"


class Outgoing:
    """A file, its attempts, and its share of the progress."""

    __slots__ = (
        "_choice",
        "_counted",
        "_octets",
        "_prepared",
        "_seconds",
        "_started",
        "_transfer",
        "attempts",
        "file",
        "not_before",
        "pending",
    )

    def __init__(self, file: FileToSend, transfer: Transfer) -> None:
        self.file = file
        self.attempts = 0
        self.not_before = 0.0
        """On trio's clock: a retry should wait until then."""
        self.pending: PendingStore | None = None
        """Set while the object is out, whole, and its response is not here."""
        self._transfer = transfer
        self._prepared: PreparedObject | None = None
        self._choice: ContextChoice | None = None
        self._counted = 0
        self._octets = file.size
        self._started = 0.0
        self._seconds: float | None = None

    async def open(self, choice: ContextChoice, buffer: memoryview, fragment_octets: int) -> None:
        """Open the file, convert it if `choice` says so, and read its first octets into `buffer`.

        NoInputError, SourceError or ConversionError say why it can't be sent; nothing is open then.
        """
        self._choice = choice
        self._prepared = await PreparedObject.prepare(
            self.file, choice.convert_to, buffer, fragment_octets, self._count
        )
        self._octets = self._prepared.size

    async def start(self, association: Association) -> None:
        """Send the object, whole; its response is awaited by `finish`."""
        assert self._choice is not None
        assert self._prepared is not None
        self.attempts += 1
        self._started = time.monotonic()
        header = self.file.header
        try:
            self.pending = await start_store(
                association,
                self._choice.context_id,
                sop_class_uid=header.sop_class_uid,
                sop_instance_uid=header.sop_instance_uid,
                data_set=self._prepared.source,
            )
        finally:
            self.close()

    async def finish(self) -> Stored:
        """Wait for the response; UnconfirmedError when it doesn't come."""
        assert self.pending is not None
        stored = await self.pending.response()
        self.pending = None
        self._seconds = time.monotonic() - self._started
        return stored

    def close(self) -> None:
        """Close what is open. Harmless when repeated."""
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None

    def rewind(self) -> None:
        """Before another attempt: what was counted as sent is to be sent again."""
        self._transfer.octets -= self._counted
        self._counted = 0
        self.pending = None
        self.close()

    def judge(self, stored: Stored) -> StoreResult:
        """The result that the status of the response means (PS3.4 B.2.3)."""
        category = categorize(stored.status, STORAGE)
        if category is Category.SUCCESS:
            return self.result(Outcome.STORED, status=stored.status)
        text = explain(stored.status, STORAGE)
        comment = stored.error_comment or None
        if category is Category.WARNING:
            return self.result(Outcome.WARNING, text, status=stored.status, error_comment=comment)
        code = 75 if stored.status & 0xFF00 == 0xA700 else 76
        return self.result(Outcome.REFUSED, text, status=stored.status, error_comment=comment, exit_code=code)

    def result(
        self,
        outcome: Outcome,
        explanation: str | None = None,
        *,
        status: int | None = None,
        error_comment: str | None = None,
        exit_code: int = 0,
    ) -> StoreResult:
        """What became of the file; it counts as done from here on."""
        self.close()
        transfer = self._transfer
        transfer.objects += 1
        transfer.octets += self.file.size - self._counted
        if outcome not in (Outcome.STORED, Outcome.WARNING):
            transfer.failed += 1
        header = self.file.header
        return StoreResult(
            name=self.file.name,
            outcome=outcome,
            explanation=explanation,
            status=status,
            error_comment=error_comment,
            exit_code=exit_code,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            converted_to=None if self._choice is None else self._choice.convert_to,
            octets=self._octets,
            seconds=self._seconds,
            attempts=self.attempts,
        )

    def _count(self, octets: int) -> None:
        self._counted += octets
        self._transfer.octets += octets
