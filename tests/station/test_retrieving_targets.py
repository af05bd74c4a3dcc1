"""What a C-MOVE or C-GET asks for: unique keys only, of the level and of those above it (PS3.4 C.4.2.1.4.1)."""

import pytest

from dulcet.errors import ConfigurationError
from dulcet.services.querying.query_models import PATIENT_ROOT, STUDY_ROOT, Level
from dulcet.station.query.keys import from_words
from dulcet.station.query.plan import Asked
from dulcet.station.retrieval.targets import Target, check_retrieval, retrieval_models, target_of

LEVEL, PATIENT, STUDY, SERIES, INSTANCE = 0x00080052, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018


@pytest.mark.parametrize(
    ("asked", "level", "model", "keys"),
    [
        (Asked(study=("1.2", "1.3")), Level.STUDY, STUDY_ROOT, {STUDY: "1.2\\1.3"}),
        (Asked(study=("1.2",)), Level.STUDY, PATIENT_ROOT, {STUDY: "1.2"}),
        (Asked(study=("1.2",), patient_id="7"), Level.STUDY, PATIENT_ROOT, {PATIENT: "7", STUDY: "1.2"}),
        (Asked(study=("1.2",), patient_id="7"), Level.STUDY, STUDY_ROOT, {STUDY: "1.2"}),
        (Asked(study=("1.2",), series=("1.3", "1.4")), Level.SERIES, STUDY_ROOT, {STUDY: "1.2", SERIES: "1.3\\1.4"}),
        (
            Asked(study=("1",), series=("2",), images=("3", "4")),
            Level.IMAGE,
            STUDY_ROOT,
            {STUDY: "1", SERIES: "2", INSTANCE: "3\\4"},
        ),
        (Asked(patient_id="7"), Level.PATIENT, PATIENT_ROOT, {PATIENT: "7"}),
        (Asked(keys=from_words(["StudyInstanceUID=1.2\\1.3"])), Level.STUDY, STUDY_ROOT, {STUDY: "1.2\\1.3"}),
        (
            Asked(keys=from_words(["StudyInstanceUID=1", "SeriesInstanceUID=2", "PatientID=7"])),
            Level.SERIES,
            PATIENT_ROOT,
            {PATIENT: "7", STUDY: "1", SERIES: "2"},
        ),
    ],
)
def test_the_identifier(asked, level, model, keys):
    target = target_of(asked)
    assert target.level is level
    assert target.keys(model) == {LEVEL: level.value, **keys}


def test_nothing_is_named():
    with pytest.raises(ConfigurationError, match="what should be sent"):
        target_of(Asked(keys=from_words(["PatientName=X"])))


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target(level=Level.STUDY, study=("1.2",)), "study 1.2"),
        (Target(level=Level.SERIES, study=("1",), series=("2", "3", "4")), "series 2 and 2 more"),
        (Target(level=Level.IMAGE, study=("1",), series=("2",), images=("3",)), "image 3"),
        (Target(level=Level.PATIENT, patient_id="7"), "one patient"),
    ],
)
def test_in_words(target, text):
    assert str(target) == text


@pytest.mark.parametrize(
    ("level", "root", "models"),
    [
        (Level.STUDY, "auto", (STUDY_ROOT, PATIENT_ROOT)),
        (Level.IMAGE, "patient", (PATIENT_ROOT,)),
        (Level.SERIES, "study", (STUDY_ROOT,)),
        (Level.PATIENT, "auto", (PATIENT_ROOT,)),
    ],
)
def test_models_to_propose(level, root, models):
    assert retrieval_models(level, root) == models


def test_the_study_root_has_no_patients():
    with pytest.raises(ConfigurationError, match="has no patients"):
        retrieval_models(Level.PATIENT, "study")


def test_keys_that_can_not_choose():
    asked = Asked(study=("1.2",), patient="DOE*", keys=from_words(["AccessionNumber=1"]))
    with pytest.raises(ConfigurationError) as refused:
        check_retrieval(asked, target_of(asked), STUDY_ROOT)
    first, second = str(refused.value).splitlines()
    assert first.startswith("AccessionNumber can't choose what is sent")
    assert second.startswith("only UIDs and a patient ID choose what is sent")
    check_retrieval(Asked(study=("1.2",)), Target(level=Level.STUDY, study=("1.2",)), STUDY_ROOT)
