"""The octet stream, cut into whole PDUs: PS3.8 9.3.1.

One buffer, reused for the life of the connection: the shell receives into it, the PDUs are views of it. What a header
promises is checked before anything is kept, so a peer decides how much it sends, never how much memory we hold.
"""

from typing import NamedTuple

from dulcet.errors import DecodeError
from dulcet.ul.pdata import P_DATA_TF_TYPE, PDU_HEADER_OCTETS
from dulcet.ul.pdu import PDU_TYPES

MAX_ASSOCIATE_PDU_OCTETS = 64 * 1024  # 128 contexts of three transfer syntaxes take about 18 kB
MIN_PDU_LENGTH = 8  # a PDV header of 6 octets and 2 of data: less can carry nothing (PS3.8 D.1, E.1)
MIN_BUFFER_OCTETS = 64 * 1024  # what one receive should be able to bring
_ASSOCIATE_TYPES = (0x01, 0x02)
_FIXED_PDU_LENGTH = 4  # A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP, A-ABORT: PS3.8 Tables 9-21, 9-24 to 9-26


class Frame(NamedTuple):
    """One whole PDU, or the reason why what came can't be one."""

    octets: memoryview
    """Header included; a view, valid until more is received."""
    error: DecodeError | None
    """None for a whole PDU; else no later octet of this stream means anything."""


class Framer:
    """Cuts what was received into PDUs. Memory: one buffer of the largest PDU allowed plus one receive.

    `max_pdu_length` is what we announced (PS3.8 D.1): a P-DATA-TF whose PDU length exceeds it is wrong on its header.
    Not 0, which would announce any length. ValueError for less than MIN_PDU_LENGTH.
    """

    def __init__(self, *, max_pdu_length: int, max_associate_octets: int = MAX_ASSOCIATE_PDU_OCTETS) -> None:
        if max_pdu_length < MIN_PDU_LENGTH or max_associate_octets < MIN_PDU_LENGTH:
            raise ValueError(f"a PDU of at most {min(max_pdu_length, max_associate_octets)} octets can carry nothing")
        self._limits = dict.fromkeys(PDU_TYPES, _FIXED_PDU_LENGTH)
        self._limits[P_DATA_TF_TYPE] = max_pdu_length
        for pdu_type in _ASSOCIATE_TYPES:
            self._limits[pdu_type] = max_associate_octets
        largest = max(max_pdu_length, max_associate_octets) + PDU_HEADER_OCTETS
        self._buffer = bytearray(largest + max(largest, MIN_BUFFER_OCTETS))
        self._view = memoryview(self._buffer)
        self._reserve = largest
        self._start = 0
        self._end = 0

    @property
    def pending_octets(self) -> int:
        """Octets received that are not part of a PDU handed out yet."""
        return self._end - self._start

    def receive_buffer(self) -> memoryview:
        """Where the next octets may be received. Views handed out before become invalid.

        Never empty once `next_frame()` has answered None.
        """
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start > self._reserve or max(self._start + self._reserve, self._end + 1) > len(self._buffer):
            left = self._end - self._start
            self._view[:left] = self._view[self._start : self._end]
            self._start, self._end = 0, left
        return self._view[self._end :]

    def received(self, count: int) -> None:
        """`count` octets were received into `receive_buffer()`."""
        self._end += count

    def discard(self) -> None:
        """Forget what is pending: after a framing error the stream means nothing."""
        self._start = self._end = 0

    def next_frame(self) -> Frame | None:
        """The next whole PDU; None when more octets are needed. A wrong type or length shows on the first octets."""
        pending = self._end - self._start
        if not pending:
            return None
        start = self._start
        limit = self._limits.get(self._buffer[start])
        if limit is None:
            return self._wrong(f"type {self._buffer[start]:02X}H is not a PDU type", "pdu_type", 1)
        if pending < PDU_HEADER_OCTETS:
            return None
        length = int.from_bytes(self._buffer[start + 2 : start + 6], "big")
        if length > limit or (length != limit and limit == _FIXED_PDU_LENGTH):
            bound = "exactly" if limit == _FIXED_PDU_LENGTH else "at most"
            return self._wrong(f"{length} octets announced, {bound} {limit} expected", "pdu_length", 6)
        if pending < length + PDU_HEADER_OCTETS:
            return None
        self._start = start + length + PDU_HEADER_OCTETS
        return Frame(self._view[start : self._start], None)

    def _wrong(self, explanation: str, field: str, abort_reason: int) -> Frame:
        name = PDU_TYPES[self._buffer[self._start]].NAME if abort_reason != 1 else "PDU"
        error = DecodeError(explanation, table=f"PS3.8 9.3.1 {name}", field=field, abort_reason=abort_reason)
        return Frame(self._view[self._start : min(self._end, self._start + PDU_HEADER_OCTETS)], error)
