"""Which presentation contexts a set of files needs, and which of the accepted ones takes a file. Pure functions.

The files decide: one context for each SOP class with the uncompressed transfer syntaxes, one more for each compressed
transfer syntax in use. So nothing is proposed that nobody needs, and no file lacks its context for want of a profile.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dulcet.dimse.transfer_syntaxes import UNCOMPRESSED, convertible
from dulcet.dimse.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, name_of
from dulcet.escape import quote
from dulcet.services.part10 import Part10Header
from dulcet.station.sending.found import FileToSend
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Negotiated
from dulcet.ul.reasons import CONTEXT_RESULTS

MAX_CONTEXTS = 128  # PS3.8 Table 9-18: the IDs are the odd numbers from 1 to 255

ContextKey = tuple[str, tuple[str, ...]]
"""SOP class UID, and the transfer syntaxes in the order in which they are offered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociationPlan:
    """One association: what to propose, and what to send on it."""

    contexts: tuple[PresentationContextRQ, ...]
    """The proposed contexts, ready for the A-ASSOCIATE-RQ; at most 128."""
    files: tuple[FileToSend, ...]
    """The files that these contexts are for, in the order in which they were found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextChoice:
    """The context that takes a file."""

    context_id: int
    """The accepted presentation context."""
    convert_to: str | None
    """The transfer syntax to convert the data set to; None when it goes out as it lies on disk."""


def plan_associations(
    files: Iterable[FileToSend], *, convert: bool = True, max_contexts: int = MAX_CONTEXTS
) -> tuple[AssociationPlan, ...]:
    """The associations that `files` need: one, unless they need more than `max_contexts` contexts.

    Uncompressed files of a SOP class share a context that offers all three uncompressed transfer syntaxes, those in use
    first and the most frequent before the others. A deflated data set also offers what it inflates to. A compressed one
    offers its own transfer syntax alone, for it can't be converted to the default one (PS3.5 10.1 does not ask for it
    then). Without `convert`, each transfer syntax in use gets a context of its own. The contexts of a SOP class stay
    together as long as they fit into one association.
    """
    found = list(files)
    uses: dict[str, Counter[str]] = {}
    for file in found:
        uses.setdefault(file.header.sop_class_uid, Counter())[file.header.transfer_syntax_uid] += 1
    groups = [_context_keys(sop_class, used, convert) for sop_class, used in uses.items()]
    associations = _fill(groups, max_contexts)
    where = {
        (key[0], syntax): index
        for index, keys in enumerate(associations)
        for key, served in keys.items()
        for syntax in served
    }
    shares: list[list[FileToSend]] = [[] for _ in associations]
    for file in found:
        shares[where[file.header.sop_class_uid, file.header.transfer_syntax_uid]].append(file)
    return tuple(
        AssociationPlan(contexts=_numbered(keys), files=tuple(share))
        for keys, share in zip(associations, shares, strict=True)
    )


def _context_keys(sop_class: str, used: Counter[str], convert: bool) -> dict[ContextKey, tuple[str, ...]]:
    """The contexts of one SOP class, each with the transfer syntaxes of the files that it is for."""
    if not convert:
        return {(sop_class, (syntax,)): (syntax,) for syntax in used}
    keys: dict[ContextKey, tuple[str, ...]] = {}
    uncompressed = [syntax for syntax, _ in used.most_common() if syntax in UNCOMPRESSED]
    if uncompressed:
        keys[sop_class, tuple(dict.fromkeys((*uncompressed, *UNCOMPRESSED)))] = tuple(uncompressed)
    for syntax in used:
        if syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            keys[sop_class, (syntax, *convertible(syntax))] = (syntax,)
        elif syntax not in UNCOMPRESSED:
            keys[sop_class, (syntax,)] = (syntax,)
    return keys


def _fill(
    groups: Sequence[dict[ContextKey, tuple[str, ...]]], max_contexts: int
) -> list[dict[ContextKey, tuple[str, ...]]]:
    associations: list[dict[ContextKey, tuple[str, ...]]] = []
    for group in groups:
        if not associations or len(associations[-1]) + len(group) > max_contexts:
            associations.append({})
        for key, served in group.items():
            if (
                len(associations[-1]) == max_contexts
            ):  # a SOP class with more transfer syntaxes than one association takes
                associations.append({})
            associations[-1][key] = served
    return associations


def _numbered(keys: Iterable[ContextKey]) -> tuple[PresentationContextRQ, ...]:
    return tuple(
        PresentationContextRQ.propose(2 * index + 1, sop_class, syntaxes)
        for index, (sop_class, syntaxes) in enumerate(keys)
    )


def choose(
    header: Part10Header,
    proposed: Sequence[PresentationContextRQ],
    negotiated: Negotiated,
    *,
    convert: bool = True,
) -> ContextChoice | str:
    """The accepted context that takes the file with this `header`, or a sentence why there is none.

    The file's own transfer syntax first, then what it can be converted to, the best first. The answer depends only on
    SOP class and transfer syntax: keep it for files that agree in both.
    """
    accepted: Mapping[str, int] = {
        context.transfer_syntax: context.context_id
        for context in reversed(tuple(negotiated.contexts.values()))
        if context.abstract_syntax == header.sop_class_uid and context.requestor_is_scu
    }
    own = header.transfer_syntax_uid
    if own in accepted:
        return ContextChoice(context_id=accepted[own], convert_to=None)
    for target in convertible(own):
        if target in accepted and convert:
            return ContextChoice(context_id=accepted[target], convert_to=target)
    if accepted:
        return _why_not_convertible(header, accepted, convert)
    return _why_refused(header, proposed, negotiated)


def _why_not_convertible(header: Part10Header, accepted: Iterable[str], convert: bool) -> str:
    taken = " and ".join(_name(syntax) for syntax in accepted)
    own = header.transfer_syntax_uid
    sentence = f"the peer takes {_name(header.sop_class_uid)} only in {taken}, and the file is in {_name(own)}"
    if not convert and set(convertible(own)) & set(accepted):
        return f"{sentence}; conversion is switched off"
    return f"{sentence}, which can't be converted"


def _why_refused(header: Part10Header, proposed: Sequence[PresentationContextRQ], negotiated: Negotiated) -> str:
    results = {
        negotiated.refused.get(context.context_id)
        for context in proposed
        if context.abstract_syntax == header.sop_class_uid
    }
    sop_class = _name(header.sop_class_uid)
    if not results:
        return f"no presentation context was proposed for {sop_class}"
    if 3 in results:
        return f"the peer does not take {sop_class} at all (abstract-syntax-not-supported)"
    if 4 in results:
        return (
            f"the peer takes {sop_class}, but not in {_name(header.transfer_syntax_uid)}"
            " or anything that it can be converted to (transfer-syntaxes-not-supported)"
        )
    said = ", ".join(CONTEXT_RESULTS.get(result, f"result {result}") for result in sorted(filter(None, results)))
    return f"the peer refused the presentation contexts for {sop_class}" + (f" ({said})" if said else "")


def _name(uid: str) -> str:
    return name_of(uid) or quote(uid)
