"""PDUs, and octets that are nearly PDUs."""

from hypothesis import strategies as st

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
)
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AETitle, AReleaseRP, AReleaseRQ, PDataTF

octets = st.integers(0, 255)
uids = st.lists(st.integers(0, 10**9).map(str), min_size=1, max_size=5).map(".".join)
names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=16)
titles = st.binary(min_size=16, max_size=16).map(AETitle.from_octets)
short = st.binary(max_size=12)
int16 = st.integers(0, 0xFFFF)


def unknown(*known: int) -> st.SearchStrategy[UnknownItem]:
    types = octets.filter(lambda item_type: item_type not in known)
    return st.builds(UnknownItem, item_type=types, octets=short)


user_items = st.one_of(
    st.builds(MaximumLength, maximum_length_received=st.integers(0, 0xFFFFFFFF)),
    st.builds(ImplementationClassUID, uid=uids),
    st.builds(
        AsynchronousOperationsWindow, maximum_number_operations_invoked=int16, maximum_number_operations_performed=int16
    ),
    st.builds(RoleSelection, sop_class_uid=uids, scu_role=octets, scp_role=octets),
    st.builds(ImplementationVersionName, name=names),
    st.builds(SOPClassExtendedNegotiation, sop_class_uid=uids, service_class_application_information=short),
    st.builds(
        SOPClassCommonExtendedNegotiation,
        version=octets,
        sop_class_uid=uids,
        service_class_uid=uids,
        related_general_sop_class_uids=st.lists(uids, max_size=3).map(tuple),
        reserved_to_end=short,
    ),
    st.builds(
        UserIdentityRQ,
        user_identity_type=octets,
        positive_response_requested=octets,
        primary_field=short,
        secondary_field=short,
    ),
    st.builds(UserIdentityAC, server_response=short),
    unknown(*range(0x51, 0x5A)),
)
syntaxes = st.builds(TransferSyntax, name=uids)
proposed = st.builds(
    PresentationContextRQ,
    context_id=octets,
    sub_items=st.lists(
        st.one_of(st.builds(AbstractSyntax, name=uids), syntaxes, unknown(0x30, 0x40)), max_size=4
    ).map(tuple),
)  # fmt: skip
answered = st.builds(
    PresentationContextAC,
    context_id=octets,
    result=octets,
    sub_items=st.lists(st.one_of(syntaxes, unknown(0x40)), max_size=2).map(tuple),
)
items = st.lists(
    st.one_of(
        st.builds(ApplicationContext, name=uids),
        proposed,
        answered,
        st.builds(UserInformation, sub_items=st.lists(user_items, max_size=5).map(tuple)),
        unknown(0x10, 0x20, 0x21, 0x50),
    ),
    max_size=5,
).map(tuple)
association = {
    "protocol_version": int16,
    "called_ae_title": titles,
    "calling_ae_title": titles,
    "reserved": st.binary(min_size=32, max_size=32),
    "items": items,
}
values = st.builds(PresentationDataValue, octets, st.booleans(), st.booleans(), short)
pdus = st.one_of(
    st.builds(AAssociateRQ, **association),
    st.builds(AAssociateAC, **association),
    st.builds(AAssociateRJ, result=octets, source=octets, reason=octets),
    st.builds(PDataTF, values=st.lists(values, min_size=1, max_size=3).map(tuple)),
    st.just(AReleaseRQ()),
    st.just(AReleaseRP()),
    st.builds(AAbort, source=octets, reason=octets),
)


@st.composite
def nearly_pdus(draw: st.DrawFn) -> bytes:
    """The octets of a PDU, some of them changed, with or without a length that says what is there."""
    body = bytearray(draw(pdus).encode())
    for _ in range(draw(st.integers(0, 4))):
        if body:
            position = draw(st.integers(0, len(body) - 1))
            body[position : position + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    if len(body) >= 6 and draw(st.booleans()):
        body[2:6] = (len(body) - 6).to_bytes(4, "big")
    return bytes(body)
