"""ul.assoc.rq: presentation contexts, UIDs, unknown items, order and lengths (PS3.8 9.3.1, 9.3.2.2, Annex F)."""

from collections.abc import Sequence

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Role
from dulcet.conformance.kit.cases.assoc_rq import REFUSED, B, Build, Q, request_case
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import Product
from dulcet.conformance.kit.stimuli import (
    UNKNOWN_UID,
    Request,
    abstract_syntax,
    context,
    context_of,
    item,
    transfer_syntax,
    user_information,
)
from dulcet.conformance.kit.visit import Asked, Visit
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

_ODD = tuple(range(1, 256, 2))
_ID = "A presentation context ID is an odd number from 1 to 255 that is used once."
_ONE_ABSTRACT = "A proposed context has one abstract syntax."
_SKIPPED = "Items of an unrecognized type are ignored and skipped."
_SAFE_REFUSAL = ("AC(!0)", "AC()", "RJ", "ABORT", "CLOSE")
_VERIFICATION = abstract_syntax(VERIFICATION)
_IMPLICIT = transfer_syntax(IMPLICIT_VR_LITTLE_ENDIAN)
_USER = user_information(stimuli.maximum_length(), stimuli.implementation_class())


def _contexts(*contexts: bytes) -> Build:
    return lambda product: product.request(*contexts)


def _items(*items: bytes) -> Build:
    return lambda product: product.request().but(items=items)


def _one_answer_each(visit: Visit, asked: Asked) -> None:
    answer = asked.answer
    if answer is None:
        return
    ids = [context.context_id for context in answer.presentation_contexts]
    if len(ids) != len(asked.request.contexts):
        visit.problem("ANSWERS_MISSING", f"{len(asked.request.contexts)} contexts proposed, {len(ids)} answered")


def _no_second_answer(visit: Visit, asked: Asked) -> None:
    answer = asked.answer
    if answer is not None and len(answer.presentation_contexts) > 1:
        visit.warn("ANSWERED_TWICE", "context ID 1 was proposed twice and answered twice")


def _numbered(ids: Sequence[int]) -> Build:
    return _contexts(*(context(number, VERIFICATION) for number in ids))


CONTEXTS = (
    request_case(
        "pc.none", "no Presentation Context Item", "There are one or more Presentation Context Items.", "PS3.8 9.3.2",
        B, lambda product: product.request().but(contexts=()), REFUSED, judged=False, works=False,
    ),
    request_case(
        "pc.128", "128 contexts: all odd IDs", "Up to 128 contexts can be proposed; each is answered.",
        "PS3.8 9.3.2.2", Q, _numbered(_ODD), ("AC(0)",), tested=_ODD, check=_one_answer_each,
    ),
    request_case(
        "pc.descending-ids", "context IDs 255, 253, ... 1", "Contexts may be proposed in any order of their IDs.",
        "PS3.8 7.1.1.13", Q, _numbered(_ODD[::-1]), ("AC(0)",), tested=_ODD, check=_one_answer_each,
    ),
    request_case(
        "pc.same-abstract-twice", "Verification as context 1 in Implicit and as 3 in Explicit VR Little Endian",
        "The same abstract syntax may be proposed in several contexts; each is answered on its own.",
        "PS3.8 7.1.1.13", Q,
        _contexts(context(1, VERIFICATION), context(3, VERIFICATION, EXPLICIT_VR_LITTLE_ENDIAN)), ("AC(0)",),
    ),
    request_case(
        "pc.id-even", "context ID 2", _ID, "PS3.8 9.3.2.2", B, _contexts(context(2, VERIFICATION)),
        ("AC(!0)", "AC()", *REFUSED), tolerated=("AC",), tested=(2,), judged=False, works=False,
    ),
    request_case(
        "pc.id-zero", "context ID 0", _ID, "PS3.8 9.3.2.2", B, _contexts(context(0, VERIFICATION)),
        ("AC(!0)", "AC()", *REFUSED), tolerated=("AC",), tested=(0,), judged=False, works=False,
    ),
    request_case(
        "pc.id-duplicate", "context ID 1 twice", _ID, "PS3.8 7.1.1.13", B,
        _contexts(context(1, VERIFICATION), context(1, UNKNOWN_UID)), ("SAFE",), check=_no_second_answer,
        judged=False, works=False,
    ),
    request_case(
        "pc.abstract-missing", "a context without abstract syntax", _ONE_ABSTRACT, "PS3.8 9.3.2.2", B,
        _contexts(context_of(1, _IMPLICIT)), _SAFE_REFUSAL, judged=False, works=False,
    ),
    request_case(
        "pc.abstract-two", "a context with two abstract syntaxes", _ONE_ABSTRACT, "PS3.7 D.3.2", B,
        _contexts(context_of(1, _VERIFICATION, abstract_syntax(UNKNOWN_UID), _IMPLICIT)), ("SAFE",), judged=False,
        works=False,
    ),
    request_case(
        "pc.ts-none", "a context without transfer syntax", "A proposed context has one or more transfer syntaxes.",
        "PS3.8 9.3.2.2", B, _contexts(context_of(1, _VERIFICATION)), ("AC(4)", *REFUSED), tolerated=("AC(!0)",),
        judged=False, works=False,
    ),
    request_case(
        "pc.ts-duplicate", "the same transfer syntax twice", "A repeated transfer syntax does no harm.",
        "PS3.8 9.3.2.2", B, _contexts(context(1, VERIFICATION, *[IMPLICIT_VR_LITTLE_ENDIAN] * 2)),
    ),
    request_case(
        "pc.ts-100", "99 private transfer syntaxes, then Implicit VR Little Endian",
        "A context may offer any number of transfer syntaxes.", "PS3.8 9.3.2.2", Q,
        _contexts(
            context(1, VERIFICATION, *(f"{UNKNOWN_UID}.{number}" for number in range(99)), IMPLICIT_VR_LITTLE_ENDIAN)
        ),
    ),
    request_case(
        "pc.ts-unknown-plus-known", "a private transfer syntax and Implicit VR Little Endian",
        "The acceptor takes one of the offered transfer syntaxes that it supports.", "PS3.7 D.3.2", Q,
        _contexts(context(1, VERIFICATION, UNKNOWN_UID, IMPLICIT_VR_LITTLE_ENDIAN)),
    ),
    request_case(
        "pc.ts-unknown-only", "a private transfer syntax only, beside Verification in Implicit VR Little Endian",
        "A context none of whose transfer syntaxes is supported is answered with result 4.", "PS3.8 Table 9-18", Q,
        _contexts(context(1, VERIFICATION), context(3, VERIFICATION, UNKNOWN_UID)), ("AC(4)",),
        tolerated=("AC(2)", "AC(1)", "RJ"), tested=(3,),
    ),
    request_case(
        "pc.abstract-unknown", "a private abstract syntax beside Verification",
        "A context whose abstract syntax is not supported is answered with result 3.", "PS3.8 Table 9-18", Q,
        _contexts(context(1, VERIFICATION), context(3, UNKNOWN_UID)), ("AC(3)",), tolerated=("AC(0|1|2)", "RJ"),
        tested=(3,),
        note="A product may be set up to take any SOP class.",
    ),
    request_case(
        "pc.all-refused", "three contexts with private abstract syntaxes",
        "A request none of whose contexts can be accepted is accepted without any, or rejected.", "PS3.8 7.1.1.14", Q,
        _contexts(*(context(number, f"{UNKNOWN_UID}.{number}") for number in (7, 41, 255))),
        ("AC(!0)", "RJ(*,1,1)", "RJ(*,2,1)"), tested=(7, 41, 255), tolerated=("RJ", "ABORT", "AC(0)"),
    ),
    request_case(
        "pc.unknown-subitem", "a sub-item of type 77H inside the context", _SKIPPED, "PS3.8 9.3.1", Q,
        _contexts(context_of(1, _VERIFICATION, _IMPLICIT, item(0x77, b"unknown."))),
    ),
)  # fmt: skip

UIDS = (
    request_case(
        "uid.65chars", "an abstract syntax of 65 characters", "A UID has at most 64 characters.", "PS3.8 Annex F", B,
        _contexts(context(1, f"1.2.{'3' * 61}")), _SAFE_REFUSAL, judged=False, works=False,
    ),
    request_case(
        "uid.leading-zero", "abstract syntax 1.02.3", "A component of a UID has no leading zero.", "PS3.8 Annex F", B,
        _contexts(context(1, "1.02.3")), ("SAFE",), judged=False, works=False,
    ),
    request_case(
        "uid.trailing-nul", "Verification with a trailing NUL", "UIDs are not padded in these PDUs.", "PS3.8 Annex F",
        B, _contexts(context(1, f"{VERIFICATION}\0")), ("AC(0|3)",), tolerated=("SAFE",), judged=False, works=False,
    ),
)  # fmt: skip

UNKNOWN_ITEMS = (
    request_case(
        "unknown-item.middle", "an item of type 60H between 10H and 20H", _SKIPPED, "PS3.8 9.3.1", Q,
        lambda product: product.request().but(
            context_name=stimuli.application_context() + item(0x60, b"unknown.")
        ),
    ),
    request_case(
        "unknown-item.last", "an item of type A0H with 20 octets after the User Information Item", _SKIPPED,
        "PS3.8 9.3.1", Q, lambda product: _followed_by(product, item(0xA0, b"\0" * 20)),
    ),
    request_case(
        "unknown-item.empty-last", "an item of type A0H with length 0 after the User Information Item", _SKIPPED,
        "PS3.8 9.3.1", Q, lambda product: _followed_by(product, item(0xA0)),
    ),
    request_case(
        "unknown-user-subitem", "user sub-items of types 5AH and FFH",
        "Unrecognized user information sub-items are ignored; the association is not rejected because of them.",
        "PS3.8 D.2", Q, lambda product: product.request().with_user(item(0x5A, b"unknown."), item(0xFF, b"unknown.")),
    ),
)  # fmt: skip


def _followed_by(product: Product, octets: bytes) -> Request:
    request = product.request()
    return request.but(items=(*request.variable_items, octets))


def _reversed(product: Product) -> Request:
    request = product.request()
    return request.but(items=request.variable_items[::-1])


def _user_reversed(product: Product) -> Request:
    request = product.request().with_user(stimuli.window(1, 1), stimuli.version_name("DULCET"))
    return request.but(user=request.user[::-1])


ORDER = (
    request_case(
        "order.items-reversed", "50H, 20H, 10H", "Items appear in increasing order of their types.", "PS3.8 9.3.1", B,
        _reversed, ("AC", *REFUSED), judged=False,
    ),
    request_case(
        "order.user-subitems", "user sub-items 55H, 53H, 52H, 51H", "User sub-items may come in any order.",
        "PS3.8 9.3.2.3", Q, _user_reversed,
    ),
)  # fmt: skip

_EXACT = "Every length is exact: an item ends where, or before, what holds it ends."


def _cut_to(product: Product, length: int) -> Request:
    """Not a request any more: see `_raw`."""
    return product.request().but(items=(), reserved_43_74=bytes(32 - (68 - length)))


def _long(product: Product) -> Request:
    filler = item(0xA0, b"\0" * 65_000)
    return _followed_by(product, filler * 16)


LENGTHS = (
    request_case(
        "len.item-overruns-pdu", "the length of the Presentation Context Item goes past the end of the PDU", _EXACT,
        "PS3.8 9.3.1", B,
        _items(stimuli.application_context(), item(0x20, b"\1\0\0\0" + _VERIFICATION + _IMPLICIT, length=4000)),
        (*REFUSED, "CLOSE"), judged=False, works=False,
    ),
    request_case(
        "len.subitem-overruns-item", "the length of the Transfer Syntax Sub-Item goes past the end of its item", _EXACT,
        "PS3.8 9.3.2.2", B,
        _contexts(context_of(1, _VERIFICATION, item(0x40, IMPLICIT_VR_LITTLE_ENDIAN.encode(), length=200))),
        (*REFUSED, "CLOSE"), judged=False, works=False, tolerated=("AC(!0)",),
    ),
    request_case(
        "len.trailing-3-bytes", "three octets after the last item, counted by the PDU length", _EXACT, "PS3.8 9.3.1", B,
        lambda product: _followed_by(product, b"\0\0\0"), ("AC(0)", *REFUSED), judged=False,
    ),
    request_case(
        "len.short-67", "a PDU of length 67: one octet less than the fixed fields", _EXACT, "PS3.8 Table 9-11", B,
        lambda product: _cut_to(product, 67), ("ABORT", "CLOSE"), tolerated=("RJ",), judged=False, works=False,
    ),
    request_case(
        "len.fixed-only-68", "a PDU of length 68: no items",
        "There is one application context, one or more presentation contexts, one user information.", "PS3.8 9.3.2", B,
        _items(), REFUSED, judged=False, works=False,
    ),
    request_case(
        "len.1mib-valid", "1 MiB of unknown items after a valid request", _SKIPPED, "PS3.8 9.3.1", B, _long,
        ("AC(0)", *REFUSED), judged=False,
    ),
)  # fmt: skip


async def _huge(visit: Visit) -> Outcome:
    peer = await visit.connect(judged=False)
    await peer.send(stimuli.pdu(0x01, bytes(100), length=0xFFFFFFFF))
    return await peer.outcome(visit.patience.until_artim)


HUGE = Case(
    id="ul.assoc.rq.len.huge-announced",
    requirement="A PDU that can never arrive is given up, at the latest when ARTIM expires.",
    stimulus="an A-ASSOCIATE-RQ of length FFFFFFFFH, 100 octets of it, then silence",
    clause="PS3.8 9.1.4",
    level=B,
    role=Role.ACCEPTOR,
    allowed=("CLOSE", "ABORT", "RJ"),
    play=_huge,
    probe=True,
    waits_artim=True,
)

CASES = (*CONTEXTS, *UIDS, *UNKNOWN_ITEMS, *ORDER, *LENGTHS, HUGE)
