"""Before the first case: is the product there, what does it accept, how many associations does it serve at once?"""

import math
from dataclasses import replace

import trio

from dulcet.conformance.kit.product import CLAIMS, Patience, Product
from dulcet.conformance.kit.result import Observed
from dulcet.conformance.kit.stimuli import RELEASE_RQ, context
from dulcet.conformance.kit.visit import Asked, Association, Findings, PreconditionError, Visit
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from dulcet.errors import (
    AssociationAbortedError,
    AssociationRejectedError,
    DulcetError,
    PeerTimeoutError,
    PeerUnavailableError,
)
from dulcet.ul.reasons import explain_abort, explain_rejection

CONCURRENT_ASSOCIATIONS = 12  # what the kit makes use of at most
PROMPT_SECONDS = 0.5  # more than the first C-ECHO took: an association that waits for its turn takes longer
TLS_ALERT = b"\x15\x03"  # RFC 8446 5.1: the type of the record, and the first octet of its version
PROPOSED = tuple(dict.fromkeys(uid for claim in CLAIMS for uid in claim.abstract_syntaxes))


async def look_at(product: Product, patience: Patience) -> Observed:
    """Ask for every SOP class that a case needs. Raises a DulcetError when no association can be made at all."""
    observed = Observed()
    contexts = tuple(
        context(2 * index + 1, uid, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
        for index, uid in enumerate(PROPOSED)
    )
    failure: DulcetError | None = None
    async with trio.open_nursery() as nursery:
        visit = Visit(product, replace(patience, answer=patience.patient), nursery, Findings())
        try:
            _note(observed, product, await visit.ask(product.request(*contexts)))
        except DulcetError as error:
            failure = error
        finally:
            await visit.close()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    observed.is_blocked_by_silence = await _is_blocked(product, patience)
    observed.associations_at_once = await _concurrency(product, patience)
    return observed


def _note(observed: Observed, product: Product, asked: Asked) -> None:
    answer = asked.answer
    if answer is None:
        raise _why_not(product, asked)
    observed.implementation_class_uid = answer.implementation_class_uid or ""
    observed.implementation_version_name = answer.implementation_version_name or ""
    observed.maximum_length_received = answer.maximum_length_received
    for result in answer.presentation_contexts:
        index = result.context_id // 2
        if result.context_id % 2 and index < len(PROPOSED):
            observed.contexts[PROPOSED[index]] = (result.result, result.transfer_syntax or "")


def _why_not(product: Product, asked: Asked) -> DulcetError:
    numbers = asked.outcome.numbers
    if asked.outcome.word == "RJ":
        text = f"the product rejects the kit's association: {explain_rejection(*numbers)}"
        return AssociationRejectedError(text, result=numbers[0], source=numbers[1], reason=numbers[2])
    if asked.outcome.word == "ABORT":
        text = f"the product aborts the kit's association: {explain_abort(*numbers)}"
        return AssociationAbortedError(text, source=numbers[0], reason=numbers[1])
    if asked.outcome.word == "SILENCE":
        return PeerTimeoutError("the product takes the connection and answers no A-ASSOCIATE-RQ")
    if asked.seen is not None and asked.seen.octets[:2] == TLS_ALERT:
        return PeerUnavailableError(
            "the product answers an A-ASSOCIATE-RQ with a TLS alert: it speaks TLS only, say --tls"
        )
    hint = ""
    if asked.outcome.word in ("CLOSE", "RST"):
        hint = "; it may speak TLS only: --tls" if product.tls is None else "; it may want a certificate: --tls-cert"
    return PeerUnavailableError(f"the product makes no association with the kit: {asked.outcome.explain()}{hint}")


async def _is_blocked(product: Product, patience: Patience) -> bool:
    """Whether a connection on which nothing is said keeps the product from answering on another."""
    is_blocked = False
    async with trio.open_nursery() as nursery:
        visit = Visit(product, patience, nursery, Findings())
        try:
            await visit.connect()
            await visit.associate(context(1, VERIFICATION))
        except (PreconditionError, DulcetError):
            is_blocked = True
        finally:
            await visit.close()
        nursery.cancel_scope.cancel()
    return is_blocked


async def _concurrency(product: Product, patience: Patience) -> int:
    """How many associations are served at the same time: on each further one a C-ECHO is answered as on the first."""
    held = 0
    prompt = math.inf
    async with trio.open_nursery() as nursery:
        visit = Visit(product, patience, nursery, Findings())
        try:
            for _ in range(CONCURRENT_ASSOCIATIONS):
                association = await visit.associate(context(1, VERIFICATION))
                took = await _echo_seconds(association)
                if prompt < took < math.inf:  # somebody may have been held up, for once
                    took = await _echo_seconds(association)
                if took > prompt or took == math.inf:
                    break
                prompt = min(prompt, took + PROMPT_SECONDS)
                held += 1
        except (PreconditionError, DulcetError):
            pass
        finally:
            await visit.close()
        nursery.cancel_scope.cancel()
    return max(held, 1)


async def _echo_seconds(association: Association) -> float:
    """How long a C-ECHO took; infinite when it is not answered."""
    began = trio.current_time()
    if 1 in association.accepted and (await association.echo()).word == "SILENCE":
        return math.inf
    return trio.current_time() - began


async def baseline(product: Product, patience: Patience) -> Product:
    """The product, with what goes wrong on an ordinary association: a C-ECHO and a release."""
    findings = Findings()
    outcomes = []
    async with trio.open_nursery() as nursery:
        visit = Visit(product, replace(patience, answer=patience.patient), nursery, findings, is_basic=True)
        try:
            association = await visit.associate(context(1, VERIFICATION))
            if product.has("verification"):
                outcomes.append(str(await association.need(1).echo()))
                outcomes.append(str(await association.echo()))
            outcomes.append(str(await association.release()))
        except (PreconditionError, DulcetError):
            pass
        finally:
            await visit.close()
        nursery.cancel_scope.cancel()
    wrong = frozenset(outcomes) - {"RSP(0000)", "RP"}
    codes = {problem.code for problem in findings.problems} | ({"UNUSABLE_AFTER"} if wrong else set())
    return replace(
        product,
        known_outcomes=wrong,
        known_problems=frozenset(codes),
        can_be_probed=not await probe(product, patience),
    )


def claims_of(observed: Observed, declared: dict[str, bool]) -> dict[str, str]:
    """The product's claims: what the configuration says, and where it says nothing, what was observed."""
    claims = {}
    for claim in CLAIMS:
        if claim.name in declared:
            if declared[claim.name]:
                claims[claim.name] = "declared"
        elif any(observed.contexts.get(uid, (1, ""))[0] == 0 for uid in claim.abstract_syntaxes):
            claims[claim.name] = "observed"
    return claims


async def is_healthy(product: Product, patience: Patience) -> str:
    """A new association and a C-ECHO: "" when both are answered, however well; else what is not.

    A product that is not able to do so from the start can't be probed: then "" always.
    """
    if not product.can_be_probed:
        return ""
    trouble = ""
    for wait in (0.0, 0.5, 2.0):
        await trio.sleep(wait)
        trouble = await probe(product, patience)
        if not trouble:
            return ""
    return trouble


async def probe(product: Product, patience: Patience) -> str:
    """One attempt of `is_healthy`."""
    trouble = ""
    async with trio.open_nursery() as nursery:
        visit = Visit(product, patience, nursery, Findings())
        try:
            association = await visit.associate(context(1, VERIFICATION))
            if product.has("verification"):
                outcome = await association.need(1).echo()
                trouble = "" if outcome.word == "RSP" else f"C-ECHO gave {outcome.explain()}"
            await association.send(RELEASE_RQ)
            await association.outcome(patience.settle)
        except (PreconditionError, DulcetError) as error:
            trouble = str(error)
        finally:
            await visit.close()
        nursery.cancel_scope.cancel()
    return trouble
