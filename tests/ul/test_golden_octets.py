"""The seven PDUs and every item: the octets of `tests/data/ul`, written by hand, and what they say; both ways."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dulcet.ul.item import Item
from dulcet.ul.items import (
    AbstractSyntax,
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
    TransferSyntax,
    UnknownItem,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
    decode_association_item,
)
from dulcet.ul.pdata import P_DATA_TF, PresentationDataValue
from dulcet.ul.pdu import (
    PDU_TYPES,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AETitle,
    AnyPDU,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    decode_pdu,
)

VERIFICATION = "1.2.840.10008.1.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
PROCEDURE_LOG, ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.40", "1.2.840.10008.5.1.4.1.1.88.22"
STORAGE_SERVICE = "1.2.840.10008.4.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"
DCMTK = ImplementationClassUID(uid="1.2.276.0.7230010.3.0.3.6.7")
DCMTK_VERSION = ImplementationVersionName(name="OFFIS_DCMTK_367")
C_ECHO_RQ = bytes.fromhex(
    "00000000 04000000 38000000 00000200 12000000 312e322e3834302e31303030382e312e3100"
    "00000001 02000000 3000 00001001 02000000 0100 00000008 02000000 0101"
)
PASSCODE = UserIdentityRQ(
    user_identity_type=2, positive_response_requested=1, primary_field=b"nurse", secondary_field=b"s3cret"
)

ITEMS: dict[str, Item | UnknownItem] = {
    "item-10-application-context": ApplicationContext(name="1.2.840.10008.3.1.1.1"),
    "item-20-presentation-context-rq": PresentationContextRQ.propose(1, CT_STORAGE, [EXPLICIT, IMPLICIT]),
    "item-20-unknown-sub-item": PresentationContextRQ(
        context_id=3,
        sub_items=(
            AbstractSyntax(name=VERIFICATION),
            UnknownItem(item_type=0x77, octets=b"\1\2\3"),
            TransferSyntax(name=IMPLICIT),
        ),
    ),
    "item-21-presentation-context-ac": PresentationContextAC.answer(1, 0, EXPLICIT),
    "item-21-refused-transfer-syntax-empty": PresentationContextAC.answer(3, 4, ""),
    "item-30-abstract-syntax": AbstractSyntax(name=CT_STORAGE),
    "item-40-transfer-syntax": TransferSyntax(name=EXPLICIT),
    "item-50-user-information": UserInformation(
        sub_items=(MaximumLength(maximum_length_received=16384), DCMTK, DCMTK_VERSION)
    ),
    "item-50-unknown-sub-item": UserInformation(
        sub_items=(
            MaximumLength(maximum_length_received=0),
            UnknownItem(item_type=0x5A, octets=b"\xff"),
            UnknownItem(item_type=0xFF, octets=b""),
        )
    ),
    "item-51-maximum-length": MaximumLength(maximum_length_received=131072),
    "item-52-implementation-class-uid": DCMTK,
    "item-53-asynchronous-operations-window": AsynchronousOperationsWindow(
        maximum_number_operations_invoked=4, maximum_number_operations_performed=1
    ),
    "item-54-role-selection": RoleSelection(sop_class_uid=CT_STORAGE, scu_role=0, scp_role=1),
    "item-55-implementation-version-name": DCMTK_VERSION,
    "item-56-sop-class-extended-negotiation": SOPClassExtendedNegotiation(
        sop_class_uid=STUDY_ROOT_FIND, service_class_application_information=b"\1\1\0"
    ),
    "item-57-sop-class-common-extended-negotiation": SOPClassCommonExtendedNegotiation(
        sop_class_uid=PROCEDURE_LOG,
        service_class_uid=STORAGE_SERVICE,
        related_general_sop_class_uids=(ENHANCED_SR, CT_STORAGE),
    ),
    "item-57-without-related-classes": SOPClassCommonExtendedNegotiation(
        sop_class_uid=PROCEDURE_LOG, service_class_uid=STORAGE_SERVICE
    ),
    "item-58-user-name": UserIdentityRQ(
        user_identity_type=1, positive_response_requested=0, primary_field=b"nurse", secondary_field=b""
    ),
    "item-58-user-name-and-passcode": PASSCODE,
    "item-59-server-response": UserIdentityAC(server_response=b"ticket"),
    "item-59-empty-server-response": UserIdentityAC(server_response=b""),
    "item-unknown": UnknownItem(item_type=0x99, octets=b"\xde\xad\xbe\xef"),
}

PDUS: dict[str, AnyPDU] = {
    "a-associate-rq": AAssociateRQ(
        called_ae_title=AETitle("ARCHIVE"),
        calling_ae_title=AETitle("MODALITY_1"),
        items=(
            ApplicationContext(),
            PresentationContextRQ.propose(1, VERIFICATION, [IMPLICIT]),
            PresentationContextRQ.propose(3, CT_STORAGE, [JPEG, EXPLICIT, IMPLICIT]),
            UserInformation(
                sub_items=(
                    MaximumLength(maximum_length_received=16384),
                    DCMTK,
                    AsynchronousOperationsWindow(
                        maximum_number_operations_invoked=0, maximum_number_operations_performed=0
                    ),
                    RoleSelection(sop_class_uid=CT_STORAGE, scu_role=1, scp_role=1),
                    DCMTK_VERSION,
                    SOPClassExtendedNegotiation(
                        sop_class_uid=CT_STORAGE, service_class_application_information=b"\2\0"
                    ),
                    SOPClassCommonExtendedNegotiation(
                        sop_class_uid=PROCEDURE_LOG,
                        service_class_uid=STORAGE_SERVICE,
                        related_general_sop_class_uids=(ENHANCED_SR,),
                    ),
                    PASSCODE,
                )
            ),
        ),
    ),
    "a-associate-rq-reserved-octets-and-unknown-items": AAssociateRQ(
        protocol_version=0xFFFF,
        called_ae_title=AETitle("SIXTEEN_OCTETS_1"),
        calling_ae_title=AETitle("MODALITY_1"),
        reserved=bytes(range(1, 33)),
        items=(
            ApplicationContext(),
            UnknownItem(item_type=0x60, octets=b"\0\1"),
            PresentationContextRQ.propose(255, VERIFICATION, [IMPLICIT]),
            UserInformation(sub_items=(MaximumLength(maximum_length_received=0),)),
            UnknownItem(item_type=0xA0, octets=b""),
        ),
    ),
    "a-associate-ac": AAssociateAC(
        called_ae_title=AETitle("ARCHIVE"),
        calling_ae_title=AETitle("MODALITY_1"),
        items=(
            ApplicationContext(),
            PresentationContextAC.answer(1, 0, IMPLICIT),
            PresentationContextAC.answer(3, 4, JPEG),
            UserInformation(
                sub_items=(
                    MaximumLength(maximum_length_received=131072),
                    ImplementationClassUID(uid="1.2.40.0.13.1.3"),
                    AsynchronousOperationsWindow(
                        maximum_number_operations_invoked=1, maximum_number_operations_performed=1
                    ),
                    RoleSelection(sop_class_uid=CT_STORAGE, scu_role=1, scp_role=0),
                    ImplementationVersionName(name="dcm4che-5.34.0"),
                    SOPClassExtendedNegotiation(
                        sop_class_uid=CT_STORAGE, service_class_application_information=b"\2\0"
                    ),
                    UserIdentityAC(),
                )
            ),
        ),
    ),
    "a-associate-rj": AAssociateRJ(result=1, source=1, reason=7),
    "p-data-tf-command": PDataTF(values=(PresentationDataValue(1, True, True, C_ECHO_RQ),)),
    "p-data-tf-command-and-data": PDataTF(
        values=(
            PresentationDataValue(3, True, True, bytes(4)),
            PresentationDataValue(3, False, False, b"\x08\0\x18\0"),
            PresentationDataValue(3, False, True, b""),
        )
    ),
    "a-release-rq": AReleaseRQ(),
    "a-release-rp": AReleaseRP(),
    "a-abort-by-the-service-user": AAbort(source=0, reason=0),
    "a-abort-by-the-service-provider": AAbort(source=2, reason=6),
}

SUB_ITEMS = {cls.ITEM_TYPE: cls for cls in Item.__subclasses__()}
Golden = Callable[[str], bytes]


def decode_item(octets: bytes) -> tuple[object, list[object]]:
    """A top-level item or a sub-item, each by its own class."""
    deviations: list[object] = []
    known = SUB_ITEMS.get(octets[0])
    decode = decode_association_item if known is None else known.decode
    return decode(octets, deviations), deviations


@pytest.mark.parametrize("case", ITEMS)
def test_item(case: str, golden: Golden) -> None:
    octets = golden(case)
    assert decode_item(octets) == (ITEMS[case], [])
    assert ITEMS[case].encode() == octets


@pytest.mark.parametrize("case", PDUS)
def test_pdu(case: str, golden: Golden) -> None:
    octets = golden(case)
    decoded = decode_pdu(octets)
    assert decoded == (PDUS[case], ())
    assert PDUS[case].encode() == octets
    assert decoded.pdu.encode() == octets


@pytest.mark.parametrize("case", [case for case in PDUS if case.startswith("p-data-tf")])
def test_the_layout_of_p_data_tf_says_the_same(case: str, golden: Golden) -> None:
    octets = golden(case)
    assert P_DATA_TF.decode(octets, [])["values"] == PDUS[case].values
    assert P_DATA_TF.encode({"values": PDUS[case].values}) == octets


def test_every_file_is_a_case_and_every_type_has_one() -> None:
    files = {path.stem for path in (Path(__file__).parents[1] / "data" / "ul").glob("*.hex")}
    assert files == {*ITEMS, *PDUS}
    assert {type(pdu) for pdu in PDUS.values()} == set(PDU_TYPES.values())
    assert {*SUB_ITEMS} == {0x10, 0x20, 0x21, 0x30, 0x40, *range(0x50, 0x5A)}
    assert {type(item) for item in ITEMS.values()} == {*SUB_ITEMS.values(), UnknownItem}


@pytest.mark.parametrize("case", PDUS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_octets_may_be_any_buffer(case: str, kind: type, golden: Golden) -> None:
    assert decode_pdu(kind(golden(case))).pdu == PDUS[case]


def test_fragments_are_views_and_everything_else_is_a_copy(golden: Golden) -> None:
    """PS3.8 says nothing of it; who reuses a receive buffer depends on it."""
    buffer = bytearray(golden("p-data-tf-command"))
    data = decode_pdu(buffer).pdu
    assert isinstance(data, PDataTF)
    assert isinstance(data.values[0].fragment, memoryview)
    assert data.values[0].fragment.obj is buffer
    buffer = bytearray(golden("a-associate-rq-reserved-octets-and-unknown-items"))
    request = decode_pdu(buffer).pdu
    buffer[6:] = bytes(len(buffer) - 6)
    assert request == PDUS["a-associate-rq-reserved-octets-and-unknown-items"]


def test_an_abort_is_the_service_users_unless_said_otherwise() -> None:
    assert AAbort() == PDUS["a-abort-by-the-service-user"]


@pytest.mark.parametrize("case", PDUS)
def test_the_second_octet_is_not_tested(case: str, golden: Golden) -> None:
    octets = bytearray(golden(case))
    octets[1] = 0xFF
    assert decode_pdu(octets) == (PDUS[case], ())


@pytest.mark.parametrize(
    ("case", "reserved"),
    [
        ("a-associate-rj", [6]),
        ("a-release-rq", [6, 7, 8, 9]),
        ("a-release-rp", [6, 7, 8, 9]),
        ("a-abort-by-the-service-provider", [6, 7]),
        ("a-associate-rq", [8, 9, 75, 100, 104, 105, 106]),
        ("a-associate-ac", [8, 9, 75, 100, 104, 106]),
    ],
)
def test_reserved_octets_are_not_tested(case: str, reserved: list[int], golden: Golden) -> None:
    octets = bytearray(golden(case))
    for position in reserved:
        assert octets[position] == 0
        octets[position] = 0xFF
    assert decode_pdu(octets) == (PDUS[case], ())
    assert decode_pdu(octets).pdu.encode() == golden(case)


@pytest.mark.parametrize(
    ("case", "values"),
    [
        ("a-associate-rq", (CT_STORAGE, 16384, "1.2.276.0.7230010.3.0.3.6.7", "OFFIS_DCMTK_367", 2, 1, 1, PASSCODE)),
        ("a-associate-ac", (None, 131072, "1.2.40.0.13.1.3", "dcm4che-5.34.0", 2, 1, 0, UserIdentityAC())),
    ],
)
def test_short_ways_to_the_items(case: str, values: tuple[object, ...]) -> None:
    pdu = PDUS[case]
    assert isinstance(pdu, AAssociateRQ | AAssociateAC)
    context = pdu.presentation_contexts[1]
    assert pdu.application_context_name == "1.2.840.10008.3.1.1.1"
    assert values == (
        context.abstract_syntax if isinstance(context, PresentationContextRQ) else None,
        pdu.maximum_length_received,
        pdu.implementation_class_uid,
        pdu.implementation_version_name,
        len(pdu.presentation_contexts),
        len(pdu.role_selections),
        len(pdu.sop_class_common_extended_negotiations),
        pdu.user_identity,
    )
    assert pdu.asynchronous_operations_window is not None
    assert [item.service_class_application_information for item in pdu.sop_class_extended_negotiations] == [b"\2\0"]


@pytest.mark.parametrize("kind", [AAssociateRQ, AAssociateAC])
def test_what_is_missing_is_none(kind: type[AAssociateRQ | AAssociateAC]) -> None:
    pdu = kind(called_ae_title=AETitle("A"), calling_ae_title=AETitle("B"), items=())
    assert decode_pdu(pdu.encode()).pdu == pdu
    assert pdu.presentation_contexts == ()
    assert pdu.user_items == ()
    assert [
        pdu.application_context_name,
        pdu.user_information,
        pdu.maximum_length_received,
        pdu.implementation_class_uid,
        pdu.implementation_version_name,
        pdu.asynchronous_operations_window,
        pdu.user_identity,
    ] == [None] * 7


def test_a_context_without_its_sub_items() -> None:
    proposed = PresentationContextRQ(context_id=1, sub_items=())
    answered = PresentationContextAC(context_id=1, result=0, sub_items=())
    assert decode_item(proposed.encode()) == (proposed, [])
    assert decode_item(answered.encode()) == (answered, [])
    assert (proposed.abstract_syntax, proposed.transfer_syntaxes, answered.transfer_syntax) == (None, (), None)


def test_no_secret_is_shown() -> None:
    assert "s3cret" not in repr(PDUS["a-associate-rq"])
    assert "nurse" not in repr(PDUS["a-associate-rq"])
    assert "ticket" not in repr(UserIdentityAC(server_response=b"ticket"))
