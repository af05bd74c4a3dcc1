"""What was proposed and what is supported make the answer: PS3.8 7.1.1, PS3.7 D.3."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.ul.fields import AETitle
from dulcet.ul.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dulcet.ul.items import (
    ApplicationContext,
    AsynchronousOperationsWindow,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
)
from dulcet.ul.negotiation import (
    REJECTED_APPLICATION_CONTEXT,
    REJECTED_CALLED_AE_TITLE,
    REJECTED_CALLING_AE_TITLE,
    REJECTED_LOCAL_LIMIT,
    REJECTED_NO_REASON,
    REJECTED_TEMPORARY_CONGESTION,
    REJECTED_USER_IDENTITY,
    AcceptedContext,
    Supported,
    answer,
    outcome,
    propose,
)
from dulcet.ul.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ, decode_pdu
from dulcet.ul.reasons import explain_rejection
from dulcet.ul.validity import why_invalid

CT, MR, LOG, SR = (f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("2", "4", "88.40", "88.22"))
IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"
SUPPORTED = Supported(transfer_syntaxes={CT: {IMPLICIT, EXPLICIT}, SR: {EXPLICIT}}, max_pdu_length=65536)
CT_CONTEXT = PresentationContextRQ.propose(1, CT, [IMPLICIT])


def request(*user_items, contexts=(CT_CONTEXT,), maximum=16384):
    return propose(
        called_ae_title="CALLED", calling_ae_title="CALLING", contexts=contexts, max_pdu_length=maximum,
        user_items=user_items,
    )  # fmt: skip


def accepted(asked: AAssociateRQ, supported: Supported = SUPPORTED) -> AAssociateAC:
    """The answer, which is an A-ASSOCIATE-AC that its requestor finds valid and that survives the wire."""
    reply = answer(asked, supported)
    assert isinstance(reply, AAssociateAC)
    assert decode_pdu(reply.encode()) == (reply, ())
    assert why_invalid(reply, asked) is None
    return reply


def window(invoked, performed):
    return AsynchronousOperationsWindow(
        maximum_number_operations_invoked=invoked, maximum_number_operations_performed=performed
    )


def role(uid, scu, scp):
    return RoleSelection(sop_class_uid=uid, scu_role=scu, scp_role=scp)


def extended(uid, information):
    return SOPClassExtendedNegotiation(sop_class_uid=uid, service_class_application_information=information)


def identity(kind, response_requested):
    return UserIdentityRQ(
        user_identity_type=kind, positive_response_requested=response_requested, primary_field=b"nurse"
    )


def response(asked, *user_items, contexts=None):
    """An A-ASSOCIATE-AC as any peer might send it."""
    contexts = contexts or [PresentationContextAC.answer(1, 0, IMPLICIT)]
    return AAssociateAC(
        called_ae_title=asked.called_ae_title,
        calling_ae_title=asked.calling_ae_title,
        items=(
            ApplicationContext(),
            *contexts,
            UserInformation(sub_items=(MaximumLength(maximum_length_received=4096), *user_items)),
        ),
    )


# The request --------------------------------------------------------------------------------------------------------


def test_what_is_proposed_is_as_the_standard_wants_it():
    asked = request(identity(1, 0), extended(CT, b"\1"), role(CT, 1, 1), window(4, 1))
    assert decode_pdu(asked.encode()) == (asked, ())
    assert asked.protocol_version == 1
    assert (asked.called_ae_title, asked.calling_ae_title, asked.reserved) == ("CALLED", "CALLING", bytes(32))
    assert [item.ITEM_TYPE for item in asked.items] == [0x10, 0x20, 0x50]
    assert [item.ITEM_TYPE for item in asked.user_items] == [0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x58]
    assert asked.application_context_name == "1.2.840.10008.3.1.1.1"
    assert asked.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert asked.implementation_version_name == IMPLEMENTATION_VERSION_NAME
    assert asked.maximum_length_received == 16384


def test_who_we_are_fits_in_its_fields():
    assert len(IMPLEMENTATION_CLASS_UID) <= 64
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16
    deviations: list[object] = []
    ImplementationClassUID.decode(ImplementationClassUID(uid=IMPLEMENTATION_CLASS_UID).encode(), deviations)
    ImplementationVersionName.decode(ImplementationVersionName(name=IMPLEMENTATION_VERSION_NAME).encode(), deviations)
    assert deviations == []


# The answer as a whole ----------------------------------------------------------------------------------------------


def test_the_reserved_octets_are_returned_as_received():
    """PS3.8 Table 9-17: octets 11-26, 27-42 and 43-74."""
    asked = replace(
        request(),
        called_ae_title=AETitle.from_octets(b"  CALLED  \0\xff\x1b   "),
        calling_ae_title=AETitle.from_octets(b"            LAST"),
        reserved=bytes(range(32)),
        protocol_version=0xFFFF,
    )
    reply = accepted(asked)
    assert reply.encode()[10:74] == asked.encode()[10:74]
    assert reply.protocol_version == 1


def test_the_items_are_one_application_context_the_contexts_and_one_user_information():
    asked = request(
        identity(2, 1),
        extended(CT, b"\1"),
        role(CT, 1, 0),
        window(0, 0),
        contexts=[PresentationContextRQ.propose(2 * index + 1, CT, [IMPLICIT]) for index in range(128)],
    )
    reply = accepted(asked, replace(SUPPORTED, extended=lambda uid, info: info, authenticate=lambda item: b""))
    assert [item.ITEM_TYPE for item in reply.items] == [0x10, *[0x21] * 128, 0x50]
    assert [item.ITEM_TYPE for item in reply.user_items] == [0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x59]
    assert reply.maximum_length_received == 65536


def test_what_is_not_asked_is_not_answered():
    reply = accepted(request(), replace(SUPPORTED, extended=lambda uid, info: info, authenticate=lambda item: b""))
    assert [item.ITEM_TYPE for item in reply.user_items] == [0x51, 0x52, 0x55]


@pytest.mark.parametrize("name", ["1.2.3.4.5", "", "1.2.840.10008.3.1.1"])
def test_another_application_context_is_rejected(name):
    asked = request()
    asked = replace(asked, items=(ApplicationContext(name=name), *asked.items[1:]))
    assert answer(asked, SUPPORTED) == REJECTED_APPLICATION_CONTEXT == AAssociateRJ(result=1, source=1, reason=2)


def test_no_application_context_is_rejected():
    asked = request()
    assert answer(replace(asked, items=asked.items[1:]), SUPPORTED) == REJECTED_APPLICATION_CONTEXT


@pytest.mark.parametrize("maximum", range(1, 8))
def test_a_maximum_that_can_carry_nothing_is_rejected(maximum):
    assert answer(request(maximum=maximum), SUPPORTED) == REJECTED_NO_REASON


@pytest.mark.parametrize("maximum", [0, 8, 0xFFFFFFFF])
def test_any_other_maximum_is_taken(maximum):
    asked = request(maximum=maximum)
    assert outcome(asked, accepted(asked), is_requestor=False).max_pdu_length == maximum


def test_no_contexts_are_rejected():
    assert answer(request(contexts=()), SUPPORTED) == REJECTED_NO_REASON


def test_a_request_without_user_information_is_answered():
    asked = request()
    asked = replace(asked, items=asked.items[:-1])
    agreed = outcome(asked, accepted(asked), is_requestor=False)
    assert (agreed.max_pdu_length, agreed.operations_invoked, agreed.operations_performed) == (0, 1, 1)


@pytest.mark.parametrize(
    ("rejection", "text"),
    [
        (REJECTED_NO_REASON, "rejected-permanent, no-reason-given, by the DICOM UL service-user"),
        (REJECTED_APPLICATION_CONTEXT, "rejected-permanent, application-context-name-not-supported, by the DICOM UL"),
        (
            REJECTED_CALLING_AE_TITLE,
            "rejected-permanent, calling-AE-title-not-recognized, by the DICOM UL service-user",
        ),
        (REJECTED_CALLED_AE_TITLE, "rejected-permanent, called-AE-title-not-recognized, by the DICOM UL service-user"),
        (REJECTED_USER_IDENTITY, "rejected-permanent, no-reason-given, by the DICOM UL service-provider (ACSE"),
        (
            REJECTED_TEMPORARY_CONGESTION,
            "rejected-transient, temporary-congestion, by the DICOM UL service-provider (P",
        ),
        (REJECTED_LOCAL_LIMIT, "rejected-transient, local-limit-exceeded, by the DICOM UL service-provider (Pres"),
    ],
)
def test_each_rejection_says_what_its_name_says(rejection, text):
    assert explain_rejection(rejection.result, rejection.source, rejection.reason).startswith(text)


# Presentation contexts ----------------------------------------------------------------------------------------------

syntaxes = st.sampled_from([IMPLICIT, EXPLICIT, JPEG, "1.2.3"])


@given(
    st.lists(st.tuples(st.sampled_from([CT, MR, SR, LOG]), st.lists(syntaxes, max_size=5)), min_size=1, max_size=128),
    st.randoms(use_true_random=False),
)
def test_each_context_has_one_answer_of_its_own(proposed, random):
    ids = list(range(1, 256, 2))
    random.shuffle(ids)
    contexts = [PresentationContextRQ.propose(ids[index], *each) for index, each in enumerate(proposed)]
    reply = accepted(request(contexts=contexts))
    assert [context.context_id for context in reply.presentation_contexts] == ids[: len(contexts)]
    for asked, answered in zip(contexts, reply.presentation_contexts, strict=True):
        takes = SUPPORTED.transfer_syntaxes.get(asked.abstract_syntax)
        usable = [] if takes is None else [name for name in asked.transfer_syntaxes if name in takes]
        assert len(answered.sub_items) == 1
        assert answered.result == (3 if takes is None else 0 if usable else 4)
        if usable:
            assert answered.transfer_syntax == usable[0]


def test_a_context_without_abstract_or_transfer_syntaxes_is_refused():
    contexts = [PresentationContextRQ(context_id=1, sub_items=()), PresentationContextRQ.propose(3, CT, [])]
    answered = accepted(request(contexts=contexts)).presentation_contexts
    assert [(context.result, context.transfer_syntax) for context in answered] == [(3, ""), (4, "")]


def test_an_unknown_class_is_taken_as_its_related_general_class():
    """PS3.7 D.3.3.6; the sub-item is not answered."""
    general = SOPClassCommonExtendedNegotiation(
        sop_class_uid=LOG, service_class_uid="1.2.840.10008.4.2", related_general_sop_class_uids=(MR, SR)
    )
    asked = request(general, contexts=[PresentationContextRQ.propose(1, LOG, [IMPLICIT, EXPLICIT])])
    reply = accepted(asked)
    assert [(each.result, each.transfer_syntax) for each in reply.presentation_contexts] == [(0, EXPLICIT)]
    assert reply.sop_class_common_extended_negotiations == ()
    agreed = outcome(asked, reply, is_requestor=False)
    assert agreed.contexts[1].abstract_syntax == LOG


@pytest.mark.parametrize("related", [(), (MR,), ("1.2.3",)])
def test_an_unknown_class_without_a_known_general_class_is_refused(related):
    general = SOPClassCommonExtendedNegotiation(
        sop_class_uid=LOG, service_class_uid="1.2.840.10008.4.2", related_general_sop_class_uids=related
    )
    reply = accepted(request(general, contexts=[PresentationContextRQ.propose(1, LOG, [EXPLICIT])]))
    assert [each.result for each in reply.presentation_contexts] == [3]


def test_a_known_class_stays_itself():
    general = SOPClassCommonExtendedNegotiation(
        sop_class_uid=CT, service_class_uid="1.2.840.10008.4.2", related_general_sop_class_uids=(SR,)
    )
    reply = accepted(request(general))
    assert [each.transfer_syntax for each in reply.presentation_contexts] == [IMPLICIT]


def test_the_outcome_of_the_contexts():
    contexts = [PresentationContextRQ.propose(index, CT, [IMPLICIT, EXPLICIT]) for index in (1, 3, 5, 7)]
    asked = request(contexts=contexts)
    answers = [
        PresentationContextAC.answer(7, 9, "ZZZ"),
        PresentationContextAC(context_id=3, result=3, sub_items=()),
        PresentationContextAC.answer(1, 0, EXPLICIT),
    ]
    agreed = outcome(asked, response(asked, contexts=answers), is_requestor=True)
    assert agreed.contexts == {1: AcceptedContext(context_id=1, abstract_syntax=CT, transfer_syntax=EXPLICIT)}
    assert agreed.refused == {3: 3, 5: 2, 7: 9}
    assert agreed.max_pdu_length == 4096


# Roles, PS3.7 D.3.3.4 -----------------------------------------------------------------------------------------------

BITS = [(scu, scp) for scu in (0, 1) for scp in (0, 1)]


@pytest.mark.parametrize(("scu", "scp"), [*BITS, (2, 255)])
@pytest.mark.parametrize("may_be_scp", [True, False])
def test_a_role_is_never_granted_that_was_not_proposed(scu, scp, may_be_scp):
    asked = request(role(CT, scu, scp))
    reply = accepted(asked, replace(SUPPORTED, requestor_may_be_scp={CT} if may_be_scp else ()))
    assert reply.role_selections == (role(CT, int(scu == 1), int(scp == 1 and may_be_scp)),)
    agreed = outcome(asked, reply, is_requestor=False).contexts[1]
    assert (agreed.requestor_is_scu, agreed.requestor_is_scp) == (scu == 1, scp == 1 and may_be_scp)


@pytest.mark.parametrize(("proposed", "answered"), [(one, other) for one in BITS for other in BITS])
def test_a_role_answered_beyond_what_was_proposed_counts_no_further(proposed, answered):
    asked = request(role(CT, *proposed))
    agreed = outcome(asked, response(asked, role(CT, *answered)), is_requestor=True).contexts[1]
    assert agreed.requestor_is_scu == bool(proposed[0] and answered[0])
    assert agreed.requestor_is_scp == bool(proposed[1] and answered[1])


def test_without_an_answer_the_default_roles_apply():
    asked = request(role(CT, 0, 1))
    agreed = outcome(asked, response(asked), is_requestor=True).contexts[1]
    assert (agreed.requestor_is_scu, agreed.requestor_is_scp) == (True, False)


def test_an_answer_to_roles_that_were_not_proposed_is_ignored():
    asked = request()
    agreed = outcome(asked, response(asked, role(CT, 0, 1)), is_requestor=True).contexts[1]
    assert (agreed.requestor_is_scu, agreed.requestor_is_scp) == (True, False)


def test_roles_of_classes_that_are_not_proposed_or_not_known_are_not_answered():
    asked = request(role(SR, 1, 1), role(MR, 1, 1), contexts=[CT_CONTEXT, PresentationContextRQ.propose(3, MR, [])])
    assert accepted(asked).role_selections == ()


def test_of_two_role_selections_for_a_class_the_first_counts():
    reply = accepted(request(role(CT, 1, 0), role(CT, 1, 1)), replace(SUPPORTED, requestor_may_be_scp={CT}))
    assert reply.role_selections == (role(CT, 1, 0),)


# Asynchronous operations, PS3.7 D.3.3.3 -----------------------------------------------------------------------------


def smaller(one, other):
    """Of two numbers of operations, where 0 is any number."""
    return min(one or 1 << 20, other or 1 << 20) % (1 << 20)


@pytest.mark.parametrize("offered", [0, 1, 2, 65535])
@pytest.mark.parametrize("supported", [0, 1, 3])
def test_the_window_answered_is_the_smaller_where_0_is_unlimited(offered, supported):
    asked = request(window(offered, 1))
    reply = accepted(asked, replace(SUPPORTED, operations_invoked=supported))
    expected = smaller(offered, supported)
    assert reply.asynchronous_operations_window == window(expected, 1)
    agreed = outcome(asked, reply, is_requestor=False)
    assert (agreed.operations_invoked, agreed.operations_performed) == (expected, 1)


@pytest.mark.parametrize("offered", [0, 1, 2])
@pytest.mark.parametrize("supported", [0, 1, 3])
def test_the_window_of_operations_performed_likewise(offered, supported):
    asked = request(window(1, offered))
    reply = accepted(asked, replace(SUPPORTED, operations_performed=supported))
    assert reply.asynchronous_operations_window == window(1, smaller(offered, supported))


@pytest.mark.parametrize("offered", [0, 1, 3])
@pytest.mark.parametrize("answered", [0, 1, 2, 5])
def test_a_window_answered_larger_than_offered_is_not_used(offered, answered):
    asked = request(window(offered, offered))
    agreed = outcome(asked, response(asked, window(answered, answered)), is_requestor=True)
    assert agreed.operations_invoked == agreed.operations_performed == smaller(offered, answered)


def test_without_an_offer_or_an_answer_there_is_one_operation_each_way():
    for asked, answers in ((request(), [window(4, 4)]), (request(window(4, 4)), [])):
        agreed = outcome(asked, response(asked, *answers), is_requestor=True)
        assert (agreed.operations_invoked, agreed.operations_performed) == (1, 1)
    assert accepted(request(), replace(SUPPORTED, operations_invoked=0)).asynchronous_operations_window is None


# Extended negotiation, PS3.7 D.3.3.5 --------------------------------------------------------------------------------


def test_extended_negotiation_is_answered_for_classes_that_are_proposed_once():
    asked = request(extended(CT, b"\1\1"), extended(CT, b"\2"), extended(MR, b"\1"))
    reply = accepted(asked, replace(SUPPORTED, extended=lambda uid, information: information[:1]))
    assert reply.sop_class_extended_negotiations == (extended(CT, b"\1"),)
    assert outcome(asked, reply, is_requestor=False).extended == {CT: b"\1"}


def test_extended_negotiation_without_an_opinion_is_not_answered():
    assert accepted(request(extended(CT, b"\1"))).sop_class_extended_negotiations == ()


def test_extended_negotiation_that_was_not_offered_is_ignored():
    asked = request(extended(CT, b"\1"))
    agreed = outcome(asked, response(asked, extended(CT, b"\0"), extended(MR, b"\1")), is_requestor=True)
    assert agreed.extended == {CT: b"\0"}


# User identity, PS3.7 D.3.3.7 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", range(1, 7))
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_an_identity_is_answered_when_a_response_is_requested(kind, wanted):
    asked = request(identity(kind, wanted))
    seen = []
    supported = replace(SUPPORTED, authenticate=lambda item: seen.append(item) or b"ticket")
    reply = accepted(asked, supported)
    assert seen == [asked.user_identity]
    expected = UserIdentityAC(server_response=b"" if kind in (1, 2) else b"ticket") if wanted == 1 else None
    assert reply.user_identity == expected
    agreed = outcome(asked, reply, is_requestor=False)
    assert agreed.user_identity_response == (None if expected is None else expected.server_response)


def test_an_identity_is_refused_for_good_by_the_acse_provider():
    """PS3.7 D.3.3.7.3."""
    reply = answer(request(identity(2, 0)), replace(SUPPORTED, authenticate=lambda item: None))
    assert reply == REJECTED_USER_IDENTITY == AAssociateRJ(result=1, source=2, reason=1)


def test_an_acceptor_without_support_ignores_identities():
    assert accepted(request(identity(2, 1))).user_identity is None


def test_an_identity_answered_without_being_asked_is_ignored():
    asked = request()
    agreed = outcome(asked, response(asked, UserIdentityAC(server_response=b"x")), is_requestor=True)
    assert agreed.user_identity_response is None
