"""What is proposed and what is supported make the answer: PS3.8 7.1.1, PS3.7 D.3.

Pure functions. `answer` is the acceptor's side; `outcome` reads an A-ASSOCIATE-RQ and its A-ASSOCIATE-AC and tells
either side what holds for the association.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from dulcet.ul.fields import AETitle
from dulcet.ul.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dulcet.ul.items import (
    APPLICATION_CONTEXT_NAME,
    ApplicationContext,
    AsynchronousOperationsWindow,
    ImplementationClassUID,
    ImplementationVersionName,
    Item,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
)
from dulcet.ul.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ
from dulcet.ul.validity import MIN_MAXIMUM_LENGTH

ACCEPTANCE, NO_REASON, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 2, 3, 4  # Table 9-18

REJECTED_NO_REASON = AAssociateRJ(result=1, source=1, reason=1)
REJECTED_APPLICATION_CONTEXT = AAssociateRJ(result=1, source=1, reason=2)
REJECTED_CALLING_AE_TITLE = AAssociateRJ(result=1, source=1, reason=3)
REJECTED_CALLED_AE_TITLE = AAssociateRJ(result=1, source=1, reason=7)
REJECTED_USER_IDENTITY = AAssociateRJ(result=1, source=2, reason=1)  # PS3.7 D.3.3.7.3
REJECTED_TEMPORARY_CONGESTION = AAssociateRJ(result=2, source=3, reason=1)
REJECTED_LOCAL_LIMIT = AAssociateRJ(result=2, source=3, reason=2)

_USER_NAMES = (1, 2)  # PS3.7 Table D.3-14: user name, user name and passcode


@dataclass(frozen=True, kw_only=True)
class Supported:
    """What an acceptor takes."""

    transfer_syntaxes: Mapping[str, Collection[str]]
    """By abstract syntax: the transfer syntaxes accepted for it. The first one offered that is accepted is chosen."""
    max_pdu_length: int
    """Octets announced in the Maximum Length Sub-Item."""
    requestor_may_be_scp: Collection[str] = ()
    """SOP classes for which role selection may make the requestor SCP (C-GET, storage commitment)."""
    operations_invoked: int = 1
    """At most this many operations of the requestor outstanding at once; 0 is unlimited."""
    operations_performed: int = 1
    """At most this many operations that the requestor performs at once; 0 is unlimited."""
    extended: Callable[[str, bytes], bytes | None] = lambda _sop_class_uid, _information: None
    """Answers a SOP Class Extended Negotiation of a class that is proposed; None: no answer."""
    authenticate: Callable[[UserIdentityRQ], bytes | None] | None = None
    """Answers a user identity with the server response, None refuses it. Not given: identities are ignored.

    The response to a user name, with a passcode or without, goes out empty (PS3.7 D.3.3.7.2).
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedContext:
    """A presentation context in force."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    requestor_is_scu: bool = True
    requestor_is_scp: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Negotiated:
    """What holds for one association."""

    contexts: Mapping[int, AcceptedContext]
    """The accepted contexts by their ID."""
    refused: Mapping[int, int]
    """The result (PS3.8 Table 9-18) of the others by their ID."""
    max_pdu_length: int
    """What the peer is ready to receive in a P-DATA-TF; 0: any length."""
    operations_invoked: int = 1
    """Operations that the requestor may have outstanding; 0: any number."""
    operations_performed: int = 1
    """Operations that the acceptor may have outstanding; 0: any number."""
    extended: Mapping[str, bytes] = field(default_factory=dict)
    """The acceptor's SOP Class Extended Negotiation by SOP class."""
    user_identity_response: bytes | None = None
    """None: no answer to a user identity."""


def propose(
    *,
    called_ae_title: str,
    calling_ae_title: str,
    contexts: Sequence[PresentationContextRQ],
    max_pdu_length: int,
    user_items: Sequence[Item] = (),
) -> AAssociateRQ:
    """The A-ASSOCIATE-RQ for these contexts; `user_items` are sub-items beside maximum length and implementation."""
    sub_items = _ascending(_ours(max_pdu_length), user_items)
    return AAssociateRQ(
        called_ae_title=AETitle(called_ae_title),
        calling_ae_title=AETitle(calling_ae_title),
        items=(ApplicationContext(), *contexts, UserInformation(sub_items=sub_items)),
    )


def answer(request: AAssociateRQ, supported: Supported) -> AAssociateAC | AAssociateRJ:
    """The acceptor's answer. AE titles are the caller's to judge: they depend on who asks from where."""
    if request.application_context_name != APPLICATION_CONTEXT_NAME:
        return REJECTED_APPLICATION_CONTEXT
    maximum = request.maximum_length_received or 0
    if not request.presentation_contexts or 0 < maximum < MIN_MAXIMUM_LENGTH:
        return REJECTED_NO_REASON
    identity = _authenticate(request.user_identity, supported)
    if isinstance(identity, AAssociateRJ):
        return identity
    sub_items = [*_window(request, supported), *_roles(request, supported), *_extended(request, supported), *identity]
    return AAssociateAC(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        reserved=request.reserved,
        items=(
            ApplicationContext(),
            *_contexts(request, supported),
            UserInformation(sub_items=_ascending(_ours(supported.max_pdu_length), sub_items)),
        ),
    )


def outcome(request: AAssociateRQ, response: AAssociateAC, *, is_requestor: bool) -> Negotiated:
    """What the two PDUs agree on. The response is valid (`validity.why_invalid`); a context not answered is refused.

    An answer to what was not proposed, or one that allows more than was proposed, counts no further (PS3.7 D.3.3).
    """
    roles = _agreed_roles(request, response)
    answers = {item.context_id: item for item in response.presentation_contexts}
    contexts, refused = {}, {}
    for context in request.presentation_contexts:
        reply = answers.get(context.context_id)
        if reply is None or reply.result != ACCEPTANCE:
            refused[context.context_id] = NO_REASON if reply is None else reply.result
            continue
        abstract_syntax = context.abstract_syntax or ""
        is_scu, is_scp = roles.get(abstract_syntax, (True, False))
        contexts[context.context_id] = AcceptedContext(
            context_id=context.context_id,
            abstract_syntax=abstract_syntax,
            transfer_syntax=reply.transfer_syntax or "",
            requestor_is_scu=is_scu,
            requestor_is_scp=is_scp,
        )
    invoked, performed = _agreed_window(request, response)
    peer = response if is_requestor else request
    offered = {item.sop_class_uid for item in request.sop_class_extended_negotiations}
    identity = None if request.user_identity is None else response.user_identity
    return Negotiated(
        contexts=MappingProxyType(contexts),
        refused=MappingProxyType(refused),
        max_pdu_length=peer.maximum_length_received or 0,
        operations_invoked=invoked,
        operations_performed=performed,
        extended=MappingProxyType(
            {
                item.sop_class_uid: item.service_class_application_information
                for item in response.sop_class_extended_negotiations
                if item.sop_class_uid in offered
            }
        ),
        user_identity_response=None if identity is None else identity.server_response,
    )


def _agreed_roles(request: AAssociateRQ, response: AAssociateAC) -> dict[str, tuple[bool, bool]]:
    """Whether the requestor is SCU and SCP, by SOP class, where roles were proposed and answered (PS3.7 D.3.3.4)."""
    answers = {item.sop_class_uid: item for item in response.role_selections}
    return {
        proposed.sop_class_uid: (
            proposed.scu_role == 1 and answered.scu_role == 1,
            proposed.scp_role == 1 and answered.scp_role == 1,
        )
        for proposed in request.role_selections
        if (answered := answers.get(proposed.sop_class_uid)) is not None
    }


def _agreed_window(request: AAssociateRQ, response: AAssociateAC) -> tuple[int, int]:
    """Operations invoked and performed (PS3.7 D.3.3.3): absent means one, and an answer can only be the smaller."""
    offered, answered = request.asynchronous_operations_window, response.asynchronous_operations_window
    if offered is None or answered is None:
        return 1, 1
    return (
        _fewer(offered.maximum_number_operations_invoked, answered.maximum_number_operations_invoked),
        _fewer(offered.maximum_number_operations_performed, answered.maximum_number_operations_performed),
    )


def _ours(max_pdu_length: int) -> tuple[Item, ...]:
    return (
        MaximumLength(maximum_length_received=max_pdu_length),
        ImplementationClassUID(uid=IMPLEMENTATION_CLASS_UID),
        ImplementationVersionName(name=IMPLEMENTATION_VERSION_NAME),
    )


def _ascending(ours: Sequence[Item], others: Sequence[Item]) -> tuple[Item, ...]:
    """Old peers may expect the sub-items in the order of their types (PS3.8 9.3.2.3, note)."""
    return tuple(sorted((*ours, *others), key=lambda item: item.ITEM_TYPE))


def _contexts(request: AAssociateRQ, supported: Supported) -> list[PresentationContextAC]:
    general = {item.sop_class_uid: item for item in request.sop_class_common_extended_negotiations}
    answers = []
    for context in request.presentation_contexts:
        offered = context.transfer_syntaxes
        accepted = _accepted_syntaxes(context.abstract_syntax or "", general, supported)
        chosen = next((name for name in offered if accepted is not None and name in accepted), None)
        if accepted is None:
            result = ABSTRACT_SYNTAX_NOT_SUPPORTED
        else:
            result = TRANSFER_SYNTAXES_NOT_SUPPORTED if chosen is None else ACCEPTANCE
        syntax = chosen or next(iter(offered), "")
        answers.append(PresentationContextAC.answer(context.context_id, result, syntax))
    return answers


def _accepted_syntaxes(
    abstract_syntax: str, general: Mapping[str, SOPClassCommonExtendedNegotiation], supported: Supported
) -> Collection[str] | None:
    """A class that is not known is taken as one of its related general classes (PS3.7 D.3.3.6)."""
    syntaxes = supported.transfer_syntaxes.get(abstract_syntax)
    if syntaxes is None and abstract_syntax in general:
        related = general[abstract_syntax].related_general_sop_class_uids
        found = (supported.transfer_syntaxes.get(name) for name in related)
        syntaxes = next((syntax for syntax in found if syntax is not None), None)
    return syntaxes


def _window(request: AAssociateRQ, supported: Supported) -> list[Item]:
    window = request.asynchronous_operations_window
    if window is None:
        return []
    return [
        AsynchronousOperationsWindow(
            maximum_number_operations_invoked=_fewer(
                window.maximum_number_operations_invoked, supported.operations_invoked
            ),
            maximum_number_operations_performed=_fewer(
                window.maximum_number_operations_performed, supported.operations_performed
            ),
        )
    ]


def _fewer(offered: int, supported: int) -> int:
    """The smaller of two windows, where 0 means unlimited (PS3.7 D.3.3.3)."""
    return min(offered, supported) if offered and supported else offered or supported


def _roles(request: AAssociateRQ, supported: Supported) -> list[Item]:
    proposed = {context.abstract_syntax for context in request.presentation_contexts}
    answers: dict[str, Item] = {}
    for role in request.role_selections:
        if role.sop_class_uid in proposed and role.sop_class_uid in supported.transfer_syntaxes:
            answers.setdefault(
                role.sop_class_uid,
                RoleSelection(
                    sop_class_uid=role.sop_class_uid,
                    scu_role=int(role.scu_role == 1),
                    scp_role=int(role.scp_role == 1 and role.sop_class_uid in supported.requestor_may_be_scp),
                ),
            )
    return list(answers.values())


def _extended(request: AAssociateRQ, supported: Supported) -> list[Item]:
    proposed = {context.abstract_syntax for context in request.presentation_contexts}
    answers: dict[str, Item] = {}
    for item in request.sop_class_extended_negotiations:
        uid = item.sop_class_uid
        if uid not in proposed or uid in answers:
            continue
        information = supported.extended(uid, item.service_class_application_information)
        if information is not None:
            answers[uid] = SOPClassExtendedNegotiation(
                sop_class_uid=uid, service_class_application_information=information
            )
    return list(answers.values())


def _authenticate(identity: UserIdentityRQ | None, supported: Supported) -> list[Item] | AAssociateRJ:
    if identity is None or supported.authenticate is None:
        return []
    response = supported.authenticate(identity)
    if response is None:
        return REJECTED_USER_IDENTITY
    if identity.positive_response_requested != 1:
        return []
    return [UserIdentityAC(server_response=b"" if identity.user_identity_type in _USER_NAMES else response)]
