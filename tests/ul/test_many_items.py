"""A-ASSOCIATE PDUs with thousands of items: refused before they are decoded, and what is taken is decoded quickly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.conformance.kit.stimuli import (
    Request,
    application_context,
    common_extended,
    context,
    context_of,
    item,
    maximum_length,
    pdu,
    title,
    user_information,
)
from dulcet.ul.connection import Connection, Send
from dulcet.ul.fields import MAX_DEVIATIONS
from dulcet.ul.items import AbstractSyntax, ApplicationContext, ImplementationClassUID, TransferSyntax
from dulcet.ul.table import State
from dulcet.ul.validity import MAX_ITEMS, MAX_PRESENTATION_CONTEXTS, MAX_USER_ITEMS, why_too_many

REQUEST = Request(called=title("CALLED"), calling=title("CALLING"))
VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
NAME, USER = application_context(), user_information(maximum_length())


def associate(*items, pdu_type=1):
    return pdu(pdu_type, REQUEST.encode()[6:74] + b"".join(items))


def filled_contexts(sub_items):
    """128 contexts with so many sub-items in all."""
    each, more = divmod(sub_items, 128)
    return [context_of(2 * n + 1, *[item(0x40, b"1.2")] * (each + (n < more))) for n in range(128)]


FITS = {
    "as usual": REQUEST.encode(),
    "128 contexts": associate(NAME, *[context(n, VERIFICATION) for n in range(1, 256, 2)], USER),
    "the most sub-items": associate(*filled_contexts(MAX_ITEMS)),
    "the most unknown items": associate(*[item(0x77)] * MAX_ITEMS),
    "the most user items": associate(user_information(*[item(0x77)] * (MAX_USER_ITEMS - 1))),
    "lengths that do not add up": associate(item(0x50, b"\x51\0\xff\xff", length=0xFFFF)),
    "nothing but a header": pdu(1),
    "an A-ASSOCIATE-AC": pdu(2, REQUEST.encode()[6:]),
}
TOO_MANY = {
    "129 contexts": (associate(*[context_of(1)] * 129), f"129 contexts, at most {MAX_PRESENTATION_CONTEXTS}"),
    "129 answers": (associate(*[item(0x21, bytes(4))] * 129, pdu_type=2), "Table 9-18 context_id: 129 contexts"),
    "a sub-item too many": (associate(*filled_contexts(MAX_ITEMS + 1)), "4225 items and sub-items"),
    "an unknown item too many": (associate(*[item(0x77)] * (MAX_ITEMS + 1)), "4097 items and sub-items"),
    "a user item too many": (associate(user_information(*[item(0x77)] * MAX_USER_ITEMS)), "513 items and sub-items"),
    "user information all over": (associate(*[USER] * 257), "514 items and sub-items"),
}


@pytest.mark.parametrize("name", FITS)
def test_what_is_worth_decoding(name):
    assert why_too_many(memoryview(FITS[name])) is None


@pytest.mark.parametrize("name", TOO_MANY)
def test_what_is_not_worth_decoding(name):
    octets, explanation = TOO_MANY[name]
    error = why_too_many(memoryview(octets))
    assert explanation in str(error)
    assert error.abort_reason == 6


@given(st.binary(max_size=300))
def test_counting_any_octets_raises_nothing(octets):
    assert why_too_many(memoryview(b"\1" + octets)) is None


@pytest.mark.parametrize("name", TOO_MANY)
def test_it_is_an_invalid_pdu(name):
    """PS3.8 9.2.2: Evt19, in Sta2 and in Sta5."""
    octets, _ = TOO_MANY[name]
    connection = Connection(is_requestor=octets[0] == 2)
    if connection.is_requestor:
        connection.send(Connection_request())
        connection.transport_connected()
    else:
        connection.transport_accepted()
    sent = [effect for effect in connection.receive(octets) if isinstance(effect, Send)]
    reply = b"".join(sent[0].buffers)
    assert reply == bytes.fromhex("07 00 00000004 0000") + (b"\2\6" if connection.is_requestor else b"\0\0")
    assert connection.state is State.STA13


def Connection_request():
    from dulcet.ul.pdu import AAssociateRQ, AETitle

    return AAssociateRQ(called_ae_title=AETitle("A"), calling_ae_title=AETitle("B"), items=())


UIDS = st.one_of(st.binary(max_size=70), st.text("0123456789. \0", max_size=70).map(str.encode))


@pytest.mark.parametrize("kind", [ApplicationContext, AbstractSyntax, TransferSyntax, ImplementationClassUID])
@given(octets=UIDS)
def test_a_uid_read_by_hand_is_what_its_layout_reads(kind, octets):
    whole = item(kind.ITEM_TYPE, octets)
    deviations, expected_deviations = [], []
    found = kind.decode(whole, deviations)
    expected = kind.LAYOUT.decode(whole, expected_deviations)
    assert [getattr(found, name) for name in kind.__slots__] == [expected[name] for name in kind.__slots__]
    assert deviations == expected_deviations
    full = [None] * MAX_DEVIATIONS
    assert kind.decode(whole, full) == found
    assert full == [None] * MAX_DEVIATIONS


def test_related_classes_are_read_to_the_last():
    """PS3.7 Table D.3-13: what is in one sub-item is not counted, it is read in one go."""
    octets = associate(user_information(common_extended("1.2", "1.3", ["1.4"] * 10_000)))
    assert why_too_many(memoryview(octets)) is None
