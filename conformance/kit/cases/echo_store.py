"""dimse.echo and dimse.store, the product as SCP (PS3.7 9.1.1, 9.1.5; PS3.4 Annexes A and B)."""

import hashlib

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.case import Case, Level, Play
from dulcet.conformance.kit.cases.dimse_command import NORMAL, STORED, case
from dulcet.conformance.kit.messages import Message
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import CT_IMAGE_STORAGE, MR_IMAGE_STORAGE
from dulcet.conformance.kit.stimuli import COMMAND, LAST, context, fragments, p_data, pdv
from dulcet.conformance.kit.synthetic import Image, ct_image, store_rq
from dulcet.conformance.kit.visit import Association, PreconditionError, Visit, echo_rq
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

Q, B, I = Level.REQUIRED, Level.ROBUSTNESS, Level.INFORMATIONAL  # noqa: E741
ECHOES = 100
LARGE_OCTETS = 512 * 1024 * 1024
_STORE = ("storage",)

# C-ECHO ---------------------------------------------------------------------------------------------------------------


async def _basic(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    await association.request_message(1, echo_rq(1))
    answer = await association.next()
    if isinstance(answer, Outcome):
        return answer
    association.compare(answer, 1, command_set.C_ECHO_RSP, 1)
    if answer.command.number(0x0800) != command_set.NO_DATA_SET:
        visit.problem("DATA_SET_TYPE", "Command Data Set Type of a C-ECHO-RSP is not 0101H")
    sop_class = answer.command.text(0x0002)
    if sop_class not in (None, VERIFICATION):
        visit.problem("WRONG_CLASS", "Affected SOP Class UID is not that of the request")
    await association.release()
    return answer.outcome()


async def _hundred(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    for _ in range(ECHOES):
        outcome = await association.echo()
        if str(outcome) != "RSP(0000)":
            return outcome
    await association.release()
    return outcome


async def _with_data_set(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    command = command_set.encode({0x0002: VERIFICATION, 0x0100: command_set.C_ECHO_RQ, 0x0110: 1, 0x0800: 1})
    await association.request_message(1, command, bytes(20))
    outcome = await association.outcome()
    if outcome.word == "RSP":
        await association.still_works()
    return outcome


async def _wrong_class(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    await association.request_message(1, echo_rq(1, CT_IMAGE_STORAGE))
    return await association.outcome()


async def _other_context(visit: Visit) -> Outcome:
    association = (await visit.associate(context(1, CT_IMAGE_STORAGE))).need(1)
    await association.request_message(1, echo_rq(1))
    return await association.outcome()


async def _pipelined(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    await association.send(stimuli.message(1, echo_rq(1)) + stimuli.message(1, echo_rq(2)))
    outcome = await association.outcome()
    if outcome.word != "RSP":
        return outcome
    outcome = await association.outcome()
    await association.release()
    return outcome


ECHO = (
    case("echo.basic", "a C-ECHO", "A C-ECHO is answered with success, its Message ID, and no data set.",
         "PS3.7 9.3.5.2", Q, _basic, probe=False),
    case("echo.100-sequential", f"{ECHOES} C-ECHOs on one association", "Each is answered with success.", "PS3.7 9.1.5",
         Q, _hundred, probe=False),
    case("echo.with-dataset", "a C-ECHO that claims and has a data set", "A C-ECHO-RQ has no data set.",
         "PS3.7 9.3.5.1", B, _with_data_set, ("ABORT", "RSP")),
    case("echo.wrong-class", "a C-ECHO whose Affected SOP Class UID is CT Image Storage",
         "Affected SOP Class UID is the Verification SOP Class.", "PS3.7 9.1.5.1.4", B, _wrong_class,
         ("RSP(0122|0211)", "ABORT"), tolerated=("RSP",)),
    case("echo.other-context", "a C-ECHO on a context for CT Image Storage",
         "An operation that the context's SOP class does not have is refused.", "PS3.7 9.1.5.1.4", B, _other_context,
         ("RSP(0122|0211)", "ABORT"), tolerated=("RSP",), needs=_STORE),
    case("echo.pipelined-sync", "two C-ECHOs without waiting, and no 53H",
         "Without a window one operation is outstanding; more are served in order, or aborted.", "PS3.7 7.3", B,
         _pipelined, (*NORMAL, "ABORT")),
)  # fmt: skip

# C-STORE --------------------------------------------------------------------------------------------------------------


async def associate_for_store(visit: Visit, *syntaxes: str) -> Association:
    """An association with CT Image Storage as context 1."""
    return (await visit.associate(context(1, CT_IMAGE_STORAGE, *syntaxes))).need(1)


async def _store(visit: Visit, image: Image, command: bytes | None = None, data: bytes | None = b"") -> Outcome:
    """One C-STORE as it is given, then the release."""
    association = await associate_for_store(visit)
    octets = image.data if data == b"" else data
    await association.request_message(1, command or store_rq(1, image), octets)
    answer = await association.next()
    if isinstance(answer, Outcome):
        return answer
    association.compare(answer, 1, command_set.C_STORE_RSP, 1)
    _check_uids(visit, answer, image)
    await association.release()
    return answer.outcome()


def _check_uids(visit: Visit, answer: Message, image: Image) -> None:
    for tag, sent in ((0x0002, image.sop_class), (0x1000, image.instance)):
        came = answer.command.text(tag)
        if came not in (None, sent) and answer.status == 0:
            visit.problem("WRONG_UID", f"(0000,{tag:04X}) of the response is not that of the request")


def _stores(**image: object) -> Play:
    async def play(visit: Visit) -> Outcome:
        return await _store(visit, ct_image(**image))  # type: ignore[arg-type]

    return play


async def _each_syntax(visit: Visit) -> Outcome:
    for syntax in (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN):
        association = await visit.associate(context(1, CT_IMAGE_STORAGE, syntax))
        if 1 not in association.accepted:
            continue
        image = ct_image(uid_suffix=syntax, explicit=syntax == EXPLICIT_VR_LITTLE_ENDIAN)
        await association.request_message(1, store_rq(1, image), image.data)
        outcome = await association.outcome()
        if outcome.word != "RSP" or outcome.numbers[0] & 0xF000 not in (0, 0xB000):
            return Outcome(outcome.word, outcome.numbers, f"in {syntax}: {outcome}")
        await association.release()
    return outcome


async def _fragment_sizes(visit: Visit) -> Outcome:
    for size in (2, 100, 1022):
        association = await associate_for_store(visit)
        image = ct_image(uid_suffix=f"fragments of {size}", side=16)
        pieces = fragments(image.data, size)
        octets = p_data(pdv(1, COMMAND | LAST, store_rq(1, image)))
        octets += b"".join(p_data(pdv(1, 0, piece)) for piece in pieces[:-1]) + p_data(pdv(1, LAST, pieces[-1]))
        await association.send(octets)
        outcome = await association.outcome(visit.patience.patient)
        if outcome.word != "RSP" or outcome.numbers[0]:
            return Outcome(outcome.word, outcome.numbers, f"fragments of {size} octets: {outcome}")
        await association.release()
    return outcome


async def _delayed_end(visit: Visit) -> Outcome:
    """No success before the last fragment; a failure may come early."""
    association = await associate_for_store(visit)
    image = ct_image(uid_suffix="delayed", side=16)
    await association.send(p_data(pdv(1, COMMAND | LAST, store_rq(1, image))) + p_data(pdv(1, 0, image.data[:-100])))
    early = await association.outcome(visit.patience.answer)
    if early.word != "SILENCE":
        return Outcome("EARLY" if early.word == "RSP" and early.numbers[0] & 0xF000 in (0, 0xB000) else early.word,
                       early.numbers, f"before the last fragment: {early}")  # fmt: skip
    await association.send(p_data(pdv(1, LAST, image.data[-100:])))
    outcome = await association.outcome()
    await association.release()
    return outcome


async def _rsp_uids(visit: Visit) -> Outcome:
    return await _store(visit, ct_image(uid_suffix="uids", side=16))


async def _class_mismatch(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="class", side=16, overrides={0x00080016: ("UI", MR_IMAGE_STORAGE)})
    return await _store(visit, image)


async def _class_not_context(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="context", side=16)
    return await _store(visit, image, store_rq(1, image, x0002=MR_IMAGE_STORAGE))


async def _instance_mismatch(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="one", side=16)
    return await _store(visit, image, store_rq(1, image, x1000="2.25.999"))


def _bad_uid(text: str) -> Play:
    async def play(visit: Visit) -> Outcome:
        image = ct_image(uid_suffix="bad", side=16, overrides={0x00080018: ("UI", text)})
        return await _store(visit, image, store_rq(1, image, x1000=text))

    return play


async def _no_data_set(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="none", side=16)
    return await _store(visit, image, store_rq(1, image, x0800=command_set.NO_DATA_SET), None)


async def _garbage(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="garbage", side=16)
    return await _store(visit, image, None, hashlib.shake_128(b"garbage").digest(3000))


async def _truncated(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="truncated", side=32)
    return await _store(visit, image, None, image.data[:-500])


async def _duplicate(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="twice", side=16)
    first = await _store(visit, image)
    return first if first.word != "RSP" else await _store(visit, image)


async def _large(visit: Visit) -> Outcome:
    association = await associate_for_store(visit)
    image = ct_image(uid_suffix="large", side=16)
    size = min(association.limit or 65536, 131072) - 6
    head = image.data[: -(16 * 16 * 2) - 4] + LARGE_OCTETS.to_bytes(4, "little")
    await association.send(p_data(pdv(1, COMMAND | LAST, store_rq(1, image))) + p_data(pdv(1, 0, head)))
    chunk = p_data(pdv(1, 0, bytes(size)))
    left = LARGE_OCTETS
    while left > size:
        if not await association.peer.send(chunk):
            return await association.outcome()
        left -= size
    await association.send(p_data(pdv(1, LAST, bytes(left))))
    return await association.outcome(30.0)


async def _priority(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="priority", side=16)
    return await _store(visit, image, store_rq(1, image, x0700=9))


async def _originator(visit: Visit) -> Outcome:
    image = ct_image(uid_suffix="originator", side=16)
    return await _store(visit, image, store_rq(1, image, x1030="DULCET", x1031=42))


async def _unnegotiated(visit: Visit) -> Outcome:
    association = await associate_for_store(visit, IMPLICIT_VR_LITTLE_ENDIAN)
    image = ct_image(uid_suffix="syntax", side=16, explicit=True)
    await association.request_message(1, store_rq(1, image), image.data)
    return await association.outcome()


async def _early_failure(visit: Visit) -> Outcome:
    """Only a product that refuses shows anything: it may say so before the end."""
    association = await associate_for_store(visit)
    image = ct_image(uid_suffix="early", side=16)
    wrong = store_rq(1, image, x0002=MR_IMAGE_STORAGE)
    await association.send(p_data(pdv(1, COMMAND | LAST, wrong)) + p_data(pdv(1, 0, image.data[:200])))
    early = await association.outcome(visit.patience.answer)
    if early.word != "SILENCE":
        return early
    await association.send(p_data(pdv(1, LAST, image.data[200:])))
    return await association.outcome()


async def _uid_path(visit: Visit) -> Outcome:
    return await _bad_uid("../../dulcet-conformance")(visit)  # type: ignore[no-any-return]


def _store_case(
    name: str, stimulus: str, requirement: str, clause: str, level: Level, play: Play, allowed: tuple[str, ...],
    tolerated: tuple[str, ...] = (), *, load: bool = False, note: str = "",
) -> Case:  # fmt: skip
    return case(f"store.{name}", stimulus, requirement, clause, level, play, allowed, tolerated=tolerated, needs=_STORE,
                load=load, note=note)  # fmt: skip


_MATCHES = "The SOP class and instance of the command are those of the data set."
_UID = "What is no UID is refused."
_WHOLE = "What is not a data set is refused."
_ONLY_STATUS = ("RSP(Axxx|Cxxx|01xx|02xx)",)

STORE = (
    _store_case("basic", "a CT image in Implicit VR Little Endian", "The object is stored.", "PS3.4 B.2", Q,
                _stores(uid_suffix="basic"), (STORED,)),
    _store_case("each-ts", "a CT image in each uncompressed transfer syntax", "It is stored in each one accepted.",
                "PS3.7 D.3.2", Q, _each_syntax, (STORED,)),
    _store_case("frag-sizes", "data sets in fragments of 2, 100 and 1022 octets", "They are stored, however cut.",
                "PS3.8 E.1", Q, _fragment_sizes, ("RSP(0000)",), ("RSP(Bxxx)",)),
    _store_case("success-after-data", "the last fragment comes later",
                "No success is sent before the whole data set has arrived.", "PS3.7 9.1.1.2", Q, _delayed_end,
                (STORED,)),
    _store_case("early-failure", "a store that should be refused; its last fragment comes late",
                "A failure may be sent before the whole data set has arrived.", "PS3.7 9.3.1.3", I, _early_failure,
                ("RSP", "ABORT")),
    _store_case("rsp-uids", "a CT image", "UIDs in the response are absent, or those of the request.",
                "PS3.7 9.1.1.1.3", Q, _rsp_uids, (STORED,)),
    _store_case("class-mismatch", "(0008,0016) is MR, the command says CT", _MATCHES, "PS3.4 B.2.3", B, _class_mismatch,
                ("RSP(A9xx|Cxxx|B007)",), ("RSP",)),
    _store_case("class-not-context", "the command says MR on a context for CT", _MATCHES, "PS3.7 9.1.1.1.9", B,
                _class_not_context, ("RSP(0122|0212|A9xx|Cxxx)", "ABORT"), ("RSP(01xx|02xx|Axxx|B007)",)),
    _store_case("instance-mismatch", "the command's instance is not that of the data set", _MATCHES, "PS3.4 B.2.3", I,
                _instance_mismatch, ("RSP(A9xx|Cxxx|0000)",)),
    _store_case("bad-uid.characters", "an instance UID with letters", _UID, "PS3.7 9.1.1.1.9", B, _bad_uid("1.2.ABC"),
                ("RSP(0117|Cxxx)",), ("RSP(Axxx|01xx)", "ABORT")),
    _store_case("bad-uid.65chars", "an instance UID of 65 characters", _UID, "PS3.7 9.1.1.1.9", B,
                _bad_uid(f"1.2.{'3' * 61}"), ("RSP(0117|Cxxx)",), ("RSP(Axxx|01xx)", "ABORT")),
    _store_case("uid-path", "../../dulcet-conformance as instance UID", _UID, "PS3.7 9.1.1.1.9", B, _uid_path,
                ("RSP(0117|Cxxx|Axxx|01xx)", "ABORT"), note="Look for a file outside the product's storage."),
    _store_case("no-dataset", "a C-STORE without data set", "A C-STORE-RQ has a data set.", "PS3.7 Table 9.3-1", B,
                _no_data_set, ("RSP(A9xx|Cxxx)", "ABORT"), _ONLY_STATUS),
    _store_case("garbage-dataset", "3000 random octets as data set", _WHOLE, "PS3.4 B.2.3", B, _garbage,
                ("RSP(Cxxx|A9xx)",), ("RSP", "ABORT")),
    _store_case("truncated-dataset", "a data set that ends 500 octets early", _WHOLE, "PS3.4 B.2.3", B, _truncated,
                ("RSP(Cxxx|A9xx)",), ("ABORT", "RSP(Axxx|01xx)")),
    _store_case("duplicate", "the same object twice", "The second one is stored again, or refused as a duplicate.",
                "PS3.4 B.2.3", I, _duplicate, (STORED, "RSP(0111)")),
    _store_case("large", "an object of 512 MiB", "It is stored or refused; memory is bounded.", "PS3.4 B.2.3", B,
                _large, (STORED, "RSP(A7xx)"), load=True),
    _store_case("priority-9", "Priority 9", "A wrong priority does not prevent storing.", "PS3.7 Table 9.3-1", B,
                _priority, ("RSP",), ("ABORT",)),
    _store_case("move-originator", "Move Originator AE Title and Message ID", "They may be present.", "PS3.7 9.1.1.1.6",
                Q, _originator, (STORED,)),
    _store_case("unnegotiated-ts", "an Explicit VR data set on an Implicit VR context",
                "Data are encoded in the transfer syntax that was agreed.", "PS3.8 7.6.1", B, _unnegotiated,
                ("RSP(Cxxx|A9xx)", "ABORT"), ("RSP(Axxx|01xx)",)),
)  # fmt: skip

CASES = (*ECHO, *STORE)


async def ensure_stored(visit: Visit, images: tuple[Image, ...]) -> None:
    """Put objects into the product for queries. PreconditionError when it takes them not."""
    association = await associate_for_store(visit)
    for number, image in enumerate(images, 1):
        await association.request_message(1, store_rq(number, image), image.data)
        outcome = await association.outcome(visit.patience.patient)
        if outcome.word != "RSP" or outcome.numbers[0] & 0xF000 not in (0, 0xB000):
            raise PreconditionError(f"the product did not store what a query should find: {outcome.explain()}")
    await association.release()
