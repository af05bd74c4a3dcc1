"""What is asked becomes an identifier: level, unique keys, keys to match, keys to return."""

import pytest

from dulcet.errors import ConfigurationError
from dulcet.services.querying.query_models import KEYS, LEVEL_OF, PATIENT_ROOT, STUDY_ROOT, UNIQUE_KEYS, WORKLIST, Level
from dulcet.station.query.keys import describe_path, from_words, walk
from dulcet.station.query.plan import LEVELS, SHOWN, Asked, models_for, plan

NAME, LEVEL, STUDY, SERIES, PATIENT, MODALITY, MODALITIES = (
    0x00100010,
    0x00080052,
    0x0020000D,
    0x0020000E,
    0x00100020,
    0x00080060,
    0x00080061,
)
STEPS = 0x00400100


def filled(query):
    return {describe_path(path): value for path, value in walk(query.keys) if value}


def columns(query):
    return [describe_path(path) for path in query.columns]


@pytest.mark.parametrize("level", list(LEVELS.values()))
def test_what_a_level_needs_is_filled_in(level):
    (model, *_) = models_for(level)
    query = plan(Asked(level=level), model)
    if level is None:
        assert LEVEL not in query.keys
        assert query.keys[STEPS][0].keys() >= {MODALITY, 0x00400001, 0x00400002, 0x00400003}
    else:
        assert query.keys[LEVEL] == level.value
        assert UNIQUE_KEYS[level] in query.keys
    assert set(SHOWN[level]) <= {path for path, _ in walk(query.keys)}
    assert query.columns == SHOWN[level] or model is not STUDY_ROOT or level in (Level.SERIES, Level.IMAGE)


def test_options_become_keys():
    query = plan(
        Asked(
            level=Level.STUDY,
            patient="DOE*",
            patient_id="7",
            accession="A1",
            dates="20260101-",
            modality="CT",
            study=("1.2", "1.3"),
            keys=from_words(["StudyDescription=*chest*"]),
        ),
        STUDY_ROOT,
    )
    assert filled(query) == {
        "QueryRetrieveLevel": "STUDY",
        "PatientName": "DOE*",
        "PatientID": "7",
        "AccessionNumber": "A1",
        "StudyDate": "20260101-",
        "ModalitiesInStudy": "CT",
        "StudyInstanceUID": "1.2\\1.3",
        "StudyDescription": "*chest*",
    }


@pytest.mark.parametrize(
    ("level", "model", "key"),
    [
        (Level.STUDY, STUDY_ROOT, "ModalitiesInStudy"),
        (Level.SERIES, STUDY_ROOT, "Modality"),
        (None, WORKLIST, "ScheduledProcedureStepSequence.Modality"),
    ],
)
def test_a_modality_is_asked_where_the_level_has_it(level, model, key):
    assert filled(plan(Asked(level=level, modality="MR"), model))[key] == "MR"


def test_a_date_of_a_worklist_is_that_of_the_step():
    query = plan(Asked(level=None, dates="20260101"), WORKLIST)
    assert filled(query) == {"ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate": "20260101"}


def test_only_keys_of_the_level_are_returned():
    for model in (PATIENT_ROOT, STUDY_ROOT):
        for level in model.levels:
            query = plan(Asked(level=level), model)
            unique = {UNIQUE_KEYS[each] for each in model.levels}
            for tag in query.keys.keys() - unique - {LEVEL}:
                assert model.level_of(tag) in (level, None), (model.name, level, hex(tag))


def test_without_a_patient_level_its_attributes_are_of_the_study():
    assert STUDY_ROOT.level_of(NAME) is Level.STUDY
    assert PATIENT_ROOT.level_of(NAME) is Level.PATIENT
    assert (STUDY_ROOT.level_of(SERIES), STUDY_ROOT.level_of(0x00091001)) == (Level.SERIES, None)
    assert (STUDY_ROOT.above(Level.SERIES), STUDY_ROOT.below(Level.SERIES)) == ((Level.STUDY,), (Level.IMAGE,))


def test_every_attribute_has_one_level():
    assert len(LEVEL_OF) == sum(len(keys) for keys in KEYS.values())
    assert all(LEVEL_OF[tag] is level for level, tag in UNIQUE_KEYS.items())


def test_own_keys_are_shown_before_the_last_column():
    query = plan(Asked(level=Level.STUDY, keys=from_words(["StudyID", "PatientName=A", "0009,1001"])), STUDY_ROOT)
    assert columns(query)[-3:] == ["(0009,1001)", "StudyID", "StudyInstanceUID"]
    assert columns(query).count("PatientName") == 1


def test_the_study_of_a_series_is_shown_only_where_it_is_not_given():
    given = plan(Asked(level=Level.SERIES, study=("1.2",)), STUDY_ROOT)
    open_ = plan(Asked(level=Level.SERIES), STUDY_ROOT)
    assert "StudyInstanceUID" not in columns(given)
    assert columns(open_)[-2:] == ["StudyInstanceUID", "SeriesInstanceUID"]


def test_bare():
    query = plan(Asked(level=Level.STUDY, keys=from_words(["PatientName=A"]), is_bare=True), STUDY_ROOT)
    assert query.keys == {LEVEL: "STUDY", NAME: "A", STUDY: ""}
    assert query.columns == ((NAME,),)


@pytest.mark.parametrize(
    ("level", "root", "expected"),
    [
        (Level.PATIENT, "auto", (PATIENT_ROOT,)),
        (Level.STUDY, "auto", (STUDY_ROOT, PATIENT_ROOT)),
        (Level.IMAGE, "patient", (PATIENT_ROOT,)),
        (Level.SERIES, "study", (STUDY_ROOT,)),
        (None, "patient", (WORKLIST,)),
    ],
)
def test_models_to_propose(level, root, expected):
    assert models_for(level, root) == expected


def test_the_study_root_has_no_patients():
    with pytest.raises(ConfigurationError, match="has no patients"):
        models_for(Level.PATIENT, "study")
