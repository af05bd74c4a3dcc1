"""ul.assoc.rq: the User Information Item (PS3.8 D.1, PS3.7 D.3.3)."""

from collections.abc import Callable

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.cases.assoc_rq import REFUSED, B, Build, Q, request_case
from dulcet.conformance.kit.product import Product
from dulcet.conformance.kit.stimuli import context, item, role, with_length
from dulcet.conformance.kit.visit import Asked, PreconditionError, Visit
from dulcet.dimse.uids import STUDY_ROOT_FIND, VERIFICATION
from dulcet.ul.items import SOPClassCommonExtendedNegotiation

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
STORAGE_SERVICE = "1.2.840.10008.4.2"
_CLASS, _LENGTH = stimuli.implementation_class(), stimuli.maximum_length()
_ONE_LENGTH = "There is exactly one Maximum Length Sub-Item, of length 4."
_ONE_CLASS = "The Implementation Class UID is required."
_NAME_LENGTH = "The Implementation Version Name has 1 to 16 characters."


def _user(*sub_items: bytes) -> Build:
    return lambda product: product.request().but(user=(*sub_items, *product.user))


def _with(*sub_items: bytes) -> Build:
    return lambda product: product.request().with_user(*sub_items)


BASICS = (
    request_case(
        "user.missing", "no User Information Item", "There is one User Information Item.", "PS3.8 9.3.2", B,
        lambda product: product.request().but(
            items=(stimuli.application_context(), stimuli.VERIFICATION_CONTEXT)
        ),
        ("AC", *REFUSED), judged=False,
    ),
    request_case("user.maxlen-missing", "no 51H", _ONE_LENGTH, "PS3.8 D.1", B, _user(_CLASS), ("AC", *REFUSED)),
    request_case(
        "user.maxlen-twice", "two 51H", _ONE_LENGTH, "PS3.8 D.1.1", B, _user(_LENGTH, _LENGTH, _CLASS), ("SAFE",)
    ),
    request_case(
        "user.maxlen-len2", "51H of length 2", _ONE_LENGTH, "PS3.8 D.1.1", B, _user(item(0x51, b"\x40\0"), _CLASS),
        REFUSED, judged=False, works=False,
    ),
    request_case(
        "user.implclass-missing", "no 52H", _ONE_CLASS, "PS3.7 D.3.3.2", B, _user(_LENGTH), ("AC", *REFUSED)
    ),
    request_case(
        "user.implver-17", "55H with 17 characters", _NAME_LENGTH, "PS3.7 D.3.3.2.3", B,
        _with(stimuli.version_name("DULCET_1234567890")), ("SAFE",),
    ),
    request_case(
        "user.implver-empty", "55H of length 0", _NAME_LENGTH, "PS3.7 D.3.3.2.3", B, _with(stimuli.version_name("")),
        ("SAFE",),
    ),
)  # fmt: skip

# User identity -------------------------------------------------------------------------------------------------------


def _refuses_only_if_declared(visit: Visit, asked: Asked) -> None:
    if asked.outcome.word == "RJ" and not visit.product.has("user-identity"):
        visit.warn("REFUSED_VALID", "a user identity was refused; declare `user-identity` if identities are checked")


def _no_reply(visit: Visit, asked: Asked) -> None:
    _refuses_only_if_declared(visit, asked)
    if asked.answer is not None and asked.answer.user_identity is not None:
        visit.problem("UNSOLICITED", "the A-ASSOCIATE-AC has a User Identity Sub-Item (59H) that was not asked for")


def _empty_reply(visit: Visit, asked: Asked) -> None:
    _refuses_only_if_declared(visit, asked)
    reply = None if asked.answer is None else asked.answer.user_identity
    if reply is not None and reply.server_response:
        visit.problem("WRONG_REPLY", "the server response to a user name has a length other than 0")


def _bad_user(product: Product) -> stimuli.Request:
    if not product.bad_user:
        raise PreconditionError("the configuration has no credentials that the product refuses")
    return product.request().but(user=(_LENGTH, _CLASS, *product.bad_user))


def _identity(kind: int, primary: bytes, secondary: bytes = b"", *, response: int = 0) -> Build:
    return _user(_LENGTH, _CLASS, stimuli.user_identity(kind, primary, secondary, response=response))


_IDENTITY = "An acceptor that checks no identities ignores the sub-item; one that does may reject with (1,2,d)."
_ACCEPTED_OR_REFUSED = ("AC(0)", "RJ(1,2,*)")

IDENTITY = (
    request_case(
        "userid.name-noreply", "58H of type 1 without a response asked for", _IDENTITY, "PS3.7 D.3.3.7", Q,
        _identity(1, b"dulcet"), _ACCEPTED_OR_REFUSED, check=_no_reply,
    ),
    request_case(
        "userid.name-reply", "58H of type 1 with a response asked for",
        "A positive response to a user name has length 0; an acceptor without support sends none.",
        "PS3.7 D.3.3.7.2", Q, _identity(1, b"dulcet", response=1), _ACCEPTED_OR_REFUSED, check=_empty_reply,
    ),
    request_case(
        "userid.pass", "58H of type 2 with a passcode", _IDENTITY, "PS3.7 D.3.3.7.3", Q,
        _identity(2, b"dulcet", b"conformance"), _ACCEPTED_OR_REFUSED, check=_no_reply,
    ),
    request_case(
        "userid.refused", "the identity that the configuration calls wrong",
        "An identity that is refused is rejected permanently by the ACSE related function (1,2,d).",
        "PS3.7 D.3.3.7.3", Q, _bad_user, ("RJ(1,2,*)",), needs=("user-identity",),
    ),
    request_case(
        "userid.type-9", "58H of type 9", _IDENTITY, "PS3.7 D.3.3.7.1", B, _identity(9, b"dulcet"),
        ("AC", "RJ(1,2,1)"), tolerated=("RJ", "ABORT"), judged=False,
    ),
    request_case(
        "userid.secondary-type1", "58H of type 1 with a secondary field", _IDENTITY, "PS3.7 D.3.3.7.1", B,
        _identity(1, b"dulcet", b"conformance"), ("SAFE",), judged=False,
    ),
    request_case(
        "userid.len-overrun", "58H whose primary field is longer than the sub-item",
        "Every length is exact: a field ends where, or before, its sub-item ends.", "PS3.7 D.3.3.7.1", B,
        _user(_LENGTH, _CLASS, item(0x58, b"\1\0\xff\0dulcet\0\0")), REFUSED, judged=False, works=False,
    ),
)  # fmt: skip

# Asynchronous operations, roles, extended negotiation ----------------------------------------------------------------


def _window(invoked: int, performed: int) -> Callable[[Visit, Asked], None]:
    def check(visit: Visit, asked: Asked) -> None:
        window = None if asked.answer is None else asked.answer.asynchronous_operations_window
        if window is None:
            return
        came = (window.maximum_number_operations_invoked, window.maximum_number_operations_performed)
        for offered, answered, name in zip((invoked, performed), came, ("invoked", "performed"), strict=True):
            if offered and (answered == 0 or answered > offered):
                visit.problem("WINDOW_TOO_LARGE", f"{answered} operations {name} answered to {offered} offered")

    return check


def _roles(scu: int, scp: int) -> Callable[[Visit, Asked], None]:
    def check(visit: Visit, asked: Asked) -> None:
        for answer in () if asked.answer is None else asked.answer.role_selections:
            if answer.scu_role > scu or answer.scp_role > scp:
                text = f"roles {answer.scu_role}/{answer.scp_role} answered to {scu}/{scp} proposed (SCU/SCP)"
                visit.problem("ROLE_NOT_PROPOSED", text)

    return check


def _no_role(visit: Visit, asked: Asked) -> None:
    if asked.answer is not None and asked.answer.role_selections:
        visit.problem("UNSOLICITED", "the A-ASSOCIATE-AC has a Role Selection Sub-Item that was not asked for")


_ROLES = "An acceptor answers 1 only to a role that was proposed with 1."

NEGOTIATION = (
    request_case(
        "async.offer-0-0", "53H 0/0: any number of operations",
        "An acceptor may limit the window, or answer none: one operation each way.", "PS3.7 D.3.3.3", Q,
        _with(stimuli.window(0, 0)), check=_window(0, 0),
    ),
    request_case(
        "async.offer-3-1", "53H 3/1", "No more operations are answered than were offered.", "PS3.7 D.3.3.3", Q,
        _with(stimuli.window(3, 1)), check=_window(3, 1),
    ),
    request_case(
        "async.len-6", "53H of length 6", "The sub-item has length 4.", "PS3.7 D.3.3.3", B,
        _with(item(0x53, b"\0\1\0\1\0\1")), ("SAFE",), judged=False,
    ),
    request_case(
        "role.none", "no 54H", "No role selection is answered when none was proposed.", "PS3.7 D.3.3.4", Q,
        lambda product: product.request(), check=_no_role,
    ),
    request_case(
        "role.scu-only", "54H 1/0", _ROLES, "PS3.7 D.3.3.4", Q, _with(role(VERIFICATION, 1, 0)), check=_roles(1, 0)
    ),
    request_case(
        "role.scp-only", "54H 0/1", _ROLES, "PS3.7 D.3.3.4", Q, _with(role(VERIFICATION, 0, 1)), ("AC",),
        check=_roles(0, 1), works=False,
    ),
    request_case(
        "role.both", "54H 1/1", _ROLES, "PS3.7 D.3.3.4", Q, _with(role(VERIFICATION, 1, 1)), ("AC",),
        check=_roles(1, 1), works=False,
    ),
    request_case(
        "role.0-0", "54H 0/0", "Proposing no role at all makes no sense; it does no harm.", "PS3.7 D.3.3.4", B,
        _with(role(VERIFICATION, 0, 0)), ("SAFE",), judged=False, works=False,
    ),
    request_case(
        "role.value-2", "54H 1/2", "A role is 0 or 1.", "PS3.7 D.3.3.4.1", B, _with(role(VERIFICATION, 1, 2)),
        ("SAFE",), judged=False, works=False,
    ),
    request_case(
        "role.unproposed-class", "54H for a class that no context proposes", "It is ignored.", "PS3.7 D.3.3.4.1", B,
        _with(role(CT_STORAGE, 1, 1)),
    ),
    request_case(
        "role.duplicate", "two 54H for one class", "There is at most one for each SOP class.", "PS3.7 D.3.3.4", B,
        _with(role(VERIFICATION, 1, 0), role(VERIFICATION, 1, 0)), ("SAFE",), judged=False,
    ),
)  # fmt: skip


def _application_information(offered: int) -> Callable[[Visit, Asked], None]:
    def check(visit: Visit, asked: Asked) -> None:
        for answer in () if asked.answer is None else asked.answer.sop_class_extended_negotiations:
            octets = answer.service_class_application_information
            if not 1 <= len(octets) <= offered:
                visit.problem("WRONG_REPLY", f"{len(octets)} octets answered to {offered} offered")
            elif set(octets) - {0, 1}:
                visit.problem("WRONG_REPLY", f"{octets.hex(' ')} answered: each octet is 0 or 1")

    return check


def _no_common(visit: Visit, asked: Asked) -> None:
    if asked.answer is not None and any(
        isinstance(sub_item, SOPClassCommonExtendedNegotiation) for sub_item in asked.answer.user_items
    ):
        visit.problem("UNSOLICITED", "the A-ASSOCIATE-AC has a 57H: it belongs into the A-ASSOCIATE-RQ only")


def _find(information: bytes) -> Build:
    return lambda product: product.request(context(1, STUDY_ROOT_FIND), context(3, VERIFICATION)).with_user(
        stimuli.extended(STUDY_ROOT_FIND, information)
    )


_RELATED = ("1.2.840.10008.5.1.4.1.1.2.1",)

EXTENDED = (
    request_case(
        "extneg.find-1byte", "56H for C-FIND with one octet",
        "The answer has one octet when one was offered: 0 or 1.", "PS3.4 C.5.1.1", Q, _find(b"\1"),
        check=_application_information(1), needs=("find",), works=False,
    ),
    request_case(
        "extneg.find-5bytes", "56H for C-FIND with five octets",
        "The answer has no more octets than were offered, each 0 or 1.", "PS3.4 C.5.1.1", Q, _find(b"\1" * 5),
        check=_application_information(5), needs=("find",), works=False,
    ),
    request_case(
        "extneg.unknown-class", "56H for a private class", "It is ignored.", "PS3.7 D.3.3.5", B,
        _with(stimuli.extended(stimuli.UNKNOWN_UID, b"\1")),
    ),
    request_case(
        "commonext.v0", "57H of version 0 with a related general class",
        "It is accepted or ignored, and never answered.", "PS3.7 D.3.3.6", Q,
        _with(stimuli.common_extended(CT_STORAGE, STORAGE_SERVICE, _RELATED)), check=_no_common,
    ),
    request_case(
        "commonext.v1-tail", "57H of version 1 with a field of that version",
        "Fields of a later version are ignored.", "PS3.7 D.3.3.6.1", Q,
        _with(stimuli.common_extended(CT_STORAGE, STORAGE_SERVICE, _RELATED, version=1, tail=with_length("new"))),
        check=_no_common,
    ),
)  # fmt: skip

CASES = (*BASICS, *IDENTITY, *NEGOTIATION, *EXTENDED)
