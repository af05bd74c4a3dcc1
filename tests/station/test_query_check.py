"""What a level, a model or a VR forbids is told in a sentence before it is sent (PS3.4 C.4.1.2.1, C.2.2.2)."""

import pytest

from dulcet.services.querying.query_models import PATIENT_ROOT, STUDY_ROOT, WORKLIST, Level
from dulcet.station.query.check import objections, retrieval_objections
from dulcet.station.query.keys import from_words
from dulcet.station.query.plan import Asked, plan

STUDY = "StudyInstanceUID=1.2"
SERIES = "SeriesInstanceUID=1.2.3"


def told(level, *words, model=STUDY_ROOT, relational=False):
    query = plan(Asked(level=level, keys=from_words(words)), model)
    return objections(query.keys, query.model, query.level, relational=relational)


@pytest.mark.parametrize(
    ("level", "model", "words"),
    [
        (Level.PATIENT, PATIENT_ROOT, ["PatientName=DOE*"]),
        (Level.STUDY, STUDY_ROOT, ["PatientName=DOE*", "StudyDate=20260101-20260131", "ModalitiesInStudy=CT"]),
        (Level.STUDY, STUDY_ROOT, ["StudyInstanceUID=1.2\\1.3", "StudyTime=08-1200", "StudyTime=-0930"]),
        (Level.STUDY, PATIENT_ROOT, ["PatientID=7"]),
        (Level.SERIES, STUDY_ROOT, [STUDY, "Modality=CT"]),
        (Level.IMAGE, STUDY_ROOT, [STUDY, SERIES, "SOPInstanceUID=1.2\\1.3"]),
        (Level.IMAGE, STUDY_ROOT, [STUDY, SERIES, "0009,1001=x"]),
        (None, WORKLIST, ["PatientName=DOE", "ScheduledProcedureStepSequence.Modality=CT"]),
    ],
)
def test_nothing_to_say(level, model, words):
    assert told(level, *words, model=model) == []


def test_a_series_key_at_the_study_level():
    (sentence,) = told(Level.STUDY, "Modality=CT")
    assert (
        sentence == "Modality is of a series, and studies are looked for: --modality asks for ModalitiesInStudy there"
    )
    assert told(Level.STUDY, "SeriesDescription") == [
        "SeriesDescription is of a series, and studies are looked for: ask for series"
    ]


def test_relational_queries_do_not_allow_it_either():
    assert told(Level.STUDY, "InstanceNumber=1", relational=True) != []


def test_a_missing_parent():
    (sentence,) = told(Level.SERIES, "Modality=CT")
    assert "series are looked for within one study, and StudyInstanceUID is missing: say --study UID" in sentence
    assert len(told(Level.IMAGE)) == 2
    (sentence,) = told(Level.STUDY, model=PATIENT_ROOT)
    assert "PatientID is missing" in sentence
    assert "(--root study) it is not needed" in sentence


@pytest.mark.parametrize("value", ["1.2\\1.3", "1.2*"])
def test_a_parent_with_several_values_or_wild_cards(value):
    assert any("has several values, or wild cards" in each for each in told(Level.SERIES, f"StudyInstanceUID={value}"))


def test_a_key_of_a_level_above():
    (sentence,) = told(Level.SERIES, STUDY, "PatientName=DOE*")
    assert "PatientName is of a study, so it can't choose series: give StudyInstanceUID" in sentence
    assert told(Level.SERIES, STUDY, "PatientName") == []  # to be returned, if the peer likes


def test_what_was_agreed_with_the_peer_is_allowed():
    assert told(Level.SERIES, "PatientName=DOE*", relational=True) == []
    assert told(Level.IMAGE, relational=True) == []


@pytest.mark.parametrize(
    ("word", "explanation"),
    [
        ("StudyInstanceUID=*", "a UID has no wild cards; leave the value away to match any"),
        ("StudyInstanceUID=1.2.*", "'1.2.*' is no UID"),
        ("StudyInstanceUID=1.02", "'1.02' is no UID"),
        ("AccessionNumber=1\\2", "only UIDs can be matched with a list of values (PS3.4 C.2.2.2.2); ask once for each"),
        ("StudyDate=2026-01-01", "'2026-01-01' is no date and no range of dates"),
        ("StudyDate=today", "is no date"),
        ("StudyTime=9:30", "'9:30' is no time and no range of times"),
        ("StudyTime=093", "is no time"),
        ("PatientName=DOE\x1b", r"x1b' has characters that can't be printed"),
    ],
)
def test_a_value_that_its_vr_can_not_match(word, explanation):
    (sentence,) = told(Level.STUDY, word)
    assert explanation in sentence


@pytest.mark.parametrize(
    ("keyword", "values", "sentence"),
    [
        (
            "StudyDate",
            ("20209999", "20230229", "20260101-20261301", "20260000-", "-", "2026", "00000101"),
            "is no date and no range of dates",
        ),
        (
            "StudyTime",
            ("24", "0860", "0800-1260", "235961", "12.5", "120000.", "120000.1234567", "-", "08-09-10"),
            "is no time and no range of times",
        ),
        (
            "FrameAcquisitionDateTime",
            ("202", "20261", "202613", "20260230", "2026010124", "20260101.5", "20260101+1401", "20260101+0060", "-"),
            "is no date-time and no range of them",
        ),
    ],
)
def test_what_is_no_date_or_time(keyword, values, sentence):
    for value in values:
        assert any(sentence in each for each in about_values(keyword, value)), value


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("StudyDate", ("20240229", "20240229-", "-20240229", "20260101-20260131", "20260131-20260101")),
        ("StudyTime", ("09", "0930", "093000.5", "235960", "08-", "-1200", "0800-120000.5")),
        (
            "FrameAcquisitionDateTime",
            (
                *("2026", "202601", "20260131", "2026013109", "20260131093000.123456", "202601311200+1400"),
                *("202601311200-1200", "2026-", "-2026", "1999-2026", "19980128073000-0300-19980128093000-0300"),
                *("19980128073000-0300-", "-19980128073000-0300", "2026+0100-20260201"),
            ),
        ),
    ],
)
def test_what_is_a_date_or_time_or_a_range_of_them(keyword, values):
    for value in values:
        assert about_values(keyword, value) == [], value


def about_values(keyword, value):
    return [each for each in told(Level.IMAGE, STUDY, SERIES, f"{keyword}={value}") if "is no" in each]


def test_a_value_in_a_sequence():
    (sentence,) = told(None, "ScheduledProcedureStepSequence.0040,0002=tomorrow", model=WORKLIST)
    assert sentence.startswith("ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate: 'tomorrow' is no date")


def test_a_list_that_is_too_long():
    uids = "\\".join(f"1.2.{number}" for number in range(5001))
    (sentence,) = told(Level.STUDY, f"StudyInstanceUID={uids}")
    assert "a list of 5001 UIDs is more than archives take" in sentence


# Retrievals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "model", "words"),
    [
        (Level.STUDY, STUDY_ROOT, ["StudyInstanceUID=1.2\\1.3"]),
        (Level.SERIES, STUDY_ROOT, [STUDY, "SeriesInstanceUID=1.2\\1.3"]),
        (Level.IMAGE, PATIENT_ROOT, ["PatientID=7", STUDY, SERIES, "SOPInstanceUID=1\\2"]),
        (Level.PATIENT, PATIENT_ROOT, ["PatientID=7"]),
    ],
)
def test_a_retrieval_by_unique_keys(level, model, words):
    assert retrieval_objections(from_words(words), model, level) == []


@pytest.mark.parametrize(
    ("level", "model", "words", "explanation"),
    [
        (Level.STUDY, STUDY_ROOT, [STUDY, "PatientName=X"], "PatientName can't choose what is sent"),
        (Level.STUDY, STUDY_ROOT, [STUDY, "PatientID=7"], "PatientID can't choose what is sent"),
        (Level.SERIES, STUDY_ROOT, [SERIES], "StudyInstanceUID is missing: say --study UID"),
        (Level.SERIES, STUDY_ROOT, ["StudyInstanceUID=1.2\\1.3", SERIES], "StudyInstanceUID may have one value here"),
        (Level.PATIENT, PATIENT_ROOT, ["PatientID=7\\8"], "PatientID may have one value here, not 2"),
        (Level.STUDY, STUDY_ROOT, ["StudyInstanceUID=x"], "'x' is no UID"),
        (Level.STUDY, PATIENT_ROOT, [STUDY], "PatientID is missing: say --patient-id ID"),
    ],
)
def test_a_retrieval_by_something_else(level, model, words, explanation):
    assert explanation in retrieval_objections(from_words(words), model, level)[0]
