"""ul.assoc.rq: the kit sends an A-ASSOCIATE-RQ; fixed fields, AE titles, application context (PS3.8 9.3.2)."""

from collections.abc import Callable

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import Product
from dulcet.conformance.kit.stimuli import Request, title
from dulcet.conformance.kit.visit import Asked, Association, PreconditionError, Visit
from dulcet.dimse.uids import DICOM_APPLICATION_CONTEXT, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

Q, C, B, I = Level.REQUIRED, Level.RECOMMENDED, Level.ROBUSTNESS, Level.INFORMATIONAL  # noqa: E741
REFUSED = ("RJ", "ABORT")
"""A request that can't be accepted: AE-6 rejects, AA-1 aborts with source 0, AA-8 with source 2."""

Build = Callable[[Product], Request]
Check = Callable[[Visit, Asked], None]

VALID_REQUEST = "A valid A-ASSOCIATE-RQ is accepted, and the association works."


def request_case(
    name: str,
    stimulus: str,
    requirement: str,
    clause: str,
    level: Level,
    build: Build,
    allowed: tuple[str, ...] = ("AC(0)",),
    *,
    tolerated: tuple[str, ...] = (),
    check: Check | None = None,
    tested: tuple[int, ...] = (1,),
    judged: bool = True,
    works: bool = True,
    needs: tuple[str, ...] = ("verification",),
    note: str = "",
) -> Case:
    """One request, one answer; what was accepted has to work and is released."""
    return Case(
        id=f"ul.assoc.rq.{name}",
        requirement=requirement,
        stimulus=stimulus,
        clause=clause,
        level=level,
        role=Role.ACCEPTOR,
        allowed=allowed,
        tolerated=tolerated,
        play=_play(build, check, tested, judged, works),
        needs=needs,
        probe=allowed != ("AC(0)",),
        note=note,
    )


def _play(build: Build, check: Check | None, tested: tuple[int, ...], judged: bool, works: bool) -> Play:
    async def play(visit: Visit) -> Outcome:
        asked = await visit.ask(build(visit.product), tested, judged=judged)
        if check is not None:
            check(visit, asked)
        if asked.outcome.word == "AC":
            await _conclude(visit, asked, works)
        elif asked.outcome.word in ("RJ", "ABORT"):
            await visit.settled(asked.peer, asked.outcome)
        return asked.outcome

    return play


async def _conclude(visit: Visit, asked: Asked, works: bool) -> None:
    association = Association(visit, asked)
    if works and 1 in association.accepted:
        await association.still_works()
    elif works:
        await association.release()
    else:
        await asked.peer.send(stimuli.ABORT)


def _leading_spaces(product: Product) -> Request:
    if len(product.called) > 15:
        raise PreconditionError("the AE title fills its 16 octets: there is no room for a leading space")
    spaces = " " * min(2, 16 - len(product.called))
    return product.request().but(called=title(f"{spaces}{product.called}"))


def _promiscuous(visit: Visit, asked: Asked) -> None:
    if asked.outcome.word == "AC" and visit.product.promiscuous is False:
        visit.problem("ACCEPTED_INVALID", "a called AE title that is not the product's was accepted")
    elif asked.outcome.word == "AC" and visit.product.promiscuous is None:
        visit.warn("PROMISCUOUS", "any called AE title is accepted; declare `promiscuous = true` if that is meant")


def _echoes_reserved(visit: Visit, asked: Asked) -> None:
    answer = asked.answer
    if answer is not None and answer.reserved != asked.request.reserved_43_74:
        came = answer.reserved[:8].hex(" ")
        visit.problem("NOT_ECHOED", f"octets 43-74 of the A-ASSOCIATE-AC begin {came}, AA AA AA AA ... was sent")


def _names_application_context(visit: Visit, asked: Asked) -> None:
    answer = asked.answer
    if answer is not None and answer.application_context_name != DICOM_APPLICATION_CONTEXT:
        visit.problem("WRONG_CONTEXT_NAME", "the A-ASSOCIATE-AC does not name the DICOM application context")


def _with_items(*items: bytes) -> Build:
    return lambda product: product.request().but(items=items)


def _called(octets: bytes) -> Build:
    return lambda product: product.request().but(called=octets)


def _version(number: int) -> Build:
    return lambda product: product.request().but(version=number)


def _inside(product: Product, octets: bytes) -> Request:
    """The calling AE title with some octets in its middle."""
    return product.request().but(calling=title(b"DUL" + octets + b"CET"))


def _reserved_in_items(product: Product) -> Request:
    context = stimuli.context_of(
        1,
        stimuli.abstract_syntax(VERIFICATION, reserved=0xFF),
        stimuli.transfer_syntax(IMPLICIT_VR_LITTLE_ENDIAN, reserved=0xFF),
        reserved=0xFF,
    )
    user = stimuli.user_information(
        stimuli.maximum_length(reserved=0xFF), stimuli.implementation_class(reserved=0xFF), *product.user, reserved=0xFF
    )
    return product.request().but(items=(stimuli.application_context(reserved=0xFF), context, user))


_NOT_TESTED = "Reserved fields are not tested when received."
_ONLY_BIT_0 = "A receiver of version 1 tests only bit 0 of the protocol version."
_USER = stimuli.user_information(stimuli.maximum_length(), stimuli.implementation_class())
_TITLES = "An AE title is 16 characters of the ISO 646 basic G0 set; what can't be one is refused or does no harm."
_NO_VERSION = "A request without version 1 is rejected: source 2, reason 2, protocol-version-not-supported."
_EITHER_RESULT = "Table 9-21 leaves it open whether such a rejection is permanent or transient."
_ONE_NAME = "There is one Application Context Item; a name that is not supported is rejected: source 1, reason 2."

FIXED_FIELDS = (
    request_case(
        "minimal", "Verification in Implicit VR Little Endian, 51H, 52H", VALID_REQUEST, "PS3.8 9.3.2", Q,
        lambda product: product.request(),
    ),
    request_case(
        "rsv.byte2", "octet 2 is FFH", _NOT_TESTED, "PS3.8 Table 9-11", Q,
        lambda product: product.request().but(reserved_2=0xFF),
    ),
    request_case(
        "rsv.9-10", "octets 9-10 are FFFFH", _NOT_TESTED, "PS3.8 Table 9-11", Q,
        lambda product: product.request().but(reserved_9_10=0xFFFF),
    ),
    request_case(
        "rsv.43-74", "octets 43-74 are AAH",
        "Octets 43-74 are not tested, and come back in the A-ASSOCIATE-AC as they were.", "PS3.8 Table 9-17", Q,
        lambda product: product.request().but(reserved_43_74=b"\xaa" * 32), check=_echoes_reserved,
    ),
    request_case(
        "rsv.items", "FFH in each reserved octet of each item and sub-item", _NOT_TESTED, "PS3.8 Table 9-13", Q,
        _reserved_in_items,
    ),
    request_case("version.0003", "protocol version 0003H", _ONLY_BIT_0, "PS3.8 Table 9-11", Q, _version(3)),
    request_case("version.ffff", "protocol version FFFFH", _ONLY_BIT_0, "PS3.8 Table 9-11", Q, _version(0xFFFF)),
    request_case(
        "version.0002", "protocol version 0002H: bit 0 is clear",
        _NO_VERSION, "PS3.8 Table 9-11", Q,
        _version(2), ("RJ(1|2,2,2)",), judged=False, note=_EITHER_RESULT,
    ),
    request_case(
        "version.0000", "protocol version 0",
        _NO_VERSION, "PS3.8 Table 9-11", Q,
        _version(0), ("RJ(1|2,2,2)",), judged=False, note=_EITHER_RESULT,
    ),
)  # fmt: skip

TITLES = (
    request_case(
        "aet.called-leading-space", "the called AE title with leading spaces",
        "Leading and trailing spaces of an AE title are not significant.", "PS3.8 Table 9-11", Q, _leading_spaces,
    ),
    request_case(
        "aet.called-unknown", "a called AE title that nobody has",
        "The called AE title is validated: an unknown one is rejected with (1,1,7).", "PS3.8 C.2", C,
        _called(title("DULCET-NOBODY-1")), ("RJ(1,1,7)", "AC"), check=_promiscuous,
    ),
    request_case(
        "aet.calling-unknown", "a calling AE title that the product has not seen",
        "An acceptor may reject a calling AE title that it does not know, with (1,1,3).", "PS3.8 7.1.1.3", I,
        lambda product: product.request().but(calling=title("DULCET-NOBODY-2")), ("AC", "RJ(1,1,3)"),
    ),
    request_case(
        "aet.called-spaces", "a called AE title of 16 spaces", "16 spaces are no AE title.", "PS3.8 Table 9-11", B,
        _called(b" " * 16), ("RJ", "ABORT", "CLOSE"), tolerated=("AC",), judged=False,
    ),
    request_case(
        "aet.calling-spaces", "a calling AE title of 16 spaces", "16 spaces are no AE title.", "PS3.8 Table 9-11", B,
        lambda product: product.request().but(calling=b" " * 16), ("RJ(1,1,3)", "ABORT"), tolerated=("AC",),
        judged=False, note="Ultrasound units in the field do this.",
    ),
    request_case(
        "aet.nul-padded", "the called AE title padded with NUL", _TITLES, "PS3.8 Table 9-11", B,
        lambda product: product.request().but(called=product.called.encode().ljust(16, b"\0")), ("AC", "RJ"),
        tolerated=("ABORT",), judged=False,
    ),
    request_case(
        "aet.control-chars", "line feed and escape in the calling AE title", _TITLES, "PS3.8 Table 9-11", B,
        lambda product: _inside(product, b"\n\x1b[31m"), ("AC", "RJ", "ABORT"), judged=False,
        note="Look at the product's log: the line must not be broken.",
    ),
    request_case(
        "aet.backslash", "a backslash in the calling AE title", _TITLES, "PS3.5 6.2", B,
        lambda product: _inside(product, b"\\"), ("AC", "RJ", "ABORT"), judged=False,
    ),
    request_case(
        "aet.8bit", "E9H in the calling AE title", _TITLES, "PS3.8 Table 9-11", B,
        lambda product: _inside(product, b"\xe9"), ("AC", "RJ", "ABORT"), judged=False,
    ),
    request_case(
        "aet.case", "the called AE title with its letters' case swapped",
        "Whether another case is another title is the product's decision.", "PS3.5 6.2", I,
        lambda product: product.request().but(called=title(product.called.swapcase())), ("RJ(1,1,7)", "AC"),
    ),
)  # fmt: skip

APPLICATION_CONTEXTS = (
    request_case(
        "appctx.unknown", "application context 1.2.3.4", _ONE_NAME, "PS3.8 7.1.1.2", Q,
        lambda product: product.request().but(context_name=stimuli.application_context("1.2.3.4")),
        ("RJ(1|2,1,2)", "AC"), check=_names_application_context, judged=False, works=False, note=_EITHER_RESULT,
    ),
    request_case(
        "appctx.missing", "no Application Context Item", _ONE_NAME, "PS3.8 9.3.2", B,
        _with_items(stimuli.VERIFICATION_CONTEXT, _USER), REFUSED, judged=False, works=False,
    ),
    request_case(
        "appctx.duplicate", "two Application Context Items", _ONE_NAME, "PS3.8 9.3.2", B,
        lambda product: product.request().but(context_name=stimuli.application_context() * 2), ("SAFE",), judged=False,
    ),
    request_case(
        "appctx.empty", "an application context name of length 0", _ONE_NAME, "PS3.8 Annex F", B,
        lambda product: product.request().but(context_name=stimuli.application_context("")), ("RJ(1|2,1,2)", "ABORT"),
        judged=False, works=False,
    ),
    request_case(
        "appctx.trailing-nul", "the application context name with a trailing NUL", _ONE_NAME, "PS3.8 Annex F", B,
        lambda product: product.request().but(
            context_name=stimuli.application_context(f"{DICOM_APPLICATION_CONTEXT}\0")
        ),
        ("AC", "RJ(1|2,1,2)"), tolerated=("ABORT",), judged=False,
    ),
)  # fmt: skip

CASES = (*FIXED_FIELDS, *TITLES, *APPLICATION_CONTEXTS)
