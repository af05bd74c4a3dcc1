"""One thing wrong at a time: what the error says, in which table and field, and how many octets are before it."""

from collections.abc import Callable

import pytest

from dulcet.errors import DecodeError
from dulcet.ul.fields import MAX_DEVIATIONS, Layout
from dulcet.ul.item import Item
from dulcet.ul.items import (
    AbstractSyntax,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    UnknownItem,
    UserIdentityRQ,
)
from dulcet.ul.pdu import PDU_TYPES, AAssociateAC, AAssociateRQ, AETitle, PDataTF, decode_pdu


def request(items: str) -> bytes:
    """An A-ASSOCIATE-RQ with these octets as its items; 74 octets are before them."""
    body = bytes.fromhex("0001 0000" + "41" * 16 + "42" * 16 + "00" * 32 + items)
    return b"\x01\0" + len(body).to_bytes(4, "big") + body


def user(sub_items: str) -> bytes:
    """An A-ASSOCIATE-RQ with these octets in its user information; 78 octets are before them."""
    octets = bytes.fromhex(sub_items)
    return request(f"50 00 {len(octets):04x}" + octets.hex())


ENDS = "the octets end before it does"
PDUS = {
    "no octets": ("", "PS3.8 9.3.1: 0 octets, a PDU header has 6", 0),
    "five octets": ("05 00 000000", "PS3.8 9.3.1: 5 octets, a PDU header has 6", 0),
    "unknown type": ("08 00 00000000", "PS3.8 9.3.1 pdu_type: type 08H is not a PDU type", 0),
    "length below": ("05 00 00000003 00000000", "Table 9-24 pdu_length: 3 octets promised, 4 present", 2),
    "length above": ("05 00 00000005 00000000", "Table 9-24 pdu_length: 5 octets promised, 4 present", 2),
    "A-RELEASE-RQ of length 0": ("05 00 00000000", f"Table 9-24 reserved: {ENDS}", 6),
    "A-RELEASE-RQ of length 5": (
        "05 00 00000005 0000000000",
        "Table 9-24 pdu_length: 4 octets expected, 1 more",
        2,
    ),
    "A-RELEASE-RP of length 3": ("06 00 00000003 000000", f"Table 9-25 reserved: {ENDS}", 9),
    "A-ASSOCIATE-RJ without reason": ("03 00 00000003 000101", f"Table 9-21 reason: {ENDS}", 9),
    "A-ASSOCIATE-RJ of length 5": (
        "03 00 00000005 0001010700",
        "Table 9-21 pdu_length: 4 octets expected, 1 more",
        2,
    ),
    "A-ABORT without source": ("07 00 00000002 0000", f"Table 9-26 source: {ENDS}", 8),
    "A-ASSOCIATE-RQ of length 0": ("01 00 00000000", f"Table 9-11 protocol_version: {ENDS}", 6),
    "A-ASSOCIATE-AC of length 0": ("02 00 00000000", f"Table 9-17 protocol_version: {ENDS}", 6),
    "called AE title cut": ("01 00 00000008 0001 0000 41424344", f"Table 9-11 called_ae_title: {ENDS}", 14),
    "P-DATA-TF without items": ("04 00 00000000", "Table 9-22 values: no Presentation-data-value Item", 6),
    "P-DATA-TF with stray octets": (
        "04 00 00000003 000000",
        "Table 9-23: 4 octets of header expected, 3 present",
        6,
    ),
    "PDV of length 0": ("04 00 00000004 00000000", f"Table 9-23 context_id: {ENDS}", 10),
    "PDV of length 1": ("04 00 00000005 00000001 01", f"Table 9-23 message_control_header: {ENDS}", 11),
    "PDV beyond the PDU": (
        "04 00 00000006 00000003 01 03",
        "Table 9-23 item_length: 3 octets promised, 2 present",
        6,
    ),
    "PDV of the greatest length": (
        "04 00 00000006 ffffffff 01 03",
        "Table 9-23 item_length: 4294967295 octets promised, 2 present",
        6,
    ),
    "second PDV of length 1": (
        "04 00 0000000b 00000002 01 03 00000001 01",
        f"Table 9-23 message_control_header: {ENDS}",
        17,
    ),
    "P-DATA-TF with a wrong PDU length": (
        "04 00 00000007 00000002 01 03",
        "Table 9-22 pdu_length: 7 octets promised, 6 present",
        2,
    ),
}
ITEMS = {
    "stray octets": ("10 00 00", "Table 9-11 items: 3 stray octets where an item was expected", 74),
    "stray octet after an item": (
        "77 00 0001 00 10",
        "Table 9-11 items: 1 stray octets where an item was expected",
        79,
    ),
    "item overruns the PDU": (
        "10 00 0004 312e32",
        "Table 9-11 items / item 10H item_length: 4 octets promised, 3 present",
        76,
    ),
    "unknown item overruns the PDU": (
        "77 00 ffff 00",
        "Table 9-11 items / item 77H item_length: 65535 octets promised, 1 present",
        76,
    ),
    "second item overruns the PDU": (
        "77 00 0001 00 50 00 0001",
        "Table 9-11 items / item 50H item_length: 1 octets promised, 0 present",
        81,
    ),
    "20H of length 0": ("20 00 0000", f"Table 9-13 context_id: {ENDS}", 78),
    "20H without its last reserved octet": ("20 00 0003 010000", f"Table 9-13 reserved: {ENDS}", 81),
    "sub-item overruns 20H": (
        "20 00 000b 01000000 40 00 0004 312e32",
        "Table 9-13 sub_items / item 40H item_length: 4 octets promised, 3 present",
        84,
    ),
    "sub-item overruns 20H into the next item": (
        "20 00 0008 01000000 30 00 0004 50 00 0000",
        "Table 9-13 sub_items / item 30H item_length: 4 octets promised, 0 present",
        84,
    ),
    "stray octets in 20H": (
        "20 00 0006 01000000 40 00",
        "Table 9-13 sub_items: 2 stray octets where an item was expected",
        82,
    ),
    "21H without result": ("21 00 0002 0100", f"Table 9-18 result: {ENDS}", 80),
    "sub-item overruns 21H": (
        "21 00 0008 01000000 40 00 0001",
        "Table 9-18 sub_items / item 40H item_length: 1 octets promised, 0 present",
        84,
    ),
}
SUB_ITEMS = {
    "stray octet": ("51", "Table 9-16 sub_items: 1 stray octets where an item was expected", 78),
    "overrun": (
        "52 00 0004 312e32",
        "Table 9-16 sub_items / item 52H item_length: 4 octets promised, 3 present",
        80,
    ),
    "51H of length 0": ("51 00 0000", f"Table D.1-1 maximum_length_received: {ENDS}", 82),
    "51H of length 2": ("51 00 0002 4000", f"Table D.1-1 maximum_length_received: {ENDS}", 84),
    "51H of length 6": (
        "51 00 0006 000040000000",
        "Table D.1-1 item_length: 4 octets expected, 2 more",
        80,
    ),
    "second sub-item wrong": (
        "51 00 0004 00004000 51 00 0003 000000",
        f"Table D.1-1 maximum_length_received: {ENDS}",
        93,
    ),
    "53H of length 3": ("53 00 0003 000000", f"Table D.3-7 maximum_number_operations_performed: {ENDS}", 85),
    "53H of length 6": (
        "53 00 0006 000100010000",
        "Table D.3-7 item_length: 4 octets expected, 2 more",
        80,
    ),
    "54H of length 0": ("54 00 0000", f"Table D.3-9 uid_length: {ENDS}", 82),
    "54H, UID beyond the item": (
        "54 00 0006 0011 312e3200",
        "Table D.3-9 uid_length: 17 octets promised, 4 present",
        84,
    ),
    "54H without roles": ("54 00 0005 0003 312e32", f"Table D.3-9 scu_role: {ENDS}", 87),
    "54H without SCP role": ("54 00 0006 0003 312e32 01", f"Table D.3-9 scp_role: {ENDS}", 88),
    "56H of length 1": ("56 00 0001 00", f"Table D.3-11 sop_class_uid_length: {ENDS}", 83),
    "56H, UID beyond the item": (
        "56 00 0004 0003 312e",
        "Table D.3-11 sop_class_uid_length: 3 octets promised, 2 present",
        84,
    ),
    "57H without service class": (
        "57 00 0005 0003 312e32",
        f"Table D.3-12 service_class_uid_length: {ENDS}",
        87,
    ),
    "57H, service class beyond the item": (
        "57 00 0009 0003 312e32 0004 312e",
        "Table D.3-12 service_class_uid_length: 4 octets promised, 2 present",
        89,
    ),
    "57H without related classes": (
        "57 00 000a 0003 312e32 0003 312e33",
        f"Table D.3-12 related_general_length: {ENDS}",
        92,
    ),
    "57H, related classes beyond the item": (
        "57 00 000f 0003 312e32 0003 312e33 0006 000231",
        "Table D.3-12 related_general_length: 6 octets promised, 3 present",
        94,
    ),
    "57H, stray octet in the related classes": (
        "57 00 000d 0003 312e32 0003 312e33 0001 00",
        "Table D.3-12 related_general_sop_class_uids: 1 stray octet where a UID's length was expected",
        94,
    ),
    "57H, related class beyond its field": (
        "57 00 0016 0003 312e32 0003 312e33 000a 0003 312e34 0004 312e34",
        "Table D.3-12 related_general_sop_class_uids: 4 octets promised, 3 present",
        99,
    ),
    "58H of length 1": ("58 00 0001 01", f"Table D.3-14 positive_response_requested: {ENDS}", 83),
    "58H, primary field beyond the item": (
        "58 00 0008 0100 0006 61626364",
        "Table D.3-14 primary_field_length: 6 octets promised, 4 present",
        86,
    ),
    "58H without secondary field length": (
        "58 00 0006 0100 0002 6162",
        f"Table D.3-14 secondary_field_length: {ENDS}",
        88,
    ),
    "58H, secondary field beyond the item": (
        "58 00 0009 0200 0002 6162 0002 63",
        "Table D.3-14 secondary_field_length: 2 octets promised, 1 present",
        90,
    ),
    "59H of length 0": ("59 00 0000", f"Table D.3-15 server_response_length: {ENDS}", 82),
    "59H, response beyond the item": (
        "59 00 0003 0002 61",
        "Table D.3-15 server_response_length: 2 octets promised, 1 present",
        84,
    ),
}
WRONG = [
    pytest.param(encode(octets), text, offset, id=case)
    for cases, encode in ((PDUS, bytes.fromhex), (ITEMS, request), (SUB_ITEMS, user))
    for case, (octets, text, offset) in cases.items()
]


@pytest.mark.parametrize(("octets", "text", "offset"), WRONG)
def test_the_error_says_what_and_where(octets: bytes, text: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_pdu(octets)
    error = caught.value
    assert str(error) == text
    assert error.offset == offset
    assert error.abort_reason == (1 if error.field == "pdu_type" else 6)


LAYOUTS = {**{cls.ITEM_TYPE: cls.LAYOUT for cls in Item.__subclasses__()}}
LAYOUTS |= {pdu_type: pdu.LAYOUT for pdu_type, pdu in PDU_TYPES.items() if pdu is not PDataTF}


@pytest.mark.parametrize("first", LAYOUTS, ids=lambda first: f"{first:02X}H")
def test_a_fixed_part_cut_at_every_octet_names_the_field(first: int) -> None:
    """The length says what is there, so only the field that is cut is wrong."""
    layout = LAYOUTS[first]
    header = 6 if first < 0x10 else 4
    rows = [(octets.split("-"), field) for octets, field in layout.octet_column() if octets[0] != "x"]
    fixed = {
        position: field
        for (start, *end), field in rows
        if not end or end[0] != "xxx"
        for position in range(int(start), int(end[0] if end else start) + 1)
    }
    for length in range(max(fixed) - header):
        octets = bytes((first, 0)) + length.to_bytes(header - 2, "big") + bytes(length)
        with pytest.raises(DecodeError) as caught:
            layout.decode(octets, [])
        assert (caught.value.table, caught.value.field) == (f"Table {layout.table}", fixed[header + length + 1])
        assert caught.value.offset == len(octets)


@pytest.mark.parametrize("first", LAYOUTS, ids=lambda first: f"{first:02X}H")
def test_a_cut_header_is_said_to_be_one(first: int) -> None:
    layout = LAYOUTS[first]
    header = 6 if first < 0x10 else 4
    for count in range(header):
        with pytest.raises(DecodeError, match=f"^Table {layout.table}: {header} octets of header expected, {count} "):
            layout.decode(bytes(count), [])


# Understood all the same --------------------------------------------------------------------------------------------

RQ, USER = "A-ASSOCIATE-RQ PDU / ", "A-ASSOCIATE-RQ PDU / User Information Item / "
UID_PADDED = "a UID is padded; it is sent without padding"
UID_WRONG = "a UID is numbers without leading zeros between dots, 1 to 64 characters"
NAME_WRONG = "the name has 1 to 16 characters of ISO 646"
LONG_UID = "1." + "2" * 63

DEVIATIONS: dict[str, tuple[bytes, str, str, str]] = {
    "application context padded with NUL": (
        request("10 00 0004 312e3200"),
        "PS3.8 Annex F",
        RQ + "Application Context Item / name",
        UID_PADDED,
    ),
    "implementation class UID padded with a space": (
        user("52 00 0004 312e3220"),
        "PS3.8 Annex F",
        USER + "Implementation Class UID Sub-Item / uid",
        UID_PADDED,
    ),
    "SOP class of a role padded with NUL": (
        user("54 00 0008 0004 312e3200 0101"),
        "PS3.8 Annex F",
        USER + "SCP/SCU Role Selection Sub-Item / sop_class_uid",
        UID_PADDED,
    ),
    "related general class padded with NUL": (
        user("57 00 0012 0003 312e32 0003 312e33 0006 0004 312e3400"),
        "PS3.8 Annex F",
        USER + "SOP Class Common Extended Negotiation Sub-Item / related_general_sop_class_uids",
        UID_PADDED,
    ),
    "empty UID": (user("52 00 0000"), "PS3.8 Annex F", USER + "Implementation Class UID Sub-Item / uid", UID_WRONG),
    "UID of 65 characters": (
        user("52 00 0041" + LONG_UID.encode().hex()),
        "PS3.8 Annex F",
        USER + "Implementation Class UID Sub-Item / uid",
        UID_WRONG,
    ),
    "UID with a leading zero": (
        user("52 00 0004" + b"1.02".hex()),
        "PS3.8 Annex F",
        USER + "Implementation Class UID Sub-Item / uid",
        UID_WRONG,
    ),
    "UID with an empty component": (
        request("20 00 000c 01000000 30 00 0004" + b"1..2".hex()),
        "PS3.8 Annex F",
        RQ + "Presentation Context Item, A-ASSOCIATE-RQ / Abstract Syntax Sub-Item / name",
        UID_WRONG,
    ),
    "UID of letters": (
        request("20 00 000b 01000000 40 00 0003" + b"../".hex()),
        "PS3.8 Annex F",
        RQ + "Presentation Context Item, A-ASSOCIATE-RQ / Transfer Syntax Sub-Item / name",
        UID_WRONG,
    ),
    "implementation version name of 17 characters": (
        user("55 00 0011" + "41" * 17),
        "PS3.7 D.3.3.2.3",
        USER + "Implementation Version Name Sub-Item / name",
        NAME_WRONG,
    ),
    "empty implementation version name": (
        user("55 00 0000"),
        "PS3.7 D.3.3.2.3",
        USER + "Implementation Version Name Sub-Item / name",
        NAME_WRONG,
    ),
    "control character in an implementation version name": (
        user("55 00 0003 411b42"),
        "PS3.7 D.3.3.2.3",
        USER + "Implementation Version Name Sub-Item / name",
        NAME_WRONG,
    ),
    "implementation version name padded": (
        user("55 00 0003 414200"),
        "PS3.7 D.3.3.2.3",
        USER + "Implementation Version Name Sub-Item / name",
        "the name is padded; it is sent without padding",
    ),
    "octets after the roles": (
        user("54 00 0009 0003 312e32 0101 abcd"),
        "PS3.7 Table D.3-9",
        USER + "SCP/SCU Role Selection Sub-Item",
        "2 octets after the last field",
    ),
}


@pytest.mark.parametrize("case", DEVIATIONS)
def test_a_deviation_is_recorded_with_its_clause_and_path(case: str) -> None:
    octets, clause, field, explanation = DEVIATIONS[case]
    (found,) = decode_pdu(octets).deviations
    assert (found.clause, found.field, found.explanation) == (clause, field, explanation)
    assert found.octets in octets


def test_what_is_padded_is_read_without_padding() -> None:
    decoded = decode_pdu(user("52 00 0006 00 312e32 2000"))
    assert isinstance(decoded.pdu, AAssociateRQ)
    assert decoded.pdu.implementation_class_uid == "1.2"
    assert [deviation.octets for deviation in decoded.deviations] == [b"\x001.2 \0"]


@pytest.mark.parametrize("uid", ["0", "1", "0.0", "1.2.840.10008.1.1", "2.25.0", "1." + "2" * 62])
def test_a_uid_as_annex_f_has_it_is_no_deviation(uid: str) -> None:
    deviations: list[object] = []
    assert AbstractSyntax.decode(AbstractSyntax(name=uid).encode(), deviations).name == uid
    assert deviations == []


@pytest.mark.parametrize(
    "item",
    [
        RoleSelection(sop_class_uid="1." + "2" * 62, scu_role=1, scp_role=0),
        ImplementationClassUID(uid="1." + "2" * 62),
        ImplementationVersionName(name="SIXTEEN_OCTETS_1"),
        ImplementationVersionName(name="~"),
    ],
)
def test_what_is_just_allowed_is_no_deviation(item: Item) -> None:
    deviations: list[object] = []
    assert item.decode(item.encode(), deviations) == item
    assert deviations == []


def test_an_empty_related_class_is_a_deviation_and_no_more() -> None:
    octets = bytes.fromhex("57 00 0012 0003 312e32 0003 312e33 0006 0000 0002 3134 ")
    (found,) = decode_pdu(user(octets.hex())).deviations
    assert found.field.endswith("related_general_sop_class_uids")
    octets = bytes.fromhex("57 00 0010 0003 312e32 0003 312e33 0004 0000 0000")
    assert len(decode_pdu(user(octets.hex())).deviations) == 2


def test_the_octets_recorded_are_bounded() -> None:
    (found,) = decode_pdu(user("54 00 0407 0003 312e32 0101" + "ab" * 1024)).deviations
    assert found.explanation == "1024 octets after the last field"
    assert found.octets == b"\xab" * 64


def test_the_number_of_deviations_recorded_is_bounded() -> None:
    padded = decode_pdu(user("52 00 0002 3100" * 1000)).deviations
    trailing = decode_pdu(user("54 00 0005 0000 0000 00" * 1000)).deviations
    assert len(padded) == len(trailing) == MAX_DEVIATIONS


def test_a_syntax_of_a_refused_context_is_not_tested() -> None:
    """PS3.8 Table 9-18: not significant unless the result is acceptance."""
    for result, count in ((0, 1), (1, 0), (3, 0), (4, 0)):
        answer = PresentationContextAC.answer(1, result, "ZZZ")
        titles = {"called_ae_title": AETitle("A"), "calling_ae_title": AETitle("B")}
        decoded = decode_pdu(AAssociateAC(**titles, items=(answer,)).encode())
        assert len(decoded.deviations) == count
        assert decoded.pdu.items == (answer,)


def test_no_octets_of_a_user_identity_are_recorded() -> None:
    (found,) = decode_pdu(user("58 00 000c 0100 0002 6162 0000" + b"s3cr".hex())).deviations
    assert found.explanation == "4 octets after the last field"
    assert found.octets == b""


# What can't be encoded ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encode", "text"),
    [
        (MaximumLength(maximum_length_received=1 << 32).encode, "Table D.1-1: "),
        (MaximumLength(maximum_length_received=-1).encode, "Table D.1-1: "),
        (PresentationContextRQ(context_id=256, sub_items=()).encode, "Table 9-13: "),
        (ImplementationClassUID(uid="1" * 65536).encode, "Table D.3-1: 65536 octets don't fit in item_length"),
        (ImplementationClassUID(uid="\u2026").encode, "latin-1"),
        (UnknownItem(item_type=0x77, octets=bytes(65536)).encode, "65536 octets don't fit in item_length"),
        (UnknownItem(item_type=256, octets=b"").encode, "range"),
        (
            UserIdentityRQ(user_identity_type=1, positive_response_requested=0, primary_field=bytes(65536)).encode,
            "Table D.3-14: ",
        ),
        (PresentationContextRQ.propose(1, "1.2", ["1.2.3.4.5.6.7.8.9"] * 4000).encode, "Table 9-13: "),
        (
            AAssociateRQ(
                called_ae_title=AETitle("A"), calling_ae_title=AETitle("B"), reserved=bytes(31), items=()
            ).encode,
            "Table 9-11: ",
        ),
    ],
)
def test_what_does_not_fit_is_refused(encode: Callable[[], bytes], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        encode()


@pytest.mark.parametrize(
    "item", [UnknownItem(item_type=0x77, octets=bytes(65535)), ImplementationClassUID(uid="1" * 65535)]
)
def test_what_just_fits_is_encoded(item: Item | UnknownItem) -> None:
    assert item.encode()[2:4] == b"\xff\xff"
    assert len(item.encode()) == 65539


def test_a_layout_knows_its_table() -> None:
    assert isinstance(MaximumLength.LAYOUT, Layout)
    assert (MaximumLength.LAYOUT.clause, MaximumLength.LAYOUT.title) == (
        "PS3.8 Table D.1-1",
        "Maximum Length Sub-Item",
    )
