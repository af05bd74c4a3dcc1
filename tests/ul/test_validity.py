"""PDUs that can be decoded and are invalid all the same: Evt19 beyond the layouts."""

from dataclasses import replace

import pytest

from dulcet.ul.items import (
    ApplicationContext,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
)
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AETitle, AReleaseRP, AReleaseRQ
from dulcet.ul.validity import MAX_PRESENTATION_CONTEXTS, MAX_TRANSFER_SYNTAXES, why_invalid

VERIFICATION, IMPLICIT, EXPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
TITLES = {"called_ae_title": AETitle("CALLED"), "calling_ae_title": AETitle("CALLING")}


def request(*contexts):
    return AAssociateRQ(**TITLES, items=(ApplicationContext(), *contexts, UserInformation(sub_items=())))


def proposed(*context_ids):
    return [PresentationContextRQ.propose(context_id, VERIFICATION, [IMPLICIT]) for context_id in context_ids]


def answer(*contexts, application_context="1.2.840.10008.3.1.1.1", maximum=0):
    user = UserInformation(sub_items=(MaximumLength(maximum_length_received=maximum),))
    return AAssociateAC(**TITLES, items=(ApplicationContext(name=application_context), *contexts, user))


REQUEST = request(
    PresentationContextRQ.propose(1, VERIFICATION, [IMPLICIT, EXPLICIT]),
    PresentationContextRQ.propose(255, VERIFICATION, [IMPLICIT]),
)
ACCEPTED = PresentationContextAC.answer(1, 0, IMPLICIT)


@pytest.mark.parametrize(
    "pdu",
    [
        request(),
        request(*proposed(*range(1, 256, 2))),
        request(*proposed(*range(255, 0, -2))),
        request(PresentationContextRQ.propose(1, VERIFICATION, [IMPLICIT] * MAX_TRANSFER_SYNTAXES)),
        request(PresentationContextRQ(context_id=1, sub_items=())),
        replace(REQUEST, protocol_version=0),
        replace(request(*proposed(2, 2, 0)), protocol_version=2),
        AAssociateRJ(result=9, source=9, reason=9),
        AReleaseRQ(),
        AReleaseRP(),
        AAbort(source=9, reason=200),
    ],
)
def test_what_may_be_acted_on(pdu):
    assert why_invalid(pdu, None) is None


@pytest.mark.parametrize(
    ("contexts", "text"),
    [
        (proposed(2), "Table 9-13 context_id: 2 is not odd"),
        (proposed(0), "Table 9-13 context_id: 0 is not odd"),
        (proposed(1, 3, 254), "Table 9-13 context_id: 254 is not odd"),
        (proposed(1, 3, 1), "Table 9-13 context_id: 1 is used twice"),
        (proposed(*range(1, 256, 2), 1), "Table 9-13 context_id: 129 contexts, at most 128 are possible"),
        (
            [PresentationContextRQ.propose(7, VERIFICATION, [IMPLICIT] * (MAX_TRANSFER_SYNTAXES + 1))],
            "Table 9-13 transfer_syntaxes: 129 in context 7, at most 128 are taken",
        ),
    ],
)
def test_a_request_that_is_invalid(contexts, text):
    error = why_invalid(request(*contexts), None)
    assert str(error) == text
    assert error.abort_reason == 6


@pytest.mark.parametrize(
    "pdu",
    [
        answer(ACCEPTED, PresentationContextAC.answer(255, 3, "")),
        answer(PresentationContextAC.answer(255, 1, "ZZZ"), PresentationContextAC.answer(1, 0, EXPLICIT)),
        answer(PresentationContextAC(context_id=1, result=4, sub_items=())),
        answer(PresentationContextAC.answer(1, 9, "")),
        answer(),
        answer(ACCEPTED, maximum=8),
        AAssociateAC(**TITLES, items=(ACCEPTED,)),
        replace(answer(ACCEPTED), protocol_version=0, called_ae_title=AETitle(""), calling_ae_title=AETitle("OTHER")),
    ],
)
def test_an_answer_that_may_be_acted_on(pdu):
    assert why_invalid(pdu, REQUEST) is None


@pytest.mark.parametrize(
    ("pdu", "text"),
    [
        (
            answer(PresentationContextAC.answer(2, 0, IMPLICIT)),
            "Table 9-18 context_id: 2 is not odd",
        ),
        (answer(ACCEPTED, ACCEPTED), "Table 9-18 context_id: 1 is used twice"),
        (
            answer(PresentationContextAC.answer(3, 3, "")),
            "Table 9-18 context_id: 3 was not proposed",
        ),
        (
            answer(PresentationContextAC.answer(255, 0, EXPLICIT)),
            "Table 9-18 transfer_syntax: context 255 accepted with a transfer syntax that was not offered",
        ),
        (
            answer(PresentationContextAC(context_id=1, result=0, sub_items=())),
            "Table 9-18 transfer_syntax: context 1 accepted with a transfer syntax that was not offered",
        ),
        (
            answer(ACCEPTED, application_context="1.2.3"),
            "Table 9-12 name: the application context returned is not DICOM's",
        ),
        (answer(ACCEPTED, maximum=1), "Table D.1-1 maximum_length_received: 1 octets can carry nothing"),
        (answer(ACCEPTED, maximum=7), "Table D.1-1 maximum_length_received: 7 octets can carry nothing"),
    ],
)
def test_an_answer_that_is_invalid(pdu, text):
    error = why_invalid(pdu, REQUEST)
    assert str(error) == text
    assert error.abort_reason == 6
    assert why_invalid(pdu, None) is None, "an answer that is not awaited is judged by the table alone"


def test_there_are_128_odd_numbers_in_an_octet():
    assert len(range(1, 256, 2)) == MAX_PRESENTATION_CONTEXTS
