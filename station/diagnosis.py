"""A peer, stage by stage: name, TCP, TLS, association, contexts, echo; each timed, each on a connection of its own."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import trio

from dulcet.dimse.status import explain as explain_status
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_WORKLIST,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
    name_of,
)
from dulcet.errors import AssociationError, PeerTimeoutError, UnknownHostError
from dulcet.services.association import Association
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.requestor import Peer, associate
from dulcet.services.transport import connect
from dulcet.station.figures import plural
from dulcet.ul.connection import Transition
from dulcet.ul.items import Item, PresentationContextRQ
from dulcet.ul.reasons import CONTEXT_RESULTS
from dulcet.ul.table import Event

SERVICES_ASKED = (
    VERIFICATION,
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.1",  # CR
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_MOVE,
    PATIENT_ROOT_GET,
    STUDY_ROOT_FIND,
    STUDY_ROOT_MOVE,
    STUDY_ROOT_GET,
    MODALITY_WORKLIST,
    STORAGE_COMMITMENT_PUSH_MODEL,
)
"""What a peer is asked whether it takes it."""

LEAVING = 0.1
"""Seconds for the A-ABORT to a peer that was too slow: who gave a time wants the answer then."""

_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One step on the way to a working association, and how it went."""

    name: str
    """`name`, `tcp`, `tls`, `association`, `contexts` or `echo`."""
    seconds: float
    found: tuple[str, ...] = ()
    """What came of it, a line each. A peer's strings are raw: quote them before showing."""
    error: AssociationError | None = None
    """Why it failed; no later stage is tried then."""


async def diagnose(
    peer: Peer, report: Callable[[Stage], None], *, patience: float, user_items: Sequence[Item] = ()
) -> AssociationError | None:
    """Go through the stages until one fails; `report` is told of each. Returns why it ended, None if all went well.

    `patience` bounds each stage, in seconds. Cancelled, what is open is aborted.
    """
    doctor = _Doctor(peer, user_items)
    stages: list[tuple[str, Callable[[], Awaitable[list[str]]]]] = [("name", doctor.resolve), ("tcp", doctor.open_tcp)]
    if peer.tls is not None:
        stages.append(("tls", doctor.open_tls))
    stages += [("association", doctor.associate), ("contexts", doctor.ask_contexts), ("echo", doctor.echo)]
    for name, step in stages:
        started = trio.current_time()
        error: AssociationError | None = None
        found: list[str] = []
        try:
            with trio.fail_after(patience):
                found = await step()
        except AssociationError as failure:
            error = failure
        except trio.TooSlowError:
            error = PeerTimeoutError(f"no answer within {patience:g} s")
        seconds = patience if isinstance(error, PeerTimeoutError) else trio.current_time() - started
        report(Stage(name=name, seconds=seconds, found=tuple(found), error=error))
        if error is not None:
            return error
    return None


class _Doctor:
    def __init__(self, peer: Peer, user_items: Sequence[Item]) -> None:
        self._peer = peer
        self._user_items = user_items

    def _associate(self, contexts: Sequence[PresentationContextRQ]) -> AbstractAsyncContextManager[Association]:
        return associate(self._peer, contexts, user_items=self._user_items, leaving=LEAVING)

    async def resolve(self) -> list[str]:
        peer = self._peer
        try:
            found = await trio.socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise UnknownHostError(f"the name {peer.host!r} has no address ({error.strerror or error})") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def open_tcp(self) -> list[str]:
        transport = await connect(self._peer.host, self._peer.port)
        address = transport.peer_address
        transport.close()
        return [f"connected to {address}, port {self._peer.port}"]

    async def open_tls(self) -> list[str]:
        peer = self._peer
        assert peer.tls is not None
        transport = await connect(peer.host, peer.port, peer.tls, peer.server_name)
        session = transport.tls_session()
        transport.close()
        assert session is not None
        names, until = ", ".join(session.names), session.valid_until
        ends = f"{until:%Y-%m-%d %H:%M} UTC, {plural(days_until(until), 'day')} from now" if until else "not said"
        return [
            f"{session.version}, {session.cipher}",
            f"certificate of {session.subject or names}, valid until {ends}",
            *([f"names in it: {names}"] if names else ()),
            "the certificate is trusted",
        ]

    async def associate(self) -> list[str]:
        async with self._associate((VERIFICATION_CONTEXT,)) as association:
            response = association.response
            assert response is not None
            length = association.negotiated.max_pdu_length
            found = [
                f"implementation {response.implementation_class_uid or 'not said'}"
                f" {response.implementation_version_name or ''}".rstrip(),
                f"largest PDU that it takes: {f'{length} octets' if length else 'any'}",
            ]
            found += [f"deviation: {each.clause}: {each.explanation}" for each in association.deviations]
            return found

    async def ask_contexts(self) -> list[str]:
        contexts = [
            PresentationContextRQ.propose(2 * number + 1, sop_class, _SYNTAXES)
            for number, sop_class in enumerate(SERVICES_ASKED)
        ]
        async with self._associate(contexts) as association:
            negotiated = association.negotiated
            lines = []
            for context in contexts:
                accepted = negotiated.contexts.get(context.context_id)
                if accepted is not None:
                    answer = f"yes, in {name_of(accepted.transfer_syntax) or accepted.transfer_syntax}"
                else:
                    result = negotiated.refused.get(context.context_id, 2)
                    answer = f"no: {CONTEXT_RESULTS.get(result, f'result {result}')}"
                lines.append(f"{name_of(context.abstract_syntax or '')}: {answer}")
            return lines

    async def echo(self) -> list[str]:
        async with self._associate((VERIFICATION_CONTEXT,)) as association:
            answer = await echo(association)
            return [
                f"{explain_status(answer.status, 'C-ECHO')} ({answer.status:04X}H) in {answer.seconds * 1e3:.1f} ms"
            ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A monitor's question, answered: how long each part took."""

    tcp: float
    """Seconds from the name to the open connection, TLS included."""
    association: float
    """Seconds from there to the A-ASSOCIATE-AC."""
    echo: float
    """Seconds of the C-ECHO."""
    status: int
    total: float
    """Seconds of everything, the release included."""
    certificate_days: int | None
    """Until the peer's certificate ends; None without TLS."""


def days_until(moment: datetime) -> int:
    """Whole days from now."""
    return (moment - datetime.now(UTC)).days


async def check(peer: Peer, *, patience: float, user_items: Sequence[Item] = ()) -> Checked:
    """One C-ECHO, its parts timed. AssociationError and its kinds; PeerTimeoutError after `patience` seconds.

    It is over within `patience` and LEAVING.
    """
    moments: dict[Event, float] = {}

    def note(step: Transition) -> None:
        moments.setdefault(step.event, trio.current_time())

    started = trio.current_time()
    try:
        with trio.fail_after(patience):
            async with associate(
                peer,
                (VERIFICATION_CONTEXT,),
                user_items=user_items,
                on_transition=note,
                leaving=LEAVING,
            ) as association:
                answer = await echo(association)
                session = association.transport.tls_session()
    except trio.TooSlowError:
        raise PeerTimeoutError(f"{peer} did not answer within {patience:g} s") from None
    ended = trio.current_time()
    until = None if session is None else session.valid_until
    return Checked(
        tcp=moments[Event.EVT2] - started,
        association=moments[Event.EVT3] - moments[Event.EVT2],
        echo=answer.seconds,
        status=answer.status,
        total=ended - started,
        certificate_days=None if until is None else days_until(until),
    )
