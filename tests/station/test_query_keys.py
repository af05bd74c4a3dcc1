"""Keys as people write them: keywords, tags, paths into sequences, and documents of them."""

import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.query.keys import (
    describe_path,
    from_mapping,
    from_words,
    get,
    merge,
    parse_key,
    parse_path,
    put,
    setdefault,
    walk,
)

NAME, MODALITY, STEPS, CODES, VALUE = 0x00100010, 0x00080060, 0x00400100, 0x00400008, 0x00080100


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("PatientName=DOE*", (NAME,), "DOE*"),
        ("PatientName", (NAME,), ""),
        ("PatientName=", (NAME,), ""),
        ("PatientName=A=B", (NAME,), "A=B"),
        (" PatientName =DOE", (NAME,), "DOE"),
        ("0008,0060=CT", (MODALITY,), "CT"),
        ("(0008,0060)=CT", (MODALITY,), "CT"),
        ("00080060=CT", (MODALITY,), "CT"),
        ("0009,1001=x", (0x00091001,), "x"),
        ("ScheduledProcedureStepSequence.Modality=CT", (STEPS, MODALITY), "CT"),
        ("0040,0100.0008,0060=CT", (STEPS, MODALITY), "CT"),
        ("ScheduledProcedureStepSequence[0].Modality=CT", (STEPS, MODALITY), "CT"),
        ("(0040,0100)[0].Modality=CT", (STEPS, MODALITY), "CT"),
        ("ScheduledProcedureStepSequence[].ScheduledProtocolCodeSequence.CodeValue=1", (STEPS, CODES, VALUE), "1"),
    ],
)
def test_a_key(text, path, value):
    assert parse_key(text) == (path, value)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("PatientNam", "'PatientNam' is no attribute: .*; did you mean 'PatientName'"),
        ("patientname=X", "did you mean 'PatientName'"),
        ("", "'' is no attribute"),
        ("=CT", "'' is no attribute"),
        ("Modality.PatientName=X", "Modality is no sequence, so nothing is in it"),
        ("ScheduledProcedureStepSequence.=X", "'' is no attribute"),
        ("ScheduledProcedureStepSequence[1].Modality=X", "is no attribute"),
        ("0002,0010=X", "can't stand in a query"),
        ("0000,0002=X", "can't stand in a query"),
        ("FFFE,E000", "can't stand in a query"),
        ("0008,0000", "can't stand in a query"),
        ("\x1b[31m", r"'\\+x1b\[31m' is no attribute"),
    ],
)
def test_what_is_no_key(text, explanation):
    with pytest.raises(ConfigurationError, match=explanation):
        parse_key(text)


def test_keys_into_one_sequence_share_its_item():
    keys = from_words(["ScheduledProcedureStepSequence.Modality=CT", "PatientName", "0040,0100.0040,0001=AE"])
    assert keys == {STEPS: [{MODALITY: "CT", 0x00400001: "AE"}], NAME: ""}


def test_the_later_of_two_holds():
    assert from_words(["PatientName=A", "PatientName=B"]) == {NAME: "B"}


def test_an_empty_sequence_is_asked_for_and_then_filled():
    keys = from_words(["ScheduledProcedureStepSequence"])
    assert keys == {STEPS: []}
    put(keys, (STEPS, MODALITY), "CT")
    put(keys, (STEPS,), "")
    assert keys == {STEPS: [{MODALITY: "CT"}]}


def test_a_sequence_has_no_value():
    with pytest.raises(ConfigurationError, match="is a sequence: name a key in it, like"):
        from_words(["ScheduledProcedureStepSequence=CT"])


def test_what_is_there_stays_and_what_is_not_is_added():
    keys = from_words(["PatientName=A"])
    for path in ((NAME,), (STEPS, MODALITY), (MODALITY,)):
        setdefault(keys, path)
    assert keys == {NAME: "A", STEPS: [{MODALITY: ""}], MODALITY: ""}
    assert get(keys, (STEPS, MODALITY)) == ""
    assert get(keys, (NAME, MODALITY)) is None
    assert get(keys, (CODES, MODALITY)) is None


def test_two_queries_in_one():
    keys = from_words(["PatientName=A", "ScheduledProcedureStepSequence.Modality=CT"])
    merge(keys, from_words(["PatientName=B", "ScheduledProcedureStepSequence.0040,0001=AE"]))
    assert keys == {NAME: "B", STEPS: [{MODALITY: "CT", 0x00400001: "AE"}]}


def test_every_key_with_its_path():
    keys = {NAME: "A", STEPS: [{MODALITY: "CT", CODES: []}], MODALITY: "", CODES: [{}]}
    assert list(walk(keys)) == [
        ((MODALITY,), ""),
        ((NAME,), "A"),
        ((CODES,), ""),
        ((STEPS, MODALITY), "CT"),
        ((STEPS, CODES), ""),
    ]
    assert describe_path((STEPS, MODALITY)) == "ScheduledProcedureStepSequence.Modality"
    assert parse_path("ScheduledProcedureStepSequence.Modality") == (STEPS, MODALITY)


def test_a_document_of_keys():
    assert from_mapping(
        {
            "PatientName": "DOE*",
            "0028,0010": 512,
            "StudyInstanceUID": ["1.2", "1.3"],
            "ScheduledProcedureStepSequence": {"Modality": "CT", "ScheduledProtocolCodeSequence": [{"CodeValue": "1"}]},
            "RequestedProcedureCodeSequence": {},
            "AccessionNumber": None,
            "ReferencedStudySequence": [],
        }
    ) == {
        NAME: "DOE*",
        0x00280010: "512",
        0x0020000D: "1.2\\1.3",
        STEPS: [{MODALITY: "CT", CODES: [{VALUE: "1"}]}],
        0x00321064: [],
        0x00080050: "",
        0x00081110: [],
    }


@pytest.mark.parametrize("value", [True, [{"a": 1}, {"b": 2}], [[1]], [True]])
def test_a_document_of_something_else(value):
    with pytest.raises(ConfigurationError, match="a text or a number is expected"):
        from_mapping({"PatientName": value})
