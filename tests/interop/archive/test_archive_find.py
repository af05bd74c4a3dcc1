"""findscu against our archive: each level with no, some and 5,000 matches; cancelled; with what it should not ask."""

import subprocess

import pytest

from dulcet.conformance.peers.process import executable

ROOT = "1.2.826.0.1.3680043.9.7.5"
FEW = f"{ROOT}.2.1"
MANY = 5000
TRIALS = 5  # of what is void when the machine stood still


SERIES_OF_FEW = f"QueryRetrieveLevel=SERIES StudyInstanceUID={FEW} SeriesInstanceUID"
IMAGES_OF_FEW = f"QueryRetrieveLevel=IMAGE StudyInstanceUID={FEW} SOPInstanceUID"
IMAGES_OF_BIG = f"QueryRetrieveLevel=IMAGE StudyInstanceUID={ROOT}.3 SeriesInstanceUID={ROOT}.3.1 SOPInstanceUID"
OF_ASA = "SpecificCharacterSet=ISO_IR\u00a0192 PatientID=ID-FEW^ÅSA"


@pytest.mark.parametrize(
    ("model", "keys", "matches"),
    [
        ("-P", "QueryRetrieveLevel=PATIENT PatientName=NOBODY PatientID", 0),
        ("-P", "QueryRetrieveLevel=PATIENT PatientName=few* PatientID NumberOfPatientRelatedStudies", 1),
        ("-P", "QueryRetrieveLevel=PATIENT PatientName=MANY* PatientID", MANY),
        ("-P", f"QueryRetrieveLevel=STUDY StudyInstanceUID {OF_ASA}", 3),
        ("-S", "QueryRetrieveLevel=STUDY StudyDate=20270101- StudyInstanceUID", 0),
        ("-S", "QueryRetrieveLevel=STUDY StudyDate=20260201-20260203 StudyInstanceUID PatientName", 3),
        ("-S", "QueryRetrieveLevel=STUDY PatientName=MANY* StudyInstanceUID StudyDate ModalitiesInStudy", MANY),
        ("-S", f"{SERIES_OF_FEW} Modality=MR", 0),
        ("-S", f"{SERIES_OF_FEW} Modality=CT", 3),
        ("-S", f"{IMAGES_OF_FEW} SeriesInstanceUID={FEW}.9", 0),
        ("-S", f"{IMAGES_OF_FEW} SeriesInstanceUID={FEW}.1", 1),
        ("-S", IMAGES_OF_BIG, 100),
        ("-O", "QueryRetrieveLevel=PATIENT PatientName=few* PatientID", 1),
    ],
)
def test_matches_at_each_level(findscu, model, keys, matches):
    said = findscu(*(key.replace("\u00a0", " ") for key in keys.split(" ")), model=model)
    assert said.pending == matches
    assert said.final == "Success"


def test_what_a_match_looks_like(findscu):
    said = findscu(
        "QueryRetrieveLevel=STUDY", "PatientName=few*", "StudyInstanceUID", "StudyDate=20260202",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy",
    )  # fmt: skip
    lines = [line.split("#")[0].strip() for line in said.text.splitlines() if line.startswith("I: (")]
    answer = lines[lines.index("I: (0008,0005) CS [ISO_IR 100]") :]  # Åsa needs one, and the simplest will do
    assert [line[3:14] for line in answer] == [
        *("(0008,0005)", "(0008,0020)", "(0008,0052)", "(0008,0054)", "(0008,0061)"),
        *("(0010,0010)", "(0020,000d)", "(0020,1206)", "(0020,1208)"),
    ]
    assert "I: (0008,0054) AE [ARCHIVE ]" in answer or "I: (0008,0054) AE [ARCHIVE]" in answer
    assert any("[3" in line for line in answer if "(0020,1206)" in line)


def test_a_cancel_ends_it(findscu):
    for _ in range(TRIALS):
        said = findscu("QueryRetrieveLevel=STUDY", "PatientName=MANY*", "StudyInstanceUID", options=("--cancel", 5))
        if said.pending < MANY:  # else all was sent before findscu said anything: it was held up
            break
    assert said.final.startswith("Cancel")
    assert 5 <= said.pending < MANY


@pytest.mark.parametrize(
    "keys",
    [
        ("QueryRetrieveLevel=SERIES", "SeriesInstanceUID"),
        ("QueryRetrieveLevel=PATIENT", "PatientID"),
        ("QueryRetrieveLevel=NONSENSE", "PatientID"),
        ("PatientName=MANY*",),
        ("QueryRetrieveLevel=STUDY", "StudyDate=tomorrow"),
    ],
)
def test_what_should_not_be_asked_is_refused(findscu, keys):
    said = findscu(*keys)
    assert said.pending == 0
    assert said.final.startswith("Error: DataSetDoesNotMatchSOPClass")


def test_optional_keys_that_are_not_supported_are_told(findscu):
    said = findscu("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={FEW}", "ProcedureCodeSequence")
    assert "Pending: WarningUnsupportedOptionalKeys" in said.text


def test_a_wild_card_flood_keeps_nobody_waiting(archive, findscu, dulcet):
    """Several queries for everything at once; an echo beside them is answered as ever."""
    address = archive.address
    everything = [
        *(executable("findscu"), "-S", "-aec", address.ae_title, "127.0.0.1", str(address.port)),
        *("-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=*", "-k", "StudyDescription=*a*u*y*"),
    ]
    running = [subprocess.Popen(everything, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
    try:
        assert dulcet("echo", str(address), "-q", "--timeout", 10).returncode == 0
    finally:
        for process in running:
            process.wait(60)
