"""The reason of a job that ended: of all that failed, not of the first."""

from types import SimpleNamespace

import pytest

from dulcet.station.queue import endings
from dulcet.station.queue.jobs import JobKind


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], ""),
        ([(None, "it has vanished")], "it has vanished"),
        ([(None, "it has vanished")] * 3, "it has vanished"),
        ([(None, "gone"), (0xA700, "")], "gone (1), and 1 other reason"),
        ([(0xA700, ""), (None, "x"), (0xA700, ""), (None, "y")], "Refused: Out of resources (2), and 2 other reasons"),
    ],
)
def test_several_reasons_are_not_told_as_one(rows, reason):
    job = SimpleNamespace(order=SimpleNamespace(kind=JobKind.SEND))
    failed = [SimpleNamespace(status=status, reason=text) for status, text in rows]
    assert endings._common_reason(job, failed) == reason
