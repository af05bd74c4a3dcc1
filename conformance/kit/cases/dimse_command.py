"""dimse.cmd: how command sets are encoded (PS3.7 6.3.1, 9.3, Annex E); mostly tried with C-ECHO."""

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.command_set import C_ECHO_RQ, NO_DATA_SET, element, encode, joined
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import CT_IMAGE_STORAGE
from dulcet.conformance.kit.stimuli import context
from dulcet.conformance.kit.synthetic import ct_image, find_rq, store_rq, study_query
from dulcet.conformance.kit.visit import Association, PreconditionError, Visit, echo_rq
from dulcet.dimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    STUDY_ROOT_FIND,
    VERIFICATION,
)

Q, C, B = Level.REQUIRED, Level.RECOMMENDED, Level.ROBUSTNESS
NORMAL = ("RSP(0000)",)
FAILURE = "RSP(Axxx|Cxxx|01xx|02xx)"
STORED = "RSP(0000|B000|B006|B007)"
ONE_MEBIOCTET = 1024 * 1024
_VALUES: dict[int, int | str | bytes | None] = {0x0002: VERIFICATION, 0x0100: C_ECHO_RQ, 0x0110: 1, 0x0800: NO_DATA_SET}
_ELEMENTS = {tag: element(tag, value) for tag, value in _VALUES.items() if value is not None}


def case(
    name: str,
    stimulus: str,
    requirement: str,
    clause: str,
    level: Level,
    play: Play,
    allowed: tuple[str, ...] = NORMAL,
    *,
    tolerated: tuple[str, ...] = (),
    needs: tuple[str, ...] = ("verification",),
    probe: bool = True,
    role: Role = Role.ACCEPTOR,
    **more: object,
) -> Case:
    """A DIMSE case of a product that is an acceptor."""
    return Case(
        id=f"dimse.{name}",
        requirement=requirement,
        stimulus=stimulus,
        clause=clause,
        level=level,
        role=role,
        allowed=allowed,
        tolerated=tolerated,
        play=play,
        needs=needs,
        probe=probe,
        **more,  # type: ignore[arg-type]
    )


def send_command(octets: bytes, *, works: bool = False, message_id: int | None = 1) -> Play:
    """A command set as it is on an association for Verification; the response is compared with the request."""

    async def play(visit: Visit) -> Outcome:
        association = (await visit.associate()).need(1)
        return await exchange(association, octets, works=works, message_id=message_id)

    return play


async def exchange(
    association: Association, octets: bytes, *, works: bool = False, message_id: int | None = 1
) -> Outcome:
    """Send a command, take the answer; `works`: a second exchange must work."""
    await association.request_message(1, octets)
    answer = await association.next()
    if isinstance(answer, Outcome):
        return answer
    if answer.status == 0 and message_id is not None:
        association.compare(answer, 1, command_set.C_ECHO_RSP, message_id)
    if works:
        await association.still_works()
    return answer.outcome()


def _over(syntax: str) -> Play:
    async def play(visit: Visit) -> Outcome:
        association = await visit.associate(context(1, VERIFICATION, syntax))
        if 1 not in association.accepted:
            raise PreconditionError("the product does not accept Verification in this transfer syntax")
        return await exchange(association, echo_rq(1), works=True)

    return play


def _with(**others: int | str | bytes | None) -> bytes:
    return encode(_VALUES | {int(name[1:], 16): value for name, value in others.items()})


_IMPLICIT = "Command sets are encoded in Implicit VR Little Endian, whatever the transfer syntax of the context."
_TOLERATED = "What can't be understood is refused; it is never taken for something else."
_EXPLICIT_COMMAND = b"".join(
    b"\0\0" + tag.to_bytes(2, "little") + vr + len(value).to_bytes(2, "little") + value
    for tag, vr, value in (
        (0x0002, b"UI", VERIFICATION.encode() + b"\0"),
        (0x0100, b"US", C_ECHO_RQ.to_bytes(2, "little")),
        (0x0110, b"US", b"\1\0"),
        (0x0800, b"US", NO_DATA_SET.to_bytes(2, "little")),
    )
)  # fmt: skip

ENCODING = (
    case("cmd.ivle-on-evle", "a C-ECHO over an Explicit VR Little Endian context", _IMPLICIT, "PS3.7 6.3.1", Q,
         _over(EXPLICIT_VR_LITTLE_ENDIAN), probe=False),
    case("cmd.ivle-on-be", "a C-ECHO over an Explicit VR Big Endian context", _IMPLICIT, "PS3.7 6.3.1", Q,
         _over(EXPLICIT_VR_BIG_ENDIAN), probe=False),
    case("cmd.ivle-on-deflated", "a C-ECHO over a deflated context", _IMPLICIT, "PS3.7 6.3.1", Q,
         _over(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN), probe=False),
    case("cmd.evle-encoded", "a command set in Explicit VR", _IMPLICIT, "PS3.7 6.3.1", B,
         send_command(_EXPLICIT_COMMAND), ("ABORT", FAILURE)),
    case("cmd.group-length-wrong", "Command Group Length 10 too large", _TOLERATED, "PS3.7 6.3.1", B,
         send_command(element(0, 66) + joined(_ELEMENTS.values())[12:], works=False), (*NORMAL, "ABORT"),
         tolerated=(FAILURE,)),
    case("cmd.group-length-missing", "no Command Group Length", _TOLERATED, "PS3.7 9.3.5.1", B,
         send_command(joined(_ELEMENTS.values())[12:]), (*NORMAL, "ABORT"), tolerated=(FAILURE,)),
    case("cmd.length-to-end", "the retired element (0000,0001)",
         "The retired Length to End may be present and is not relied on.", "PS3.7 6.3.1", Q,
         send_command(_with(x0001=100), works=True), probe=False),
    case("cmd.unordered", "elements in descending order", _TOLERATED, "PS3.7 6.3.1", B,
         send_command(joined(list(_ELEMENTS.values())[::-1])), (*NORMAL, "ABORT"), tolerated=(FAILURE,)),
    case("cmd.duplicate-element", "Message ID twice", _TOLERATED, "PS3.7 6.3.1", B,
         send_command(joined((*list(_ELEMENTS.values())[:3], *list(_ELEMENTS.values())[2:]))), (*NORMAL, "ABORT"),
         tolerated=(FAILURE,)),
    case("cmd.retired-elements", "retired elements (0000,0850) and (0000,5010)",
         "Retired elements of a command set do no harm.", "PS3.7 Annex E", C,
         send_command(_with(x0850=1, x5010="DULCET"), works=True), probe=False),
    case("cmd.unknown-element", "an element (0000,9998)", "An unknown element is passed over.", "PS3.7 6.3.1", B,
         send_command(joined((*_ELEMENTS.values(), element(0x9998, b"\0\0"))), works=True), (*NORMAL, "ABORT"),
         tolerated=(FAILURE,)),
    case("cmd.foreign-group", "an element (0008,0018)", "Only group 0000 belongs into a command set.", "PS3.7 6.3", B,
         send_command(joined((*_ELEMENTS.values(), element(0x00080018, b"1.2.3\0")))), (*NORMAL, "ABORT"),
         tolerated=(FAILURE,)),
    case("cmd.odd-length-value", "a UID of odd length, not padded", "Values have an even length.", "PS3.7 6.3.1", B,
         send_command(_with(x0002=VERIFICATION.encode())), (*NORMAL, "ABORT"), tolerated=(FAILURE,)),
    case("cmd.uid-space-padded", "a UID padded with a space", "UIDs are padded with NUL.", "PS3.5 9.1", B,
         send_command(_with(x0002=VERIFICATION.encode() + b" ")), ("RSP(0000|0122)",), tolerated=("ABORT", FAILURE)),
)  # fmt: skip

# Command Data Set Type ------------------------------------------------------------------------------------------------


def _store_with_type(value: int) -> Play:
    async def play(visit: Visit) -> Outcome:
        association = (await visit.associate(context(1, CT_IMAGE_STORAGE))).need(1)
        image = ct_image(side=16)
        await association.request_message(1, store_rq(1, image, x0800=value), image.data)
        outcome = await association.outcome()
        await association.release()
        return outcome

    return play


DATA_SET_TYPES = tuple(
    case(f"cmd.dstype-{name}", f"a C-STORE with Command Data Set Type {name.upper()}H",
         "Any value but 0101H announces a data set.", "PS3.7 Table 9.3-1", Q, _store_with_type(int(name, 16)),
         (STORED,), needs=("storage",), probe=False)
    for name in ("0000", "0102", "fefe")
)  # fmt: skip

# Command Field and Message ID -----------------------------------------------------------------------------------------


async def _unsolicited(visit: Visit) -> Outcome:
    """Ignored, which a C-ECHO afterwards shows, or aborted."""
    association = (await visit.associate()).need(1)
    response = encode(
        {0x0002: VERIFICATION, 0x0100: command_set.C_ECHO_RSP, 0x0120: 77, 0x0800: NO_DATA_SET, 0x0900: 0}
    )
    await association.request_message(1, response)
    return await association.echo()


async def _reused(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    first = await association.echo(message_id=7)
    if first.word != "RSP":
        return first
    outcome = await association.echo(message_id=7)
    await association.release()
    return outcome


async def _duplicate_outstanding(visit: Visit) -> Outcome:
    association = (await visit.associate(context(1, STUDY_ROOT_FIND))).need(1)
    query = stimuli.message(1, find_rq(5), study_query())
    await association.send(query * 2)
    outcome = await association.outcome()
    while outcome.word == "RSP" and outcome.numbers in ((0xFF00,), (0xFF01,)):
        outcome = await association.outcome()
    return outcome


def _extreme(number: int) -> Play:
    async def play(visit: Visit) -> Outcome:
        association = (await visit.associate()).need(1)
        outcome = await association.echo(message_id=number)
        await association.release()
        return outcome

    return play


async def _large(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    await association.request_message(1, joined((*_ELEMENTS.values(), element(0x4000, b" " * ONE_MEBIOCTET))))
    return await association.outcome()


_ECHOED = "A response carries the Message ID of its request."
FIELDS = (
    case("cmd.field-unknown", "Command Field 0777H", "An unrecognized operation is answered with 0211H, or aborted.",
         "PS3.7 C.5.26", Q, send_command(_with(x0100=0x0777), message_id=None), ("RSP(0211)", "ABORT"),
         tolerated=(FAILURE,)),
    case("cmd.field-response-unsolicited", "a C-ECHO-RSP that nobody asked for, then a C-ECHO-RQ",
         "A response to nothing is ignored, or the association aborted.", "PS3.7 9.3.5.2", B, _unsolicited,
         (*NORMAL, "ABORT"), tolerated=("CLOSE",)),
    case("cmd.field-missing", "no Command Field", "Every command set has a Command Field.", "PS3.7 9.3", B,
         send_command(_with(x0100=None), message_id=None), ("ABORT",), tolerated=(FAILURE, "CLOSE")),
    case("cmd.msgid-missing", "no Message ID", "Every request has a Message ID.", "PS3.7 9.3.5.1", B,
         send_command(_with(x0110=None), message_id=None), ("ABORT", FAILURE), tolerated=("CLOSE",)),
    case("cmd.msgid-0", "Message ID 0", _ECHOED, "PS3.7 9.1.5.1.1", Q, _extreme(0), probe=False),
    case("cmd.msgid-65535", "Message ID 65535", _ECHOED, "PS3.7 9.1.5.1.1", Q, _extreme(0xFFFF), probe=False),
    case("cmd.msgid-reuse-sequential", "the same Message ID again after the response",
         "A Message ID may be used again when its operation is complete.", "PS3.7 9.1.1.1.1", Q, _reused, probe=False),
    case("cmd.msgid-duplicate-outstanding", "two C-FINDs with the same Message ID in one write",
         "No two outstanding operations have the same Message ID.", "PS3.7 9.1.2.1.1", B, _duplicate_outstanding,
         ("RSP(0210)", "ABORT"), tolerated=("RSP",), needs=("find",)),
    case("cmd.truncated", "the last element's length goes past the end", _TOLERATED, "PS3.7 6.3.1", B,
         send_command(_with()[:-2]), ("ABORT", FAILURE), tolerated=("CLOSE",)),
    case("cmd.empty", "a command set of no octets", "A command set has its required elements.", "PS3.7 6.3", B,
         send_command(b"", message_id=None), ("ABORT",), tolerated=(FAILURE, "CLOSE")),
    case("cmd.1mib", "a command set of 1 MiB", "Memory for a command set is bounded.", "PS3.7 6.3", B, _large,
         ("ABORT", FAILURE, "CLOSE"), tolerated=NORMAL),
)  # fmt: skip

CASES = (*ENCODING, *DATA_SET_TYPES, *FIELDS)
