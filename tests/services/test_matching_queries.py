"""What an identifier asks for: levels, the hierarchy, keys that are supported and those that are not (PS3.4 C.4.1)."""

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dulcet.services.querying.attributes import (
    ATTRIBUTES,
    PATIENT_STUDY_ONLY,
    extended_negotiation,
)
from dulcet.services.querying.identifiers import Identifier, encode_identifier
from dulcet.services.querying.match_encoding import MatchEncoder
from dulcet.services.querying.query import Refusal, read_retrieval, read_search
from dulcet.services.querying.query_models import PATIENT_ROOT, STUDY_ROOT, Level

LEVEL, PATIENT, STUDY, SERIES, INSTANCE = 0x00080052, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018
NAME, DATE, TIME, MODALITY = 0x00100010, 0x00080020, 0x00080030, 0x00080060


def identifier(keys, syntax=EXPLICIT_VR_LITTLE_ENDIAN, character_set=""):
    return Identifier(encode_identifier(keys, syntax, character_set), syntax)


def search(keys, model=STUDY_ROOT, relational=False, date_time=False, **options):
    return read_search(model, identifier(keys, **options), relational=relational, date_time=date_time)


def retrieval(keys, model=STUDY_ROOT, relational=False):
    return read_retrieval(model, identifier(keys), relational=relational)


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda attribute: attribute.name)
def test_the_attributes_are_those_of_the_dictionary(attribute):
    keyword = pydicom.datadict.dictionary_keyword(attribute.tag)
    assert attribute.name.replace("_", "") == keyword.lower()
    assert attribute.vr == pydicom.datadict.dictionary_VR(attribute.tag)


def test_the_required_and_unique_keys_are_there():
    """PS3.4 Tables C.6-1 to C.6-5: R and U."""
    tags = {attribute.tag for attribute in ATTRIBUTES}
    assert tags >= {NAME, PATIENT, DATE, TIME, 0x00080050, 0x00200010, STUDY, MODALITY, 0x00200011, SERIES}
    assert tags >= {0x00200013, INSTANCE, 0x00080016}


@pytest.mark.parametrize(
    ("keys", "model", "tag"),
    [
        ({}, STUDY_ROOT, LEVEL),
        ({STUDY: "1.2"}, STUDY_ROOT, LEVEL),
        ({LEVEL: "", STUDY: "1.2"}, STUDY_ROOT, LEVEL),
        ({LEVEL: "FOO"}, STUDY_ROOT, LEVEL),
        ({LEVEL: "study"}, STUDY_ROOT, LEVEL),
        ({LEVEL: "PATIENT"}, STUDY_ROOT, LEVEL),
        ({LEVEL: "SERIES", PATIENT: "P", STUDY: "1.2"}, PATIENT_STUDY_ONLY, LEVEL),
        ({LEVEL: "SERIES"}, STUDY_ROOT, STUDY),
        ({LEVEL: "SERIES", STUDY: ""}, STUDY_ROOT, STUDY),
        ({LEVEL: "SERIES", STUDY: "1.2\\1.3"}, STUDY_ROOT, STUDY),
        ({LEVEL: "IMAGE", STUDY: "1.2"}, STUDY_ROOT, SERIES),
        ({LEVEL: "STUDY"}, PATIENT_ROOT, PATIENT),
        ({LEVEL: "STUDY", PATIENT: "P*"}, PATIENT_ROOT, PATIENT),
        ({LEVEL: "STUDY", DATE: "yesterday"}, STUDY_ROOT, DATE),
        ({LEVEL: "STUDY", DATE: "20260201-20260101"}, STUDY_ROOT, DATE),
    ],
)
def test_what_the_hierarchy_forbids_is_refused_with_the_element_at_fault(keys, model, tag):
    refused = search(keys, model)
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.tag) == (0xA900, tag)
    assert refused.comment


def test_an_identifier_that_cannot_be_read():
    refused = read_search(
        STUDY_ROOT,
        Identifier(b"\x08\x00\x52\x00CS\xff\xff", EXPLICIT_VR_LITTLE_ENDIAN),
        relational=False,
        date_time=False,
    )
    assert isinstance(refused, Refusal)
    assert refused.status == 0xC000


def test_relational_queries_need_nothing_above():
    found = search({LEVEL: "IMAGE", MODALITY: "CT"}, relational=True)
    assert found.level is Level.IMAGE
    assert [attribute.name for attribute, _ in found.keys] == ["modality"]


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN])
def test_the_keys_of_a_search(syntax):
    keys = {LEVEL: "SERIES", STUDY: "1.2", SERIES: "", MODALITY: "CT", NAME: "", 0x00200011: "3", 0x00280010: "512"}
    found = search(keys, syntax=syntax)
    assert {attribute.name: key.kind.name for attribute, key in found.keys} == {
        "study_instance_uid": "SINGLE_VALUE",
        "modality": "SINGLE_VALUE",
        "series_number": "SINGLE_VALUE",
    }
    assert [one.name for one in found.returned] == [
        *("modality", "patient_name", "study_instance_uid", "series_instance_uid", "series_number")
    ]
    assert not found.is_complete  # Rows is of the level below


@pytest.mark.parametrize(
    ("tag", "is_complete"),
    [(0x00080201, True), (0x00080054, True), (0x00080056, True), (0x00091001, False), (0x00081032, False)],
)
def test_what_is_never_matched_and_what_is_not_supported(tag, is_complete):
    found = search({LEVEL: "STUDY", STUDY: "", tag: [] if tag == 0x00081032 else ""})
    assert found.is_complete is is_complete
    assert [one.name for one in found.returned] == ["study_instance_uid"]


def test_numbers_are_matched_as_numbers():
    found = search({LEVEL: "IMAGE", STUDY: "1.2", SERIES: "1.3", 0x00280010: "512"})
    matches = found.matcher()
    row = {"rows": "512", "study_instance_uid": "1.2", "series_instance_uid": "1.3"}
    assert matches([row[one.name] for one in found.attributes])
    assert not matches([{**row, "rows": "256"}[one.name] for one in found.attributes])


@pytest.mark.parametrize("date_time", [False, True])
def test_dates_and_times_are_combined_only_if_that_was_agreed(date_time):
    keys = {LEVEL: "STUDY", DATE: "20060705-20060707", TIME: "1000-1800"}
    found = search(keys, date_time=date_time)
    row = ["20060706", "0300"]
    assert [one.name for one in found.attributes] == ["study_date", "study_time"]
    assert found.matcher()(row) is date_time


@pytest.mark.parametrize(
    ("keys", "model"),
    [
        ({LEVEL: "STUDY"}, STUDY_ROOT),
        ({LEVEL: "STUDY", STUDY: ""}, STUDY_ROOT),
        ({LEVEL: "STUDY", STUDY: "*"}, STUDY_ROOT),
        ({LEVEL: "SERIES", SERIES: "1.3"}, STUDY_ROOT),
        ({LEVEL: "IMAGE", STUDY: "1.2", SERIES: "1.3"}, STUDY_ROOT),
        ({LEVEL: "PATIENT", PATIENT: "P*"}, PATIENT_ROOT),
        ({LEVEL: "PATIENT", PATIENT: "P\\Q"}, PATIENT_ROOT),
        ({LEVEL: "STUDY", STUDY: "1.2"}, PATIENT_ROOT),
    ],
)
def test_retrievals_that_name_nothing_or_too_much(keys, model):
    refused = retrieval(keys, model)
    assert isinstance(refused, Refusal)
    assert refused.status == 0xA900


@pytest.mark.parametrize(
    ("keys", "model", "relational", "named"),
    [
        ({LEVEL: "STUDY", STUDY: "1.2\\1.3"}, STUDY_ROOT, False, {"study_instance_uid": ("1.2", "1.3")}),
        ({LEVEL: "PATIENT", PATIENT: "P"}, PATIENT_ROOT, False, {"patient_id": ("P",)}),
        ({LEVEL: "IMAGE", INSTANCE: "1.4\\1.5"}, STUDY_ROOT, True, {"sop_instance_uid": ("1.4", "1.5")}),
        (
            {LEVEL: "SERIES", STUDY: "1.2", SERIES: "1.3", MODALITY: "CT"},
            STUDY_ROOT,
            False,
            {"study_instance_uid": ("1.2",), "series_instance_uid": ("1.3",)},
        ),
    ],
)
def test_what_a_retrieval_names(keys, model, relational, named):
    found = retrieval(keys, model, relational)
    assert {attribute.name: key.values for attribute, key in found.keys} == named


@pytest.mark.parametrize(
    ("sop_class", "offered", "answer"),
    [
        (STUDY_ROOT.find, b"\1", b"\1"),
        (STUDY_ROOT.find, b"\1\1\1\1\1", b"\1\1\0\0\0"),
        (STUDY_ROOT.find, b"\0\1", b"\0\1"),
        (STUDY_ROOT.find, b"\xff", b"\0"),
        (STUDY_ROOT.find, b"\1" * 9, b"\1\1\0\0\0"),
        (STUDY_ROOT.move, b"\1\1", b"\1\0"),
        (PATIENT_ROOT.get, b"\1", b"\1"),
        (STUDY_ROOT.find, b"", None),
        ("1.2.840.10008.5.1.4.1.1.2", b"\1", None),
    ],
)
def test_extended_negotiation(sop_class, offered, answer):
    """PS3.4 C.5.1.1: as many octets as were offered, for old peers know one."""
    assert extended_negotiation(sop_class, offered) == answer


# Responses ----------------------------------------------------------------------------------------------------------

ASKED = {LEVEL: "STUDY", NAME: "", STUDY: "", DATE: "", 0x00201208: "", 0x00081030: ""}


def response(row, keys=ASKED, syntax=EXPLICIT_VR_LITTLE_ENDIAN, character_set=""):
    found = search(keys, character_set=character_set)
    octets = MatchEncoder(found, syntax, "ARCHIVE").encode([row.get(one.name, "") for one in found.attributes])
    return read_dataset(DicomBytesIO(octets), syntax == IMPLICIT_VR_LITTLE_ENDIAN, True)


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN])
def test_a_response_has_what_was_asked_for_and_no_more(syntax):
    data_set = response(
        {"patient_name": "DOE^J", "study_instance_uid": "1.2.3", "study_date": "20260105"}, syntax=syntax
    )
    assert [(element.keyword, element.value) for element in data_set] == [
        ("StudyDate", "20260105"),
        ("QueryRetrieveLevel", "STUDY"),
        ("RetrieveAETitle", "ARCHIVE"),
        ("StudyDescription", ""),
        ("PatientName", "DOE^J"),
        ("StudyInstanceUID", "1.2.3"),
        ("NumberOfStudyRelatedInstances", None),
    ]


def test_availability_only_when_it_was_asked_for():
    assert "InstanceAvailability" not in response({})
    assert response({}, {**ASKED, 0x00080056: ""}).InstanceAvailability == "ONLINE"


@pytest.mark.parametrize(
    ("asked_in", "name", "answered_in"),
    [
        ("", "Doe^Jane", None),
        ("ISO_IR 192", "Doe^Jane", None),
        ("", "Müller^Åsa", "ISO_IR 100"),
        ("", "王^小東", "ISO_IR 192"),
        ("ISO_IR 192", "Müller^Åsa", "ISO_IR 192"),
        ("ISO_IR 100", "王^小東", "ISO_IR 192"),
        ("ISO_IR 144", "\u042e\u0440\u0438\u0439", "ISO_IR 144"),
        ("GB18030", "王^小東", "GB18030"),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "山田^太郎", ["ISO 2022 IR 6", "ISO 2022 IR 87"]),
    ],
)
def test_the_character_set_of_a_response(asked_in, name, answered_in):
    """The request's, if it can write the values; none where none is needed (PS3.4 C.4.1.1.3.2)."""
    data_set = response({"patient_name": name, "study_instance_uid": "1.2"}, character_set=asked_in)
    assert data_set.get("SpecificCharacterSet") == answered_in
    data_set.decode()
    assert str(data_set.PatientName) == name


def test_a_request_in_a_character_set_is_matched_with_text_in_another():
    found = search({LEVEL: "STUDY", NAME: "Müller*"}, character_set="ISO_IR 100")
    assert found.matcher()(["MÜLLER^Anna"])


def test_a_value_too_long_for_its_vr_is_cut():
    data_set = response({"study_description": "x" * 70_000})
    assert len(data_set.get_item(0x00081030).value) == 0xFFFE


def test_every_attribute_can_be_returned():
    keys = {LEVEL: "IMAGE", **{one.tag: "" for one in ATTRIBUTES}}
    found = search(keys, relational=True)
    assert found.is_complete
    assert set(found.returned) == set(ATTRIBUTES)
    row = ["7" if one.vr in ("US", "IS") else "1.2" if one.vr == "UI" else "" for one in found.attributes]
    octets = MatchEncoder(found, EXPLICIT_VR_LITTLE_ENDIAN, "A").encode(row)
    assert len(read_dataset(DicomBytesIO(octets), False, True)) == len(ATTRIBUTES) + 2
