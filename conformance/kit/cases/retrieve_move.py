"""dimse.move, the product as SCP (PS3.7 9.1.4, PS3.4 C.4.2). The kit is the destination, on a second port."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.case import Case, Level, Play
from dulcet.conformance.kit.cases.dimse_command import case
from dulcet.conformance.kit.cases.echo_store import ensure_stored
from dulcet.conformance.kit.cases.query import QUERY_IMAGES, STUDY
from dulcet.conformance.kit.cases.retrieve_get import (
    Answering,
    Retrieved,
    check_counters,
    failed_uids,
    has_list,
    has_warnings,
    need_sub_operations,
    retrieve_identifier,
)
from dulcet.conformance.kit.hosting import Hosted
from dulcet.conformance.kit.messages import Message
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.raw_peer import RawPeer
from dulcet.conformance.kit.stimuli import context
from dulcet.conformance.kit.synthetic import cancel_rq, query_rq
from dulcet.conformance.kit.visit import Association, PreconditionError, Visit
from dulcet.dimse.uids import STUDY_ROOT_MOVE

Q, C, B, I = Level.REQUIRED, Level.RECOMMENDED, Level.ROBUSTNESS, Level.INFORMATIONAL  # noqa: E741
_NEEDS = ("move", "storage", "move-destination")
HIGH = 1


@dataclass(slots=True)
class Destination:
    """The kit as C-MOVE destination: answers the sub-operations, or rejects the association."""

    answering: Answering = lambda _: 0
    rejects: bool = False
    stores: list[Message] = field(default_factory=list)
    callers: list[Hosted] = field(default_factory=list)
    seconds: float = 5.0

    async def handle(self, peer: RawPeer) -> None:
        """One association of the product."""
        hosted = Hosted(peer, self.seconds)
        if (await hosted.read_request()).word != "RQ":
            return
        self.callers.append(hosted)
        if self.rejects:
            await peer.send(stimuli.rejection(1, 1, 7))
            await peer.next(self.seconds)
            return
        await hosted.accept()
        await hosted.serve(self._status)
        await peer.close()

    def _status(self, _: int, message: Message) -> int:
        if message.command.field == command_set.C_STORE_RQ:
            self.stores.append(message)
            return self.answering(len(self.stores))
        return 0


async def associate_for_move(visit: Visit) -> Association:
    """Study Root C-MOVE as context 1."""
    return (await visit.associate(context(1, STUDY_ROOT_MOVE))).need(1)


async def run_move(
    association: Association, destination: str, identifier: bytes, **command: int | str | bytes | None
) -> Retrieved:
    """One C-MOVE to its end."""
    await association.request_message(
        1, query_rq(command_set.C_MOVE_RQ, 1, STUDY_ROOT_MOVE, x0600=destination, **command), identifier
    )
    return await move_responses(association)


async def move_responses(association: Association) -> Retrieved:
    """The responses up to the final one."""
    moved = Retrieved()
    while True:
        message = await association.next(association.visit.patience.patient)
        if isinstance(message, Outcome):
            moved.outcome = message
            return moved
        association.compare(message, 1, command_set.C_MOVE_RSP, 1)
        if not message.is_pending:
            moved.final, moved.outcome = message, message.outcome()
            return moved
        moved.pending.append(message)


async def move(
    visit: Visit, destination: Destination, *, study: str = STUDY, title: str = "", **command: int
) -> Retrieved:
    """Store the kit's study, listen, move it here, release."""
    await ensure_stored(visit, QUERY_IMAGES)
    await visit.listen(visit.product.move_port, destination.handle)
    association = await associate_for_move(visit)
    name = title or visit.product.move_destination
    moved = await run_move(association, name, retrieve_identifier(study), **command)
    moved.stores = destination.stores
    if moved.outcome.word == "RSP":
        await association.release()
    return moved


async def _unknown_destination(visit: Visit) -> Outcome:
    """Something matches, where the product stores: of nothing to move an SCP may say so, whatever the destination."""
    if visit.product.has("storage"):
        await ensure_stored(visit, QUERY_IMAGES)
    association = await associate_for_move(visit)
    moved = await run_move(association, "NOSUCHAE", retrieve_identifier())
    if moved.final is not None and moved.final.data is not None:
        visit.problem("IDENTIFIER_IN_FINAL", "a refusal has an identifier")
    if moved.outcome.word == "RSP":
        await association.release()
    return moved.outcome


async def _basic(visit: Visit) -> Outcome:
    destination = Destination()
    moved = await move(visit, destination)
    need_sub_operations(moved)
    if moved.outcome.numbers == (0,) and len(moved.stores) < len(QUERY_IMAGES):
        visit.problem("MISSING", f"success, and {len(moved.stores)} of {len(QUERY_IMAGES)} images came")
    return moved.outcome


async def _nobody_listens(visit: Visit) -> Outcome:
    await ensure_stored(visit, QUERY_IMAGES)
    association = await associate_for_move(visit)
    return (await run_move(association, visit.product.move_destination, retrieve_identifier())).outcome


def _moves(check: Callable[[Visit, Retrieved], None] | None = None, answering: Answering = lambda _: 0,
           count: int = 1, **more: object) -> Play:  # fmt: skip
    async def play(visit: Visit) -> Outcome:
        destination = Destination(answering=answering, rejects=bool(more.get("rejects")))
        moved = await move(visit, destination)
        if not destination.rejects:
            need_sub_operations(moved, count)
        if check is not None:
            check(visit, moved)
        return moved.outcome

    return play


def _no_list(visit: Visit, moved: Retrieved) -> None:
    if failed_uids(moved.final):
        visit.problem("LIST_WITHOUT_FAILURE", "a Failed SOP Instance UID List, and none failed")


def _originator(visit: Visit, moved: Retrieved) -> None:
    for store in moved.stores:
        title, message_id = store.command.text(0x1030), store.command.number(0x1031)
        if title is not None and title != visit.product.calling:
            visit.problem("WRONG_ORIGINATOR", "(0000,1030) is not the AE title of who asked for the move")
        if message_id is not None and message_id != 1:
            visit.problem("WRONG_ORIGINATOR", f"(0000,1031) is {message_id}, the C-MOVE's Message ID is 1")


async def _priority(visit: Visit) -> Outcome:
    moved = await move(visit, Destination(), x0700=HIGH)
    need_sub_operations(moved)
    wrong = {store.command.number(0x0700) for store in moved.stores} - {HIGH}
    if wrong:
        visit.problem(
            "WRONG_PRIORITY", f"sub-operations with priority {sorted(wrong, key=str)}, HIGH (1) was asked for"
        )
    return moved.outcome


async def _no_match(visit: Visit) -> Outcome:
    moved = await move(visit, Destination(), study="nothing has this")
    for tag in (0x1021, 0x1022, 0x1023):
        if moved.final is not None and moved.final.command.number(tag):
            visit.problem("COUNTERS_WRONG", f"(0000,{tag:04X}) is not 0, and nothing matched")
    return moved.outcome


def _cancel(immediate: bool) -> Play:
    async def play(visit: Visit) -> Outcome:
        await ensure_stored(visit, QUERY_IMAGES)
        destination = Destination()
        await visit.listen(visit.product.move_port, destination.handle)
        association = await associate_for_move(visit)
        command = query_rq(command_set.C_MOVE_RQ, 1, STUDY_ROOT_MOVE, x0600=visit.product.move_destination)
        octets = stimuli.message(1, command, retrieve_identifier())
        if immediate:
            await association.send(octets + stimuli.message(1, cancel_rq(1)))
        else:
            await association.send(octets)
            first = await association.next()
            if isinstance(first, Outcome):
                return first
            await association.send(stimuli.message(1, cancel_rq(1)))
            if not first.is_pending:
                raise PreconditionError("the move ended before the C-CANCEL could reach it")
        outcome = (await move_responses(association)).outcome
        if outcome.numbers == (0,):
            raise PreconditionError("the move ended before the C-CANCEL could reach it")
        return outcome

    return play


def _ends_early(octets: bytes) -> Play:
    async def play(visit: Visit) -> Outcome:
        await ensure_stored(visit, QUERY_IMAGES)
        destination = Destination()
        await visit.listen(visit.product.move_port, destination.handle)
        association = await associate_for_move(visit)
        command = query_rq(command_set.C_MOVE_RQ, 1, STUDY_ROOT_MOVE, x0600=visit.product.move_destination)
        await association.send(stimuli.message(1, command, retrieve_identifier()) + octets)
        outcome = await association.outcome()
        while outcome.word == "RSP":
            outcome = await association.outcome()
        return outcome

    return play


def _titled(change: Callable[[str], str]) -> Play:
    async def play(visit: Visit) -> Outcome:
        name = change(visit.product.move_destination)
        if len(name) > 16:
            raise PreconditionError("the AE title has no room for a space")
        moved = await move(visit, Destination(), title=name)
        return moved.outcome

    return play


def _move(name: str, stimulus: str, requirement: str, clause: str, level: Level, play: Play, allowed: tuple[str, ...],
          tolerated: tuple[str, ...] = (), *, needs: tuple[str, ...] = _NEEDS) -> Case:  # fmt: skip
    return case(f"move.{name}", stimulus, requirement, clause, level, play, allowed, tolerated=tolerated, needs=needs,
                alone="move-destination" in needs)  # fmt: skip


_SUCCESS = ("RSP(0000)",)
_REFUSED = ("RSP(A702|A801|Cxxx)",)
_ALL = "If all sub-operations fail, the final status is a failure with a list of the failed."
_SOME = "If some sub-operations fail, the final status is B000H with a list of the failed."
_FE00 = "The final response has FE00H."
_RESOLVED = "The move destination is an AE title: its trailing spaces are not significant."

CASES = (
    _move("unknown-destination", "Move Destination NOSUCHAE", "An unknown destination is refused with A801H.",
          "PS3.4 C.4.2.1.5", Q, _unknown_destination, ("RSP(A801)",), ("RSP(Axxx|Cxxx)",), needs=("move",)),
    _move("basic", "a C-MOVE of three images to the kit", "They come over another association, then success.",
          "PS3.4 C.4.2", Q, _basic, _SUCCESS),
    _move("dest-refuses-tcp", "nobody listens at the destination", "What can't be sent has failed.", "PS3.4 C.4.2.1.5",
          B, _nobody_listens, _REFUSED, ("RSP(Axxx|B000)",)),
    _move("dest-rejects", "the destination rejects the association", "What can't be sent has failed.",
          "PS3.4 C.4.2.1.5", B, _moves(rejects=True), _REFUSED, ("RSP(Axxx|B000)",)),
    _move("counters", "a C-MOVE of three images",
          "Pending responses have all four counters; the final one has no Remaining.", "PS3.4 C.4.2.1.6", Q,
          _moves(check_counters), _SUCCESS),
    _move("some-fail", "the first sub-operation is answered A700H", _SOME, "PS3.4 C.4.2.3.1", Q,
          _moves(has_list, lambda number: 0xA700 if number == 1 else 0, 2), ("RSP(B000)",), ("RSP(Axxx|Cxxx)",)),
    _move("all-fail", "every sub-operation is answered A700H", _ALL, "PS3.4 C.4.2.3.1", Q,
          _moves(has_list, lambda _: 0xA700), ("RSP(A702|Cxxx)",), ("RSP(Axxx|B000)",)),
    _move("warnings", "the sub-operations are answered B000H",
          "If any sub-operation ends with a warning, so does the whole.", "PS3.4 C.4.2.3.1", Q,
          _moves(has_warnings, lambda _: 0xB000), ("RSP(B000)",)),
    _move("failed-list-absent", "a C-MOVE none of whose sub-operations fails", "Without failures there is no list.",
          "PS3.4 C.4.2.1.4.2", Q, _moves(_no_list), _SUCCESS),
    _move("no-match", "a C-MOVE for a UID that nothing has", "Nothing to move is success, with counters of 0.",
          "PS3.4 C.4.2", B, _no_match, _SUCCESS, ("RSP(Axxx|Cxxx)",)),
    _move("originator-fields", "a C-MOVE with Message ID 1",
          "Where sub-operations name their originator, they name it right.", "PS3.7 9.1.1.1.6", C, _moves(_originator),
          _SUCCESS),
    _move("priority-inherited", "a C-MOVE with priority HIGH", "The sub-operations have the priority of the C-MOVE.",
          "PS3.7 9.1.4.1.4", Q, _priority, _SUCCESS),
    _move("cancel.running", "a C-CANCEL after the first response", _FE00, "PS3.4 C.4.2.3.1", Q, _cancel(False),
          ("RSP(FE00)",)),
    _move("cancel.immediate", "C-MOVE and C-CANCEL in one write", _FE00, "PS3.4 C.4.2.3.1", Q, _cancel(True),
          ("RSP(FE00)",)),
    _move("release-before-final", "C-MOVE and A-RELEASE-RQ in one write", "It is answered, or aborted; nothing hangs.",
          "PS3.7 A.5", B, _ends_early(stimuli.RELEASE_RQ), ("RP", "ABORT"), ("CLOSE",)),
    _move("parent-abort", "C-MOVE and A-ABORT in one write", "What becomes of the sub-operations is not defined.",
          "PS3.4 C.4.2.3.1", I, _ends_early(stimuli.ABORT), ("CLOSE",)),
    _move("dest-16chars", "the destination padded to 16 characters", _RESOLVED, "PS3.5 6.2", Q,
          _titled(lambda title: title.ljust(16)), _SUCCESS),
    _move("dest-padded", "the destination with leading spaces", _RESOLVED, "PS3.5 6.2", Q,
          _titled(lambda title: f"  {title}"), _SUCCESS),
)  # fmt: skip
