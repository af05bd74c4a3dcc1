"""ul.assoc.ac and ul.assoc.rj: what is looked at in each A-ASSOCIATE-AC and -RJ of the product (PS3.8 9.3.3, 9.3.4)."""

from collections.abc import Iterable, Iterator
from typing import Any

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Role
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.passive import FINE, Look, PassiveCheck, Traffic
from dulcet.conformance.kit.visit import Visit
from dulcet.dimse.uids import is_valid_uid
from dulcet.errors import DecodeError
from dulcet.ul.items import (
    AsynchronousOperationsWindow,
    ImplementationClassUID,
    MaximumLength,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    TransferSyntax,
    UserIdentityAC,
    UserIdentityRQ,
    of_type,
)
from dulcet.ul.pdu import AAssociateAC, AAssociateRQ, decode_pdu
from dulcet.ul.reasons import CONTEXT_RESULTS, REJECT_REASONS, REJECT_RESULTS

Q, C, I = Level.REQUIRED, Level.RECOMMENDED, Level.INFORMATIONAL  # noqa: E741
Pair = tuple[AAssociateRQ, AAssociateAC, bytes]


def _pairs(traffic: Traffic) -> Iterator[Pair]:
    """The kit's request and the product's answer, of connections whose request binds the answer."""
    if not traffic.wire.judged or not traffic.wire.kit_connected:
        return
    request = traffic.request
    for passed in traffic.of_product(0x02)[:1]:
        try:
            answer = decode_pdu(passed.octets).pdu
        except DecodeError:
            return
        if request is not None and isinstance(answer, AAssociateAC):
            yield request, answer, passed.octets


def items_of(octets: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, reserved, body) of items or sub-items, as far as they can be told apart."""
    start = 0
    while start + 4 <= len(octets):
        length = int.from_bytes(octets[start + 2 : start + 4], "big")
        yield octets[start], octets[start + 1], octets[start + 4 : start + 4 + length]
        start += 4 + length


def reserved_octets(octets: bytes) -> Iterator[tuple[str, bytes]]:
    """(where, octets) of each reserved field of an association PDU that is sent as zero."""
    yield "octet 2", octets[1:2]
    yield "octets 9-10", octets[8:10]
    for item_type, reserved, body in items_of(octets[74:]):
        yield f"octet 2 of item {item_type:02X}H", bytes((reserved,))
        if item_type == 0x20:
            yield "octets 6-8 of item 20H", body[1:4]
            sub_items = body[4:]
        elif item_type == 0x21:
            yield "octet 6 of item 21H", body[1:2]
            yield "octet 8 of item 21H", body[3:4]
            sub_items = body[4:]
        else:
            sub_items = body if item_type == 0x50 else b""
        for sub_type, sub_reserved, _ in items_of(sub_items):
            if sub_type != 0x57:  # its second octet is a version
                yield f"octet 2 of sub-item {sub_type:02X}H", bytes((sub_reserved,))


def zero_reserved(octets: bytes) -> Look:
    """Whether all of them are zero."""
    wrong = [f"{where} is {value.hex(' ')}" for where, value in reserved_octets(octets) if any(value)]
    return Look(", ".join(wrong)) if wrong else FINE


def _reserved_echo(traffic: Traffic) -> Iterable[Look]:
    for request, answer, _ in _pairs(traffic):
        for name, sent, came in (
            ("11-26", request.called_ae_title.octets, answer.called_ae_title.octets),
            ("27-42", request.calling_ae_title.octets, answer.calling_ae_title.octets),
            ("43-74", request.reserved, answer.reserved),
        ):
            yield FINE if sent == came else Look(f"octets {name} are {came.hex(' ')}, sent were {sent.hex(' ')}")


def _version(traffic: Traffic) -> Iterable[Look]:
    for _, answer, _ in _pairs(traffic):
        yield FINE if answer.protocol_version & 1 else Look(f"protocol version {answer.protocol_version:04X}H")


def _reserved_zero(traffic: Traffic) -> Iterable[Look]:
    return [zero_reserved(octets) for _, _, octets in _pairs(traffic)]


def _lengths(traffic: Traffic) -> Iterable[Look]:
    for passed in traffic.of_product(0x02):
        try:
            decoded = decode_pdu(passed.octets)
        except DecodeError as error:
            yield Look(str(error))
            continue
        wrong = [deviation.explanation for deviation in decoded.deviations if "after the last" in deviation.explanation]
        yield Look("; ".join(wrong)) if wrong else FINE


def items_count(octets: bytes, context_type: int) -> Look:
    """One 10H, at least one context item, one 50H."""
    types = [item_type for item_type, _, _ in items_of(octets[74:])]
    wrong = [f"{types.count(kind)} items {kind:02X}H" for kind in (0x10, 0x50) if types.count(kind) != 1]
    if context_type not in types:
        wrong.append(f"no item {context_type:02X}H")
    return Look(", ".join(wrong)) if wrong else FINE


def items_order(octets: bytes) -> Look:
    """Ascending item types."""
    types = [item_type for item_type, _, _ in items_of(octets[74:])]
    return FINE if types == sorted(types) else Look(" ".join(f"{kind:02X}H" for kind in dict.fromkeys(types)))


def _items_count(traffic: Traffic) -> Iterable[Look]:
    return [items_count(octets, 0x21) for request, _, octets in _pairs(traffic) if request.presentation_contexts]


def _items_order(traffic: Traffic) -> Iterable[Look]:
    return [items_order(octets) for _, _, octets in _pairs(traffic)]


def _one_to_one(traffic: Traffic) -> Iterable[Look]:
    for request, answer, _ in _pairs(traffic):
        proposed = sorted(context.context_id for context in request.presentation_contexts)
        answered = sorted(context.context_id for context in answer.presentation_contexts)
        yield FINE if proposed == answered else Look(f"proposed {proposed[:9]}, answered {answered[:9]}")


def _result_values(traffic: Traffic) -> Iterable[Look]:
    for _, answer, _ in _pairs(traffic):
        for context in answer.presentation_contexts:
            known = context.result in CONTEXT_RESULTS
            yield FINE if known else Look(f"context {context.context_id}: result {context.result}")


def _from_offer(traffic: Traffic) -> Iterable[Look]:
    for request, answer, _ in _pairs(traffic):
        offered = {context.context_id: context.transfer_syntaxes for context in request.presentation_contexts}
        for context in answer.presentation_contexts:
            if context.result == 0:
                syntaxes = [syntax.name for syntax in of_type(context.sub_items, TransferSyntax)]
                good = len(syntaxes) == 1 and syntaxes[0] in offered.get(context.context_id, ())
                yield FINE if good else Look(f"context {context.context_id}: {len(syntaxes)} syntaxes, or not offered")


def _refused_has_one(traffic: Traffic) -> Iterable[Look]:
    for _, answer, _ in _pairs(traffic):
        for context in answer.presentation_contexts:
            if context.result:
                count = len(of_type(context.sub_items, TransferSyntax))
                yield FINE if count == 1 else Look(f"context {context.context_id}: {count} Transfer Syntax Sub-Items")


def _exactly_one(kind: type[Any], name: str) -> Any:
    def check(traffic: Traffic) -> Iterable[Look]:
        for _, answer, _ in _pairs(traffic):
            count = len(of_type(answer.user_items, kind))
            yield FINE if count == 1 else Look(f"{count} {name} Sub-Items")

    return check


def _implementation_class(traffic: Traffic) -> Iterable[Look]:
    for _, answer, _ in _pairs(traffic):
        uids = [sub_item.uid for sub_item in of_type(answer.user_items, ImplementationClassUID)]
        good = len(uids) == 1 and is_valid_uid(uids[0])
        yield FINE if good else Look(f"{len(uids)} Implementation Class UIDs, or not a UID")


def _implementation_version(traffic: Traffic) -> Iterable[Look]:
    for _, _, octets in _pairs(traffic):
        yield version_names(octets)


def version_names(octets: bytes) -> Look:
    """At most one Implementation Version Name, of 1 to 16 characters of ISO 646."""
    names = [
        body
        for item_type, _, information in items_of(octets[74:])
        if item_type == 0x50
        for sub_type, _, body in items_of(information)
        if sub_type == 0x55
    ]
    if len(names) > 1:
        return Look(f"{len(names)} Implementation Version Names")
    good = all(1 <= len(name) <= 16 and all(0x20 <= octet < 0x7F for octet in name) for name in names)
    return FINE if good else Look("the Implementation Version Name is not 1 to 16 characters of ISO 646")


_ONLY_IF_OFFERED = (AsynchronousOperationsWindow, RoleSelection, SOPClassExtendedNegotiation)


def _unsolicited(traffic: Traffic) -> Iterable[Look]:
    for request, answer, _ in _pairs(traffic):
        wrong = [
            f"{kind.ITEM_TYPE:02X}H"
            for kind in _ONLY_IF_OFFERED
            if of_type(answer.user_items, kind) and not of_type(request.user_items, kind)
        ]
        never = (SOPClassCommonExtendedNegotiation, UserIdentityRQ)
        wrong += [f"{kind.ITEM_TYPE:02X}H" for kind in never if of_type(answer.user_items, kind)]
        identity = request.user_identity
        if answer.user_identity is not None and (identity is None or not identity.positive_response_requested):
            wrong.append(f"{UserIdentityAC.ITEM_TYPE:02X}H")
        yield Look(f"not asked for: {', '.join(wrong)}") if wrong else FINE


def unpadded_uids(octets: bytes) -> Look:
    """No NUL, no space in the UIDs of an association PDU."""
    padded = [
        deviation.field
        for deviation in decode_pdu(octets).deviations
        if deviation.clause == "PS3.8 Annex F" and "padded" in deviation.explanation
    ]
    return Look(f"padded: {', '.join(padded)}") if padded else FINE


def _unpadded(traffic: Traffic) -> Iterable[Look]:
    return [unpadded_uids(octets) for _, _, octets in _pairs(traffic)]


def sub_items_order(octets: bytes) -> Look:
    """Ascending user sub-items."""
    types = [
        sub_type
        for item_type, _, body in items_of(octets[74:])
        if item_type == 0x50
        for sub_type, _, _ in items_of(body)
    ]
    return FINE if types == sorted(types) else Look(" ".join(f"{kind:02X}H" for kind in types))


def _sub_items_order(traffic: Traffic) -> Iterable[Look]:
    return [sub_items_order(octets) for _, _, octets in _pairs(traffic)]


def _rejections(traffic: Traffic) -> list[bytes]:
    return [passed.octets for passed in traffic.of_product(0x03)]


def _rejection_length(traffic: Traffic) -> Iterable[Look]:
    for octets in _rejections(traffic):
        good = len(octets) == 10 and octets[1] == 0 and octets[6] == 0
        yield FINE if good else Look(octets.hex(" "))


def _rejection_tuple(traffic: Traffic) -> Iterable[Look]:
    for octets in _rejections(traffic):
        result, source, reason = (*octets[7:10], 0, 0, 0)[:3]
        good = result in REJECT_RESULTS and (source, reason) in REJECT_REASONS
        yield FINE if good else Look(f"({result},{source},{reason})")


def _passive(name: str, requirement: str, clause: str, level: Level, check: Any) -> PassiveCheck:
    case = Case(
        id=f"ul.assoc.{name}",
        requirement=requirement,
        stimulus=f"looked at in each A-ASSOCIATE-{'RJ' if name.startswith('rj') else 'AC'} of the run",
        clause=clause,
        level=level,
        role=Role.PASSIVE,
    )
    return PassiveCheck(case, check)


ANSWER_CHECKS = (
    _passive("ac.reserved-echo", "Octets 11-26, 27-42 and 43-74 are those of the request.", "PS3.8 Table 9-17", Q,
             _reserved_echo),
    _passive("ac.version-bit0", "Bit 0 of the protocol version is set.", "PS3.8 Table 9-17", Q, _version),
    _passive("ac.rsv-zero", "Reserved octets are sent as zero.", "PS3.8 Table 9-17", Q, _reserved_zero),
    _passive("ac.lengths", "Every length is exact.", "PS3.8 9.3.1", Q, _lengths),
    _passive("ac.items-count", "One 10H, one or more 21H, one 50H.", "PS3.8 9.3.3", Q, _items_count),
    _passive("ac.items-order", "Items appear in increasing order of their types.", "PS3.8 9.3.1", Q, _items_order),
    _passive("ac.results-one-to-one", "Each proposed context is answered, once.", "PS3.8 7.1.1.14", Q, _one_to_one),
    _passive("ac.result-values", "A result is 0 to 4.", "PS3.8 Table 9-18", Q, _result_values),
    _passive("ac.ts-one-from-offer", "An accepted context has one transfer syntax, one of those offered for it.",
             "PS3.8 9.3.3.2", Q, _from_offer),
    _passive("ac.rejected-ts-present", "A refused context has one Transfer Syntax Sub-Item all the same.",
             "PS3.8 9.3.3.2", C, _refused_has_one),
    _passive("ac.maxlen-one", "Exactly one Maximum Length Sub-Item.", "PS3.8 D.1.2", Q,
             _exactly_one(MaximumLength, "Maximum Length")),
    _passive("ac.implclass-one", "Exactly one Implementation Class UID, a valid one.", "PS3.7 D.3.3.2", Q,
             _implementation_class),
    _passive("ac.implver", "At most one Implementation Version Name of 1 to 16 characters.", "PS3.7 D.3.3.2.4", Q,
             _implementation_version),
    _passive("ac.no-unsolicited", "53H, 54H, 56H and 59H only where offered; 57H and 58H never.", "PS3.7 D.3.3", Q,
             _unsolicited),
    _passive("ac.uid-no-padding", "UIDs are not padded.", "PS3.8 Annex F", Q, _unpadded),
    _passive("ac.subitems-ascending", "User sub-items in ascending order suit older peers.", "PS3.8 9.3.2.3", C,
             _sub_items_order),
    _passive("rj.length", "An A-ASSOCIATE-RJ has length 4; reserved octets are zero.", "PS3.8 Table 9-21", Q,
             _rejection_length),
    _passive("rj.tuple", "Result, source and reason are one of the 16 combinations of the table.", "PS3.8 Table 9-21",
             Q, _rejection_tuple),
)  # fmt: skip


async def _deterministic(visit: Visit) -> Outcome:
    answers = []
    for _ in range(2):
        asked = await visit.ask(visit.product.request())
        if asked.seen is None or asked.answer is None:
            return asked.outcome
        answers.append(asked.seen.octets)
        await asked.peer.send(stimuli.ABORT)
    return Outcome("SAME" if answers[0] == answers[1] else "DIFFERENT")


async def _nothing_after_rejection(visit: Visit) -> Outcome:
    asked = await visit.ask(visit.product.request().but(version=0), judged=False)
    outcome = asked.outcome
    if outcome.word != "RJ":
        return outcome
    seen = await asked.peer.next(4 * visit.patience.settle)
    return Outcome("QUIET") if seen is None or seen.end is not None else Outcome("SENT", (), seen.octets[:16].hex(" "))


CASES = (
    Case(
        id="ul.assoc.ac.deterministic", requirement="The same request is answered the same way.",
        stimulus="the same A-ASSOCIATE-RQ twice", clause="PS3.8 7.1", level=I, role=Role.ACCEPTOR, allowed=("SAME",),
        play=_deterministic,
    ),
    Case(
        id="ul.assoc.rj.no-pdu-after", requirement="After an A-ASSOCIATE-RJ nothing is sent any more.",
        stimulus="a request of protocol version 0, then the connection is kept open", clause="PS3.8 Table 9-10",
        level=Q, role=Role.ACCEPTOR, allowed=("QUIET",), tolerated=("ABORT", "CLOSE"), play=_nothing_after_rejection,
        probe=True,
    ),
)  # fmt: skip
