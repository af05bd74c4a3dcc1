"""ul.fsm, the product as acceptor: the cells of PS3.8 Table 9-10 that show from outside, and those that don't."""

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Play, Role
from dulcet.conformance.kit.cases.fsm import (
    BY_ITS_USER,
    LOST,
    PDU_OF_EVENT,
    VARIANTS,
    cell_case,
    octets_of,
    seconds_in_sta13,
)
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.raw_peer import RawPeer
from dulcet.conformance.kit.visit import Association, PreconditionError, Visit, echo_rq
from dulcet.ul.table import TRANSITIONS, Event, State

A = Role.ACCEPTOR

# Sta2: connected, nothing said yet ------------------------------------------------------------------------------------


def _in_sta2(octets: bytes | None, event: Event) -> Play:
    async def play(visit: Visit) -> Outcome:
        peer = await visit.connect(judged=False)
        await peer.send(octets or octets_of(event, visit.product.request()))
        return await visit.settled(peer, await peer.outcome(visit.patience.answer))

    return play


def before_artim(visit: Visit, peer: RawPeer, outcome: Outcome) -> Outcome:
    """The outcome in Sta2. PreconditionError when ARTIM explains a close: the kit was held up until then."""
    if outcome.word in ("CLOSE", "RST") and peer.now() >= visit.patience.artim:
        raise PreconditionError("ARTIM had expired before the kit was done")
    return outcome


async def silent(visit: Visit) -> Outcome:
    """What the product says when nothing is said."""
    peer = await visit.connect()
    return before_artim(visit, peer, await peer.outcome(4 * visit.patience.settle))


async def _request_in_sta2(visit: Visit) -> Outcome:
    return (await visit.ask(visit.product.request())).outcome


async def _artim_in_sta2(visit: Visit) -> Outcome:
    peer = await visit.connect()
    return await peer.outcome(visit.patience.until_artim)


STA2 = (
    cell_case(State.STA1, Event.EVT5, A, silent, ("SILENCE",), stimulus="the kit connects and waits"),
    *(
        cell_case(State.STA2, event, A, _in_sta2(None, event))
        for event in (Event.EVT3, Event.EVT4, Event.EVT10, Event.EVT12, Event.EVT13, Event.EVT16, Event.EVT19)
    ),
    *(
        cell_case(
            State.STA2, Event.EVT19, A, _in_sta2(octets, Event.EVT19), stimulus=f"{text} in Sta2", variant=variant
        )
        for variant, (text, octets) in VARIANTS.items()
    ),
    cell_case(State.STA2, Event.EVT6, A, _request_in_sta2, ("AC", "RJ")),
    cell_case(
        State.STA2, Event.EVT18, A, _artim_in_sta2, stimulus="silence for longer than ARTIM in Sta2", waits_artim=True
    ),
)

# Sta3: the request is being decided on --------------------------------------------------------------------------------


def _in_sta3(event: Event) -> Play:
    async def play(visit: Visit) -> Outcome:
        request = visit.product.request()
        peer = await visit.connect(judged=False)
        await peer.send(request.encode() + octets_of(event, request))
        return await _after(peer, visit, "AC")

    return play


async def _after(peer: RawPeer, visit: Visit, word: str) -> Outcome:
    """What comes after an answer of that kind, or in its place."""
    outcome = await peer.outcome(visit.patience.answer)
    if outcome.word != word:
        return outcome
    outcome = await peer.outcome(visit.patience.answer)
    return Outcome("RSP", (0,)) if outcome.word == "DATA" else outcome


async def _accepted(visit: Visit) -> Outcome:
    return (await visit.ask(visit.product.request())).outcome


async def _rejected(visit: Visit) -> Outcome:
    asked = await visit.ask(visit.product.request().but(called=stimuli.title("DULCET-NOBODY-1")))
    if asked.outcome.word == "AC":
        raise PreconditionError("the product accepts any called AE title: its user rejects nothing that the kit knows")
    return await visit.settled(asked.peer, asked.outcome)


_ALSO_STA6 = {Event.EVT10: ("RSP",), Event.EVT12: ("RP",)}
_PIPELINED = "Sent in one write after the A-ASSOCIATE-RQ: a fast product answers as in Sta6."

STA3 = (
    *(
        cell_case(
            State.STA3, event, A, _in_sta3(event),
            ("CLOSE",) if event is Event.EVT16 else ("ABORT2", *_ALSO_STA6.get(event, ())),
            timing=True, note=_PIPELINED,
        )
        for event in PDU_OF_EVENT
    ),
    cell_case(State.STA3, Event.EVT7, A, _accepted, ("AC",), stimulus="a request that the product's user accepts"),
    cell_case(
        State.STA3, Event.EVT8, A, _rejected, ("RJ",), stimulus="a request that the product's user rejects",
        note="Decidable only where the product checks its called AE title.",
    ),
)  # fmt: skip

# Sta6: associated -----------------------------------------------------------------------------------------------------


def _in_sta6(octets: bytes | None, event: Event) -> Play:
    async def play(visit: Visit) -> Outcome:
        association = (await visit.associate()).need(1)
        await association.send(octets or octets_of(event, association.request))
        outcome = await association.outcome()
        return await visit.settled(association.peer, outcome)

    return play


async def _echo_in_sta6(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    outcome = await association.echo()
    await association.release()
    return outcome


async def _echo_twice(visit: Visit) -> Outcome:
    """The association stays: a second C-ECHO is answered too."""
    association = (await visit.associate()).need(1)
    await association.echo()
    outcome = await association.echo()
    await association.release()
    return outcome


async def _release_in_sta6(visit: Visit) -> Outcome:
    return await (await visit.associate()).release()


_ECHO = ("verification",)
STA6 = (
    *(
        cell_case(State.STA6, event, A, _in_sta6(None, event))
        for event in (Event.EVT3, Event.EVT4, Event.EVT6, Event.EVT13, Event.EVT16, Event.EVT19)
    ),
    *(
        cell_case(
            State.STA6, Event.EVT19, A, _in_sta6(octets, Event.EVT19), stimulus=f"{text} in Sta6", variant=variant
        )
        for variant, (text, octets) in VARIANTS.items()
    ),
    cell_case(State.STA6, Event.EVT9, A, _echo_in_sta6, ("RSP",), stimulus="a C-ECHO: its response", needs=_ECHO),
    cell_case(State.STA6, Event.EVT10, A, _echo_twice, ("RSP",), stimulus="two C-ECHOs", needs=_ECHO),
    cell_case(State.STA6, Event.EVT12, A, _release_in_sta6, ("RP",)),
)

# Sta8: the release is being answered ----------------------------------------------------------------------------------


def _in_sta8(event: Event) -> Play:
    async def play(visit: Visit) -> Outcome:
        association = (await visit.associate()).need(1)
        await association.send(stimuli.RELEASE_RQ + octets_of(event, association.request))
        return await _after(association.peer, visit, "RP")

    return play


async def _data_in_sta8(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    await association.send(stimuli.message(1, echo_rq(1)) + stimuli.RELEASE_RQ)
    return await _after_response(association)


async def _after_response(association: Association) -> Outcome:
    outcome = await association.outcome()
    return await association.outcome() if outcome.word == "RSP" else outcome


_AFTER_RP = "Sent in one write after the A-RELEASE-RQ: a fast product has sent its A-RELEASE-RP and is in Sta13."
STA8 = (
    *(
        cell_case(
            State.STA8, event, A, _in_sta8(event),
            ("CLOSE",) if event is Event.EVT16 else ("ABORT", "CLOSE", "SILENCE"), timing=True, note=_AFTER_RP,
        )
        for event in PDU_OF_EVENT
    ),
    cell_case(
        State.STA8, Event.EVT9, A, _data_in_sta8, ("RP",), stimulus="a C-ECHO-RQ and an A-RELEASE-RQ in one write",
        timing=True, needs=_ECHO,
    ),
    cell_case(State.STA8, Event.EVT14, A, _release_in_sta6, ("RP",), stimulus="an A-RELEASE-RQ"),
)  # fmt: skip

# Sta13: over, but still connected -------------------------------------------------------------------------------------


def _in_sta13(event: Event) -> Play:
    async def play(visit: Visit) -> Outcome:
        association = await visit.associate()
        await association.send(stimuli.RELEASE_RQ)
        outcome = await association.outcome()
        if outcome.word != "RP":
            raise PreconditionError(f"no A-RELEASE-RP: {outcome.explain()}")
        await association.send(octets_of(event, association.request))
        return await association.peer.outcome(seconds_in_sta13(event, visit.patience))

    return play


async def _artim_in_sta13(visit: Visit) -> Outcome:
    association = await visit.associate()
    await association.send(stimuli.RELEASE_RQ)
    outcome = await association.outcome()
    if outcome.word != "RP":
        raise PreconditionError(f"no A-RELEASE-RP: {outcome.explain()}")
    return await association.peer.outcome(visit.patience.until_artim)


STA13 = (
    *(
        cell_case(
            State.STA13, event, A, _in_sta13(event), timing=True,
            stimulus=f"{event.meaning} after the product's A-RELEASE-RP, before it closes",
        )
        for event in PDU_OF_EVENT
    ),
    cell_case(
        State.STA13, Event.EVT18, A, _artim_in_sta13, stimulus="an A-RELEASE-RQ, and the connection is kept open",
        waits_artim=True,
    ),
)  # fmt: skip

# What no peer can see -------------------------------------------------------------------------------------------------

_NO_RELEASE = "an acceptor never starts a release (PS3.7 A.5), so a peer can't bring it into this state"


def _internal() -> list[Case]:
    cases = []
    for event, state in TRANSITIONS:
        if state in (State.STA10, State.STA12):
            reason = _NO_RELEASE
        elif event is Event.EVT17 and state in (State.STA2, State.STA3, State.STA6, State.STA8, State.STA13):
            reason = LOST
        elif event is Event.EVT15 and state in (State.STA3, State.STA6, State.STA8):
            reason = BY_ITS_USER
        else:
            continue
        cases.append(cell_case(state, event, A, None, undecidable=reason))
    return cases


CASES = (*STA2, *STA3, *STA6, *STA8, *STA13, *_internal())
