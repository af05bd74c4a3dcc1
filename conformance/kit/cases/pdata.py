"""ul.pdu and ul.pdata: PDU types, PDVs, fragments and the maximum length (PS3.8 9.3.1, 9.3.5, Annexes D and E)."""

from collections.abc import Callable

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import CT_IMAGE_STORAGE
from dulcet.conformance.kit.stimuli import COMMAND, LAST, UNKNOWN_UID, context, fragments, p_data, pdu, pdv
from dulcet.conformance.kit.synthetic import ct_image, store_rq
from dulcet.conformance.kit.visit import Association, Visit, echo_rq
from dulcet.dimse.uids import VERIFICATION

Q, C, B = Level.REQUIRED, Level.RECOMMENDED, Level.ROBUSTNESS
NORMAL = ("RSP(0000)",)
_TLS_HELLO = bytes.fromhex("16030100c5010000c10303") + bytes(range(64))
_HTTP = b"GET / HTTP/1.1\r\nHost: dulcet\r\n\r\n"


def case(
    name: str,
    stimulus: str,
    requirement: str,
    clause: str,
    level: Level,
    play: Play,
    allowed: tuple[str, ...],
    *,
    tolerated: tuple[str, ...] = (),
    needs: tuple[str, ...] = ("verification",),
    load: bool = False,
    waits_artim: bool = False,
) -> Case:
    """A case of this group."""
    return Case(
        id=f"ul.{name}",
        requirement=requirement,
        stimulus=stimulus,
        clause=clause,
        level=level,
        role=Role.ACCEPTOR,
        allowed=allowed,
        tolerated=tolerated,
        play=play,
        needs=needs,
        probe=allowed != NORMAL,
        load=load,
        waits_artim=waits_artim,
    )


def _first_pdu(octets: bytes) -> Play:
    async def play(visit: Visit) -> Outcome:
        peer = await visit.connect(judged=False)
        await peer.send(octets)
        return await visit.settled(peer, await peer.outcome(visit.patience.answer))

    return play


def in_association(build: Callable[[Association], bytes | list[bytes]], *, works: bool = False) -> Play:
    """Send what is built for an association with Verification as context 1; a list is sent piece by piece."""

    async def play(visit: Visit) -> Outcome:
        association = (await visit.associate(context(1, VERIFICATION), context(3, VERIFICATION, UNKNOWN_UID))).need(1)
        built = build(association)
        for piece in built if isinstance(built, list) else [built]:
            await association.send(piece)
        outcome = await association.outcome()
        if works and outcome.word == "RSP":
            await association.still_works()
        elif outcome.word == "ABORT":
            return await visit.settled(association.peer, outcome)
        return outcome

    return play


UNKNOWN = {"08": pdu(0x08, bytes(4)), "00": pdu(0x00, bytes(4)), "ff": pdu(0xFF, bytes(4))}
UNRECOGNIZED = "An unrecognized PDU is answered with A-ABORT."


async def _unknown_long(visit: Visit) -> Outcome:
    association = await visit.associate()
    await association.send(pdu(0x08, b"", length=1 << 30))
    return await association.outcome(visit.patience.patient)


PDU_TYPES = (
    *(
        case(f"pdu.type.unknown-sta6.{name}", f"a PDU of type {name.upper()}H in Sta6", UNRECOGNIZED, "PS3.8 9.2.3", Q,
             in_association(lambda _, octets=octets: octets), ("ABORT2",))  # type: ignore[misc]
        for name, octets in UNKNOWN.items()
    ),
    *(
        case(f"pdu.type.unknown-sta2.{name}", f"a PDU of type {name.upper()}H as the first one", UNRECOGNIZED,
             "PS3.8 9.2.3", Q, _first_pdu(octets), ("ABORT0",), needs=())
        for name, octets in UNKNOWN.items()
    ),
    case("pdu.type.unknown-long", "a PDU of type 08H and length 1 GiB, without a body", UNRECOGNIZED, "PS3.8 9.2.3", B,
         _unknown_long, ("ABORT", "CLOSE")),
    case("pdu.http-get", "GET / HTTP/1.1", "What is no DICOM is aborted or closed.", "PS3.8 9.2.3", B,
         _first_pdu(_HTTP), ("ABORT0", "CLOSE"), tolerated=("ABORT2",), needs=()),
    case("pdu.tls-hello-on-plain", "a TLS ClientHello", "What is no DICOM is aborted or closed.", "PS3.8 9.2.3", B,
         _first_pdu(_TLS_HELLO), ("ABORT0", "CLOSE"), tolerated=("ABORT2",), needs=()),
    case("pdu.len-zero-pdata", "a P-DATA-TF of length 0", "A P-DATA-TF has one or more items.", "PS3.8 9.3.5", B,
         in_association(lambda association: [p_data(), stimuli.message(1, echo_rq(1))]), ("ABORT2", "CLOSE", *NORMAL),
         tolerated=("ABORT0",)),
)  # fmt: skip

# Fragments as they may be ---------------------------------------------------------------------------------------------

_ECHO = echo_rq(1)


def _one_each(octets: bytes, size: int) -> bytes:
    pieces = fragments(octets, size)
    whole = [p_data(pdv(1, COMMAND, piece)) for piece in pieces[:-1]]
    return b"".join([*whole, p_data(pdv(1, COMMAND | LAST, pieces[-1]))])


async def _store_in_one_pdu(visit: Visit) -> Outcome:
    association = (await visit.associate(context(1, CT_IMAGE_STORAGE))).need(1)
    image = ct_image(side=16)
    await association.send(p_data(pdv(1, COMMAND | LAST, store_rq(1, image)), pdv(1, LAST, image.data)))
    outcome = await association.outcome()
    await association.release()
    return outcome


_FRAGMENTS = "A message may be cut into fragments anywhere."
FRAGMENTS = (
    case("pdata.single", "a command set in one PDV", "A message in one fragment is processed.", "PS3.8 E.1", Q,
         in_association(lambda _: stimuli.message(1, _ECHO), works=True), NORMAL),
    case("pdata.two-pdvs-cmd-data", "command set and data set as two PDVs of one PDU",
         "Command set and data set may share a PDU.", "PS3.8 E.1", Q, _store_in_one_pdu,
         ("RSP(0000|B000|B006|B007)",), needs=("storage",)),
    case("pdata.same-type-consecutive", "a command set as two PDVs of one PDU",
         "Receivers are able to process consecutive PDVs of one type in a PDU.", "PS3.8 E.1", Q,
         in_association(lambda _: p_data(pdv(1, COMMAND, _ECHO[:20]), pdv(1, COMMAND | LAST, _ECHO[20:])), works=True),
         NORMAL),
    case("pdata.frag-2byte", "a command set in fragments of 2 octets", _FRAGMENTS, "PS3.8 E.1", Q,
         in_association(lambda _: _one_each(_ECHO, 2), works=True), NORMAL),
    case("pdata.frag-mid-element", "a command set cut inside a tag and inside a length", _FRAGMENTS, "PS3.8 E.1", Q,
         in_association(
             lambda _: p_data(pdv(1, COMMAND, _ECHO[:14])) + p_data(pdv(1, COMMAND, _ECHO[14:18]))
             + p_data(pdv(1, COMMAND | LAST, _ECHO[18:])), works=True), NORMAL),
    case("pdata.frag-odd", "a command set in fragments of 5 octets", "Fragments have an even length.", "PS3.8 E.1", B,
         in_association(lambda _: _one_each(_ECHO, 5)), (*NORMAL, "ABORT2"), tolerated=("ABORT0",)),
    case("pdata.empty-pdv-last", "the last flag on an empty PDV",
         "Receivers are recommended to cope with empty PDVs, which senders don't send.", "PS3.8 E.1", C,
         in_association(lambda _: p_data(pdv(1, COMMAND, _ECHO)) + p_data(pdv(1, COMMAND | LAST, b"")), works=True),
         NORMAL),
    case("pdata.mch-high-bits", "message control header FFH", "Bits 2 to 7 are never checked by the receiver.",
         "PS3.8 E.2", Q, in_association(lambda _: p_data(pdv(1, 0xFC | COMMAND | LAST, _ECHO)), works=True), NORMAL),
    case("pdata.rsv-byte2", "octet 2 of the P-DATA-TF is FFH", "Reserved fields are not tested when received.",
         "PS3.8 Table 9-22", Q,
         in_association(lambda _: p_data(pdv(1, COMMAND | LAST, _ECHO), reserved=0xFF), works=True), NORMAL),
)  # fmt: skip

# Items and contexts as they may not be --------------------------------------------------------------------------------


async def _switched_context(visit: Visit) -> Outcome:
    association = await visit.associate(context(1, CT_IMAGE_STORAGE), context(3, CT_IMAGE_STORAGE))
    association.need(1).need(3)
    image = ct_image(side=16)
    await association.send(p_data(pdv(1, COMMAND | LAST, store_rq(1, image))) + p_data(pdv(3, LAST, image.data)))
    return await association.outcome()


async def _command_in_data(visit: Visit) -> Outcome:
    association = (await visit.associate(context(1, CT_IMAGE_STORAGE))).need(1)
    image = ct_image(side=16)
    await association.send(
        p_data(pdv(1, COMMAND | LAST, store_rq(1, image)))
        + p_data(pdv(1, 0, image.data[:400]))
        + p_data(pdv(1, COMMAND | LAST, store_rq(2, image)))
        + p_data(pdv(1, LAST, image.data[400:]))
    )
    return await association.outcome()


async def _interleaved(visit: Visit) -> Outcome:
    """Two C-STOREs, their data sets fragment by fragment in turn."""
    association = await visit.associate(context(1, CT_IMAGE_STORAGE), context(3, CT_IMAGE_STORAGE))
    association.need(1).need(3)
    images = {1: ct_image(side=16, uid_suffix="a"), 3: ct_image(side=16, uid_suffix="b")}
    octets = b"".join(p_data(pdv(at, COMMAND | LAST, store_rq(at, image))) for at, image in images.items())
    for half in (0, 1):
        octets += b"".join(
            p_data(pdv(at, LAST * half, image.data[half * 400 :][: None if half else 400]))
            for at, image in images.items()
        )
    await association.send(octets)
    return await association.outcome()


async def _missing_data_set(visit: Visit) -> Outcome:
    """Nothing must be answered with success; afterwards the association may be aborted."""
    association = (await visit.associate(context(1, CT_IMAGE_STORAGE))).need(1)
    await association.send(stimuli.message(1, store_rq(1, ct_image(side=16))))
    return await association.outcome()


_ONE_MESSAGE = "All fragments of a message go, in order, over one context; messages are not interleaved."
_KNOWN_CONTEXT = "Data go only over presentation contexts that were accepted."
_LENGTH = "An item's length counts context ID, message control header and fragment, and ends within the PDU."
_ABORT = ("ABORT",)

WRONG_ITEMS = (
    case("pdata.pdv-len-0", "a PDV of length 0", _LENGTH, "PS3.8 9.3.5.1", B,
         in_association(lambda _: pdu(0x04, bytes(4))), ("ABORT2",), tolerated=("ABORT0",)),
    case("pdata.pdv-len-1", "a PDV of length 1", _LENGTH, "PS3.8 9.3.5.1", B,
         in_association(lambda _: pdu(0x04, b"\0\0\0\1\1")), ("ABORT2",), tolerated=("ABORT0",)),
    case("pdata.pdv-overrun", "a PDV that is longer than its PDU", _LENGTH, "PS3.8 9.3.5.1", B,
         in_association(lambda _: p_data(pdv(1, COMMAND | LAST, _ECHO, length=4000))), ("ABORT2",),
         tolerated=("ABORT0",)),
    case("pdata.pdv-underrun", "three octets after the last PDV", _LENGTH, "PS3.8 9.3.5", B,
         in_association(lambda _: pdu(0x04, pdv(1, COMMAND | LAST, _ECHO) + bytes(3))), ("ABORT2", *NORMAL),
         tolerated=("ABORT0",)),
    case("pdata.pcid-unknown", "a C-ECHO-RQ on context 99", _KNOWN_CONTEXT, "PS3.8 7.6.1", Q,
         in_association(lambda _: stimuli.message(99, _ECHO)), _ABORT),
    case("pdata.pcid-refused", "a C-ECHO-RQ on a context that was refused", _KNOWN_CONTEXT, "PS3.8 7.6.1", Q,
         in_association(lambda _: stimuli.message(3, _ECHO)), _ABORT),
    case("pdata.pcid-even", "a C-ECHO-RQ on context 2", _KNOWN_CONTEXT, "PS3.8 9.3.5.1", Q,
         in_association(lambda _: stimuli.message(2, _ECHO)), _ABORT),
    case("pdata.pcid-switch", "the data set on another context than its command", _ONE_MESSAGE, "PS3.8 E.1", Q,
         _switched_context, _ABORT, needs=("storage",)),
    case("pdata.data-first", "a data fragment without a command", _ONE_MESSAGE, "PS3.8 E.1", Q,
         in_association(lambda _: p_data(pdv(1, LAST, bytes(20)))), _ABORT),
    case("pdata.cmd-in-data", "a second command before the data set is complete", _ONE_MESSAGE, "PS3.8 E.1", Q,
         _command_in_data, _ABORT, needs=("storage",)),
    case("pdata.interleave", "fragments of two messages in turn", _ONE_MESSAGE, "PS3.8 E.1", Q, _interleaved,
         ("ABORT", "RSP(Axxx|Cxxx|01xx|02xx)"), needs=("storage",)),
    case("pdata.two-messages-one-pdu", "two C-ECHO-RQs in one PDU", "All items of a PDU belong to one message.",
         "PS3.8 E.1", B,
         in_association(lambda _: p_data(pdv(1, COMMAND | LAST, _ECHO), pdv(1, COMMAND | LAST, echo_rq(2)))), _ABORT,
         tolerated=NORMAL),
    case("pdata.missing-dataset", "a C-STORE-RQ whose data set never comes",
         "A message is complete when its last fragment has come: until then there is no response.", "PS3.8 E.1", B,
         _missing_data_set, ("SILENCE", "ABORT", "CLOSE", "RSP(Axxx|Cxxx|01xx|02xx)"), needs=("storage",)),
    case("pdata.unexpected-dataset", "a C-ECHO-RQ without data set, then a data set",
         "A message has a data set only if Command Data Set Type says so.", "PS3.7 9.3.5", B,
         in_association(lambda _: stimuli.message(1, _ECHO, bytes(20))), ("ABORT", "RSP(Axxx|Cxxx|01xx|02xx)"),
         tolerated=NORMAL),
)  # fmt: skip

# The maximum length that the product announced ------------------------------------------------------------------------


def _of_length(octets: int) -> Play:
    """A C-STORE whose first data PDU has a PDU length of the product's maximum and so many octets more."""

    async def play(visit: Visit) -> Outcome:
        association = (await visit.associate(context(1, CT_IMAGE_STORAGE))).need(1)
        limit = association.limit
        if not limit or limit > 8 * 1024 * 1024:
            return Outcome("NO-LIMIT", (), f"the product announces {limit}: nothing can exceed it here")
        size = limit - 6 + octets
        image = ct_image(side=_side_for(size + 1000))
        data = image.data
        await association.send(p_data(pdv(1, COMMAND | LAST, store_rq(1, image))) + p_data(pdv(1, 0, data[:size])))
        if octets > 0:  # nothing more after the fatal octets: unread ones would make a reset of the answer
            early = await association.outcome(visit.patience.answer)
            if early.word != "SILENCE":
                return early
        rest = fragments(data[size:], limit - 6)
        for index, piece in enumerate(rest):
            await association.send(p_data(pdv(1, LAST * (index == len(rest) - 1), piece)))
        return await association.outcome()

    return play


def _side_for(octets: int) -> int:
    """Of a square image of 16 bits with at least so many octets."""
    return int((octets / 2) ** 0.5) + 2


def _too_long(length: Callable[[int], int]) -> Play:
    """One command PDU that is much longer than allowed: the length alone is wrong."""

    async def play(visit: Visit) -> Outcome:
        association = (await visit.associate()).need(1)
        limit = association.limit
        if not limit or limit > 8 * 1024 * 1024:
            return Outcome("NO-LIMIT", (), f"the product announces {limit}: nothing can exceed it here")
        total = length(limit)
        await association.send(p_data(pdv(1, COMMAND, bytes(total - 6))))
        return await association.outcome()

    return play


_LIMIT = "The announced maximum length is never exceeded; a longer PDU is a protocol error."
_OVER = ("ABORT2", "NO-LIMIT")
MAXIMUM_LENGTH = (
    case("pdata.maxlen.exact", "a P-DATA-TF as long as the product allows", "PDUs of the maximum length are processed.",
         "PS3.8 D.1", Q, _of_length(0), ("RSP(0000|B000|B006|B007)", "NO-LIMIT"), needs=("storage",)),
    case("pdata.maxlen.plus2", "a P-DATA-TF 2 octets longer than the product allows", _LIMIT, "PS3.8 D.1", Q,
         _of_length(2), _OVER, tolerated=("RSP(0000|B000|B006|B007)",), needs=("storage",)),
    case("pdata.maxlen.2x", "a P-DATA-TF twice as long as the product allows", _LIMIT, "PS3.8 D.1", Q,
         _too_long(lambda limit: 2 * limit), (*_OVER, "CLOSE")),
    case("pdata.maxlen.16mib", "a P-DATA-TF of 16 MiB", _LIMIT, "PS3.8 D.1", Q, _too_long(lambda _: 16 * 1024 * 1024),
         (*_OVER, "CLOSE"), load=True),
)  # fmt: skip

CASES = (*PDU_TYPES, *FRAGMENTS, *WRONG_ITEMS, *MAXIMUM_LENGTH)
