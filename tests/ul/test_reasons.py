"""What the codes mean: PS3.8 Tables 9-18, 9-21 and 9-26."""

import pytest

from dulcet.ul.reasons import ABORT_REASONS, CONTEXT_RESULTS, REJECT_REASONS, explain_abort, explain_rejection

LEGAL_REJECTIONS = {
    (1, 1): "no-reason-given, by the DICOM UL service-user",
    (1, 2): "application-context-name-not-supported, by the DICOM UL service-user",
    (1, 3): "calling-AE-title-not-recognized, by the DICOM UL service-user",
    (1, 7): "called-AE-title-not-recognized, by the DICOM UL service-user",
    (2, 1): "no-reason-given, by the DICOM UL service-provider (ACSE related function)",
    (2, 2): "protocol-version-not-supported, by the DICOM UL service-provider (ACSE related function)",
    (3, 1): "temporary-congestion, by the DICOM UL service-provider (Presentation related function)",
    (3, 2): "local-limit-exceeded, by the DICOM UL service-provider (Presentation related function)",
}


@pytest.mark.parametrize(("result", "word"), [(1, "rejected-permanent"), (2, "rejected-transient")])
@pytest.mark.parametrize(("source", "reason"), LEGAL_REJECTIONS)
def test_each_of_the_16_rejections(result: int, word: str, source: int, reason: int) -> None:
    assert explain_rejection(result, source, reason) == f"{word}, {LEGAL_REJECTIONS[source, reason]}"


def test_every_octet_is_explained() -> None:
    assert set(REJECT_REASONS) == set(LEGAL_REJECTIONS)
    assert explain_rejection(0, 0, 0) == "result 0 (not defined), reason 0 (reserved), by the source 0 (not defined)"
    for octet in range(256):
        assert explain_rejection(octet, octet, octet)
        assert explain_abort(octet, octet)


@pytest.mark.parametrize(
    ("source", "reason", "text"),
    [
        (0, 0, "aborted by the DICOM UL service-user"),
        (0, 77, "aborted by the DICOM UL service-user"),
        (1, 0, "aborted by the source 1 (reserved)"),
        (2, 0, "aborted by the DICOM UL service-provider, reason-not-specified"),
        (2, 1, "aborted by the DICOM UL service-provider, unrecognized-PDU"),
        (2, 2, "aborted by the DICOM UL service-provider, unexpected-PDU"),
        (2, 4, "aborted by the DICOM UL service-provider, unrecognized-PDU-parameter"),
        (2, 5, "aborted by the DICOM UL service-provider, unexpected-PDU-parameter"),
        (2, 6, "aborted by the DICOM UL service-provider, invalid-PDU-parameter-value"),
        (2, 7, "aborted by the DICOM UL service-provider, reason 7 (not defined)"),
        (9, 0, "aborted by the source 9 (not defined)"),
    ],
)
def test_each_abort(source: int, reason: int, text: str) -> None:
    assert explain_abort(source, reason) == text


def test_the_tables_are_complete() -> None:
    assert list(CONTEXT_RESULTS) == [0, 1, 2, 3, 4]
    assert list(ABORT_REASONS) == [0, 1, 2, 3, 4, 5, 6]
