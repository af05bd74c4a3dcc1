"""ul.pdata.out and dimse.cmd.out: looked at in all that the product sends (PS3.8 Annex E, PS3.7 6.3.1)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from dulcet.conformance.kit import command_set
from dulcet.conformance.kit.case import Case, Level, Role
from dulcet.conformance.kit.command_set import CommandSet, command_name, parse
from dulcet.conformance.kit.passive import FINE, Check, Look, PassiveCheck, Traffic

Q, C = Level.REQUIRED, Level.RECOMMENDED
LO_CHARACTERS = 64

# PDVs -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """One PDV of the product."""

    context_id: int
    control: int
    fragment: bytes

    @property
    def is_command(self) -> bool:
        """Message control header bit 0."""
        return bool(self.control & 1)

    @property
    def is_last(self) -> bool:
        """Message control header bit 1."""
        return bool(self.control & 2)


def pdus_of(traffic: Traffic, *, by_product: bool = True) -> Iterator[tuple[Value, ...]]:
    """The PDVs of each P-DATA-TF that can be decoded."""
    for passed in traffic.of_product(0x04) if by_product else traffic.of_kit(0x04):
        values, start = [], 6
        while start + 6 <= len(passed.octets):
            length = int.from_bytes(passed.octets[start : start + 4], "big")
            if length < 2 or start + 4 + length > len(passed.octets):
                break
            head = passed.octets[start + 4 : start + 6]
            values.append(Value(head[0], head[1], passed.octets[start + 6 : start + 4 + length]))
            start += 4 + length
        yield tuple(values)


def values_of(traffic: Traffic) -> Iterator[Value]:
    """All PDVs of the product."""
    for values in pdus_of(traffic):
        yield from values


def _even(traffic: Traffic) -> Iterable[Look]:
    for value in values_of(traffic):
        yield FINE if len(value.fragment) % 2 == 0 else Look(f"a fragment of {len(value.fragment)} octets")


def _control_bits(traffic: Traffic) -> Iterable[Look]:
    for value in values_of(traffic):
        yield FINE if value.control < 4 else Look(f"message control header {value.control:02X}H")


def _one_message(traffic: Traffic) -> Iterable[Look]:
    """Within a PDU nothing follows the end of a message: a command after data, or a second command."""
    for values in pdus_of(traffic):
        ended = False
        wrong = False
        for value in values:
            wrong = wrong or (ended and value.is_command)
            ended = ended or value.is_last
        yield Look("a second message begins in the PDU") if wrong else FINE


def _no_empty(traffic: Traffic) -> Iterable[Look]:
    for value in values_of(traffic):
        yield FINE if value.fragment else Look("a PDV without data")


def _no_pair(traffic: Traffic) -> Iterable[Look]:
    for values in pdus_of(traffic):
        pair = any(one.is_command == other.is_command for one, other in pairwise(values))
        yield Look("two PDVs of one type in a PDU") if pair else FINE


def accepted_ids(traffic: Traffic) -> set[int] | None:
    """The contexts of the association; None when it can't be told."""
    if traffic.answer is None:
        return None
    return {context.context_id for context in traffic.answer.presentation_contexts if context.result == 0}


def _accepted_context(traffic: Traffic) -> Iterable[Look]:
    accepted = accepted_ids(traffic)
    if accepted is None:
        return
    for value in values_of(traffic):
        yield FINE if value.context_id in accepted else Look(f"context {value.context_id}")


def _not_interleaved(traffic: Traffic) -> Iterable[Look]:
    """Fragments of one message follow one another, on one context."""
    within: tuple[int, bool] | None = None
    for value in values_of(traffic):
        this = (value.context_id, value.is_command)
        yield FINE if within is None or within == this else Look(f"{this} within a message on {within}")
        within = None if value.is_last else this


# Command sets ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """One command set that went by."""

    context_id: int
    command: CommandSet
    has_data: bool
    """Whether a data set followed, as far as the traffic was kept."""
    is_certain: bool
    """Whether another message followed, so that `has_data` is known."""


def commands_of(traffic: Traffic, *, by_product: bool = True) -> list[Sent]:
    """The command sets of one side, in order."""
    sent: list[Sent] = []
    buffer = bytearray()
    for values in pdus_of(traffic, by_product=by_product):
        for value in values:
            if not value.is_command:
                if sent:
                    sent[-1] = Sent(sent[-1].context_id, sent[-1].command, True, True)
                continue
            if sent and not sent[-1].is_certain:
                sent[-1] = Sent(sent[-1].context_id, sent[-1].command, sent[-1].has_data, True)
            buffer += value.fragment
            if value.is_last:
                sent.append(Sent(value.context_id, parse(bytes(buffer)), False, False))
                buffer.clear()
    return sent


Judge = Callable[[Sent], str]


def _each(judge: Judge) -> Check:
    def check(traffic: Traffic) -> Iterable[Look]:
        for sent in commands_of(traffic):
            wrong = judge(sent)
            yield Look(f"{command_name(sent.command.field)}: {wrong}") if wrong else FINE

    return check


def _implicit(sent: Sent) -> str:
    return sent.command.fault


def _ascending(sent: Sent) -> str:
    tags = [element.tag for element in sent.command.elements]
    return "" if tags == sorted(set(tags)) else "elements are not in ascending order, each once"


def _even_values(sent: Sent) -> str:
    odd = [element.tag for element in sent.command.elements if len(element.octets) % 2]
    return f"(0000,{odd[0]:04X}) has an odd length" if odd else ""


def _group_length(sent: Sent) -> str:
    told = sent.command.number(0x0000)
    real = len(sent.command.octets) - 12
    return "" if told == real else f"Command Group Length is {told}, {real} octets follow"


def _group_0000(sent: Sent) -> str:
    foreign = [element.tag for element in sent.command.elements if element.tag >> 16]
    return f"an element of group {foreign[0] >> 16:04X}" if foreign else ""


_ALWAYS = (0x0000, 0x0100, 0x0800)
_REQUEST = {
    command_set.C_STORE_RQ: (0x0002, 0x0110, 0x0700, 0x1000),
    command_set.C_FIND_RQ: (0x0002, 0x0110, 0x0700),
    command_set.C_GET_RQ: (0x0002, 0x0110, 0x0700),
    command_set.C_MOVE_RQ: (0x0002, 0x0110, 0x0700, 0x0600),
    command_set.C_ECHO_RQ: (0x0002, 0x0110),
    command_set.C_CANCEL_RQ: (0x0120,),
    command_set.N_EVENT_REPORT_RQ: (0x0002, 0x0110, 0x1000, 0x1002),
    command_set.N_GET_RQ: (0x0003, 0x0110, 0x1001),
    command_set.N_SET_RQ: (0x0003, 0x0110, 0x1001),
    command_set.N_ACTION_RQ: (0x0003, 0x0110, 0x1001, 0x1008),
    command_set.N_CREATE_RQ: (0x0002, 0x0110),
    command_set.N_DELETE_RQ: (0x0003, 0x0110, 0x1001),
}


def required(sent: Sent) -> str:
    """The required elements that are missing."""
    field = sent.command.field
    wanted = (*_ALWAYS, *((0x0120, 0x0900) if field & 0x8000 else _REQUEST.get(field, ())))
    missing = [tag for tag in wanted if sent.command.find(tag) is None]
    return f"without {', '.join(f'(0000,{tag:04X})' for tag in missing)}" if missing else ""


def _data_set_type(sent: Sent) -> str:
    if sent.has_data and not sent.command.has_data_set:
        return "a data set follows, and Command Data Set Type is 0101H"
    if sent.command.has_data_set and sent.is_certain and not sent.has_data:
        return "no data set follows, and Command Data Set Type promises one"
    return ""


def is_status_of_the_standard(status: int) -> bool:
    """Whether a status is in a class of PS3.7 Annex C."""
    single = (0x0000, 0x0001, 0xFE00, 0xFF00, 0xFF01)
    return status in single or status >> 12 in (0xA, 0xB, 0xC) or status >> 8 in (0x01, 0x02)


def _status(sent: Sent) -> str:
    status = sent.command.status
    if not sent.command.field & 0x8000 or status is None or is_status_of_the_standard(status):
        return ""
    return f"status {status:04X}H"


def _text_length(sent: Sent) -> str:
    comment = sent.command.find(0x0902)
    too_long = comment is not None and len(comment.octets) > LO_CHARACTERS
    return f"Error Comment of {len(comment.octets)} octets" if too_long and comment is not None else ""


def _requests_by_id(traffic: Traffic) -> dict[int, int] | None:
    """Message ID -> context of the kit's requests; None when the kit sent something that can't be matched."""
    found: dict[int, int] = {}
    if not traffic.wire.is_whole:
        return None
    for sent in commands_of(traffic, by_product=False):
        numbers = [element.number for element in sent.command.elements if element.tag == 0x0110]
        is_request = not sent.command.field & 0x8000 and sent.command.field != command_set.C_CANCEL_RQ
        if sent.command.fault or (is_request and len(numbers) != 1):
            return None
        if is_request:
            found.setdefault(numbers[0], sent.context_id)
    return found


def _responses(traffic: Traffic) -> Iterator[tuple[Sent, dict[int, int]]]:
    requests = _requests_by_id(traffic)
    if requests is not None:
        for sent in commands_of(traffic):
            if sent.command.field & 0x8000:
                yield sent, requests


def _message_id(traffic: Traffic) -> Iterable[Look]:
    for sent, requests in _responses(traffic):
        number = sent.command.number(0x0120)
        yield FINE if number in requests else Look(f"{command_name(sent.command.field)} to Message ID {number}")


def _same_context(traffic: Traffic) -> Iterable[Look]:
    for sent, requests in _responses(traffic):
        asked = requests.get(sent.command.number(0x0120) or 0)
        if asked is not None:
            yield FINE if asked == sent.context_id else Look(f"a response on {sent.context_id}, the request on {asked}")


def _final_once(field: int) -> Check:
    """Exactly one response of a C-FIND is not Pending, and it is the last one."""

    def check(traffic: Traffic) -> Iterable[Look]:
        finals: dict[int, int] = {}
        for sent in commands_of(traffic):
            if sent.command.field != field:
                continue
            number = sent.command.number(0x0120) or 0
            if finals.get(number) and traffic.wire.judged:
                yield Look("a response after the final one")
            if sent.command.status not in (0xFF00, 0xFF01):
                finals[number] = finals.get(number, 0) + 1
                yield FINE

    return check


def _final_without_remaining(traffic: Traffic) -> Iterable[Look]:
    for sent in commands_of(traffic):
        if sent.command.field == command_set.C_MOVE_RSP and sent.command.status not in (0xFF00, 0xFE00):
            has = sent.command.find(0x1020) is not None
            yield Look("Number of Remaining Sub-operations in a final response") if has else FINE


def _pending_without_data(traffic: Traffic) -> Iterable[Look]:
    for sent in commands_of(traffic):
        if sent.command.field == command_set.C_MOVE_RSP and sent.command.status == 0xFF00:
            yield Look("a data set in a Pending response") if sent.command.has_data_set else FINE


def passive(case_id: str, requirement: str, clause: str, level: Level, check: Check) -> PassiveCheck:
    """A check over all traffic."""
    stimulus = "looked at in everything that the product sends"
    return PassiveCheck(
        Case(id=case_id, requirement=requirement, stimulus=stimulus, clause=clause, level=level, role=Role.PASSIVE),
        check,
    )


FRAGMENT_CHECKS = (
    passive("ul.pdata.out.even", "Fragments have an even length.", "PS3.8 E.1", Q, _even),
    passive("ul.pdata.out.mch-bits", "Bits 2 to 7 of the message control header are zero.", "PS3.8 E.2", Q,
            _control_bits),
    passive("ul.pdata.out.one-message-per-pdu", "All PDVs of a PDU belong to one message.", "PS3.8 E.1", Q,
            _one_message),
    passive("ul.pdata.out.no-empty-pdv", "A PDV has data.", "PS3.8 E.1", Q, _no_empty),
    passive("ul.pdata.out.no-same-type-pair", "No PDU has two consecutive PDVs of one type.", "PS3.8 E.1", C, _no_pair),
    passive("ul.pdata.out.pcid-accepted", "Data go only over accepted contexts.", "PS3.8 7.6.1", Q, _accepted_context),
    passive("ul.pdata.out.rsp-same-pcid", "A response goes over the context of its request.", "PS3.8 E.1", C,
            _same_context),
)  # fmt: skip

_6_3_1 = "PS3.7 6.3.1"
COMMAND_CHECKS = (
    passive("dimse.cmd.out.ivle", "Command sets are in Implicit VR Little Endian.", _6_3_1, Q, _each(_implicit)),
    passive("dimse.cmd.out.ascending", "Elements are in ascending order, each once.", _6_3_1, Q, _each(_ascending)),
    passive("dimse.cmd.out.even", "Values have an even length.", _6_3_1, Q, _each(_even_values)),
    passive("dimse.cmd.out.group-length", "Command Group Length is right.", "PS3.7 9.3", Q, _each(_group_length)),
    passive("dimse.cmd.out.group-0000", "A command set has elements of group 0000 only.", "PS3.7 6.3", Q,
            _each(_group_0000)),
    passive("dimse.cmd.out.required", "Every required element is there.", "PS3.7 9.3", Q, _each(required)),
    passive("dimse.cmd.out.message-id", "A response names the Message ID of a request.", "PS3.7 9.3", Q, _message_id),
    passive("dimse.cmd.out.data-set-type", "Command Data Set Type tells whether a data set follows.", "PS3.7 9.3", Q,
            _each(_data_set_type)),
    passive("dimse.cmd.out.status", "A status belongs to a class of Annex C.", "PS3.7 Annex C", Q, _each(_status)),
    passive("dimse.cmd.out.text-length", "An Error Comment has at most 64 characters.", "PS3.5 6.2", Q,
            _each(_text_length)),
)  # fmt: skip

NOT_INTERLEAVED = passive(
    "dimse.async.no-interleave", "Fragments of messages are not interleaved.", "PS3.8 E.1", Q, _not_interleaved
)
ACCEPTOR_CHECKS = (
    *FRAGMENT_CHECKS,
    *COMMAND_CHECKS,
    passive("dimse.find.final-once", "One response is not Pending, and nothing follows it.", "PS3.7 9.3.2.2", Q,
            _final_once(command_set.C_FIND_RSP)),
    passive("dimse.move.final-no-remaining", "A final response has no Number of Remaining Sub-operations.",
            "PS3.4 C.4.2.1.6", Q, _final_without_remaining),
    passive("dimse.move.pending-no-dataset", "A Pending response has no identifier.", "PS3.4 C.4.2.1.4.2", Q,
            _pending_without_data),
    NOT_INTERLEAVED,
)  # fmt: skip
