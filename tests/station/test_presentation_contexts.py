import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.dimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN as DEFLATED,
)
from dulcet.dimse.uids import (
    EXPLICIT_VR_BIG_ENDIAN as BIG,
)
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN as EXPLICIT,
)
from dulcet.dimse.uids import (
    IMPLICIT_VR_LITTLE_ENDIAN as IMPLICIT,
)
from dulcet.services.part10 import Part10Header
from dulcet.station.sending.files import FileToSend
from dulcet.station.sending.presentation_contexts import MAX_CONTEXTS, ContextChoice, choose, plan_associations
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import AcceptedContext, Negotiated

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
JPEG_2000, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"


def file(sop_class, syntax, name="file"):
    header = Part10Header(
        sop_class_uid=sop_class,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=syntax,
        data_set_offset=300,
        file_size=1000,
    )
    return FileToSend(name=name, header=header)


def proposed(plan):
    return [(context.context_id, context.abstract_syntax, context.transfer_syntaxes) for context in plan.contexts]


def test_nothing_to_send_needs_no_association():
    assert plan_associations([]) == ()


def test_uncompressed_files_of_a_class_share_a_context():
    files = [file(CT, EXPLICIT), file(CT, IMPLICIT), file(CT, IMPLICIT)]
    (plan,) = plan_associations(files)
    assert proposed(plan) == [(1, CT, (IMPLICIT, EXPLICIT, BIG))]
    assert plan.files == tuple(files)


@pytest.mark.parametrize(
    ("own", "offered"),
    [
        (EXPLICIT, (EXPLICIT, IMPLICIT, BIG)),
        (IMPLICIT, (IMPLICIT, EXPLICIT, BIG)),
        (BIG, (BIG, EXPLICIT, IMPLICIT)),
        (DEFLATED, (DEFLATED, EXPLICIT, IMPLICIT, BIG)),
        (JPEG_2000, (JPEG_2000,)),
        ("1.2.3.4", ("1.2.3.4",)),
    ],
)
def test_the_files_own_transfer_syntax_is_offered_first(own, offered):
    (plan,) = plan_associations([file(CT, own)])
    assert proposed(plan) == [(1, CT, offered)]


def test_each_compressed_transfer_syntax_gets_a_context_of_its_own():
    files = [file(CT, JPEG_2000), file(CT, EXPLICIT), file(MR, RLE), file(CT, RLE), file(CT, DEFLATED)]
    (plan,) = plan_associations(files)
    assert proposed(plan) == [
        (1, CT, (EXPLICIT, IMPLICIT, BIG)),
        (3, CT, (JPEG_2000,)),
        (5, CT, (RLE,)),
        (7, CT, (DEFLATED, EXPLICIT, IMPLICIT, BIG)),
        (9, MR, (RLE,)),
    ]
    assert plan.files == tuple(files)


def test_without_conversion_each_transfer_syntax_is_offered_alone():
    files = [file(CT, IMPLICIT), file(CT, EXPLICIT), file(CT, DEFLATED), file(CT, JPEG_2000)]
    (plan,) = plan_associations(files, convert=False)
    assert proposed(plan) == [(1, CT, (IMPLICIT,)), (3, CT, (EXPLICIT,)), (5, CT, (DEFLATED,)), (7, CT, (JPEG_2000,))]


def test_128_contexts_fit_into_one_association_and_129_do_not():
    files = [file(f"1.2.{number}", EXPLICIT) for number in range(MAX_CONTEXTS + 1)]
    (plan,) = plan_associations(files[:-1])
    assert [context.context_id for context in plan.contexts] == list(range(1, 256, 2))
    first, second = plan_associations(files)
    assert first.contexts == plan.contexts
    assert proposed(second) == [(1, "1.2.128", (EXPLICIT, IMPLICIT, BIG))]
    assert (first.files, second.files) == (tuple(files[:-1]), tuple(files[-1:]))


def test_the_contexts_of_a_class_stay_together():
    files = [file(CT, EXPLICIT), file(CT, RLE), file(MR, EXPLICIT), file(MR, RLE), file(CT, EXPLICIT)]
    first, second = plan_associations(files, max_contexts=3)
    assert [context.abstract_syntax for context in first.contexts] == [CT, CT]
    assert [context.abstract_syntax for context in second.contexts] == [MR, MR]
    assert first.files == (files[0], files[1], files[4])


def test_a_class_with_more_contexts_than_an_association_takes_is_split():
    files = [file(CT, f"1.2.{number}") for number in range(5)]
    plans = plan_associations(files, max_contexts=2)
    assert [len(plan.contexts) for plan in plans] == [2, 2, 1]
    assert [each for plan in plans for each in plan.files] == files


uids = st.sampled_from([f"1.2.{number}" for number in range(6)])
syntaxes = st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG_2000, RLE])


@given(st.lists(st.tuples(uids, syntaxes)), st.booleans(), st.integers(1, 128))
def test_every_file_goes_once_and_has_a_context(kinds, convert, max_contexts):
    files = [file(*kind, name=str(number)) for number, kind in enumerate(kinds)]
    plans = plan_associations(files, convert=convert, max_contexts=max_contexts)
    assert sorted(int(each.name) for plan in plans for each in plan.files) == list(range(len(files)))
    for plan in plans:
        assert 0 < len(plan.contexts) <= max_contexts
        assert [context.context_id for context in plan.contexts] == [2 * n + 1 for n in range(len(plan.contexts))]
        everything = accept(plan.contexts, lambda offered: offered[0])
        for each in plan.files:
            choice = choose(each.header, plan.contexts, everything, convert=convert)
            assert isinstance(choice, ContextChoice)


# Choosing -----------------------------------------------------------------------------------------------------------


def accept(contexts, pick, refusal=4, **roles):
    accepted, refused = {}, {}
    for context in contexts:
        syntax = pick(context.transfer_syntaxes)
        if syntax is None:
            refused[context.context_id] = refusal
        else:
            accepted[context.context_id] = AcceptedContext(
                context_id=context.context_id,
                abstract_syntax=context.abstract_syntax,
                transfer_syntax=syntax,
                **roles,
            )
    return Negotiated(contexts=accepted, refused=refused, max_pdu_length=0)


def only(*taken):
    """A peer that takes these transfer syntaxes."""
    return lambda offered: next((syntax for syntax in offered if syntax in taken), None)


def chosen(syntax, *taken, convert=True, refusal=4):
    (plan,) = plan_associations([file(CT, syntax)], convert=convert)
    negotiated = accept(plan.contexts, only(*taken), refusal)
    return choose(plan.files[0].header, plan.contexts, negotiated, convert=convert)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG_2000])
@pytest.mark.parametrize("convert", [True, False])
def test_the_exact_transfer_syntax_needs_no_conversion(syntax, convert):
    assert chosen(syntax, IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG_2000, convert=convert) == ContextChoice(
        context_id=1, convert_to=None
    )


@pytest.mark.parametrize("own", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("taken", [IMPLICIT, EXPLICIT, BIG])
def test_what_is_uncompressed_is_converted(own, taken):
    if own != taken:
        assert chosen(own, taken) == ContextChoice(context_id=1, convert_to=taken)


def test_the_exact_context_wins_over_an_earlier_one():
    contexts = [PresentationContextRQ.propose(1, CT, [IMPLICIT]), PresentationContextRQ.propose(3, CT, [EXPLICIT])]
    negotiated = accept(contexts, lambda offered: offered[0])
    assert choose(file(CT, EXPLICIT).header, contexts, negotiated) == ContextChoice(context_id=3, convert_to=None)
    assert choose(file(CT, BIG).header, contexts, negotiated) == ContextChoice(context_id=3, convert_to=EXPLICIT)


def test_the_lowest_of_equal_contexts_is_taken():
    contexts = [PresentationContextRQ.propose(number, CT, [EXPLICIT]) for number in (1, 3, 5)]
    negotiated = accept(contexts, lambda offered: offered[0])
    assert choose(file(CT, EXPLICIT).header, contexts, negotiated) == ContextChoice(context_id=1, convert_to=None)


def test_the_context_of_another_class_is_never_taken():
    contexts = [PresentationContextRQ.propose(1, MR, [EXPLICIT])]
    reason = choose(file(CT, EXPLICIT).header, contexts, accept(contexts, lambda offered: offered[0]))
    assert reason == "no presentation context was proposed for CT Image Storage"


def test_a_context_in_which_we_may_only_be_scp_is_not_taken():
    contexts = [PresentationContextRQ.propose(1, CT, [EXPLICIT])]
    negotiated = accept(contexts, lambda offered: offered[0], requestor_is_scu=False)
    assert isinstance(choose(file(CT, EXPLICIT).header, contexts, negotiated), str)


def test_compressed_pixel_data_is_never_converted():
    contexts = [PresentationContextRQ.propose(1, CT, [EXPLICIT]), PresentationContextRQ.propose(3, CT, [JPEG_2000])]
    reason = choose(file(CT, JPEG_2000).header, contexts, accept(contexts, only(EXPLICIT)))
    assert reason == (
        "the peer takes CT Image Storage only in Explicit VR Little Endian,"
        " and the file is in JPEG 2000 Image Compression (Lossless Only), which can't be converted"
    )


def test_conversion_that_is_switched_off_is_said():
    contexts = [PresentationContextRQ.propose(1, CT, [IMPLICIT])]
    negotiated = accept(contexts, only(IMPLICIT))
    reason = choose(file(CT, EXPLICIT).header, contexts, negotiated, convert=False)
    assert reason.endswith("the file is in Explicit VR Little Endian; conversion is switched off")


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (1, "the peer refused the presentation contexts for CT Image Storage (user-rejection)"),
        (2, "the peer refused the presentation contexts for CT Image Storage (no-reason (provider rejection))"),
        (3, "the peer does not take CT Image Storage at all (abstract-syntax-not-supported)"),
        (4, "the peer takes CT Image Storage, but not in Explicit VR Little Endian or anything"),
        (9, "the peer refused the presentation contexts for CT Image Storage (result 9)"),
    ],
)
def test_a_refusal_is_explained(result, sentence):
    assert chosen(EXPLICIT, refusal=result).startswith(sentence)


def test_uids_that_nobody_knows_are_shown_safely():
    contexts = [PresentationContextRQ.propose(1, "1.2\x1b", [EXPLICIT])]
    assert "1.2\\x1b" in choose(file("1.2\x1b", "1.9").header, contexts, accept(contexts, only(EXPLICIT)))
