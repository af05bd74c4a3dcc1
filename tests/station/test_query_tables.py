"""Matches as people and programs get them: a table, CSV, the DICOM JSON model, DICOM files, hints."""

import csv
import io
import json

import pydicom
import pytest

from dulcet.errors import ConfigurationError, DecodeError
from dulcet.escape import legible
from dulcet.services.find import Match
from dulcet.services.querying.identifiers import encode_identifier
from dulcet.services.querying.query_models import STUDY_ROOT, WORKLIST, Level
from dulcet.station.query.events import FindMatch
from dulcet.station.query.hints import hints
from dulcet.station.query.json_model import json_model
from dulcet.station.query.keys import from_words
from dulcet.station.query.output import CSVOutput, DICOMFileOutput, EventOutput, TableOutput
from dulcet.station.query.plan import Asked, plan
from dulcet.station.query.tables import CSVWriter, TableWriter, columns_of, value_at

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
NAME, DATE, TIME, MODALITIES, STUDY, COUNT, STEPS, MODALITY = (
    0x00100010,
    0x00080020,
    0x00080030,
    0x00080061,
    0x0020000D,
    0x00201208,
    0x00400100,
    0x00080060,
)
UID = "1.2.826.0.1.3680043.9.7.1"


def match(keys, syntax=EXPLICIT, terms="", status=0xFF00):
    return Match(encode_identifier(keys, syntax, terms), syntax, "", status)


def broken():
    return Match(b"\x10\0\x10\0PN\x09\0AB", EXPLICIT, "", 0xFF00)


FULL = {
    NAME: "DOE^JOHN",
    DATE: "20260131",
    TIME: "093015.123",
    MODALITIES: "CT\\SR",
    COUNT: "300",
    STUDY: UID,
}


def table(paths, *matches, **options):
    output = io.StringIO()
    writer = TableWriter(output, paths, **{"width": None, **options})
    for each in matches:
        writer.write(each)
    return output.getvalue()


PATHS = ((DATE,), (TIME,), (MODALITIES,), (NAME,), (COUNT,), (STUDY,))


def test_a_line_for_each_match_under_one_head():
    text = table(PATHS, match(FULL), match({**FULL, NAME: "ROE^JANE"}))
    head, first, second = text.splitlines()
    assert head.split() == ["Date", "Time", "Modality", "Patient", "Images", "StudyInstanceUID"]
    assert first.split() == ["2026-01-31", "09:30:15", "CT,", "SR", "DOE^JOHN", "300", UID]
    assert second.index("ROE^JANE") == first.index("DOE^JOHN") == head.index("Patient")
    assert first.index("300") + 3 == head.index("Images") + 6  # numbers stand to the right


def test_no_match_no_head():
    assert table(PATHS) == ""


def test_each_line_is_out_at_once():
    class Watched(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    output = Watched()
    writer = TableWriter(output, PATHS, width=None)
    for number in range(1, 4):
        writer.write(match(FULL))
        assert output.flushed == number


def test_cells_are_cut_and_uids_are_not():
    long = {**FULL, NAME: "A" * 60, STUDY: "1." * 31 + "1"}
    assert "A" * 23 + "…  " in table(PATHS, match(long), width=100)
    assert "1." * 31 + "1" in table(PATHS, match(long), width=100)
    assert "A" * 23 + "…  " in table(PATHS, match(long))  # of a pipe, too: --csv has the whole
    assert "A" * 60 in table(PATHS, match(long), width=20)


def test_colour_only_where_it_is_asked_for():
    assert table(PATHS, match(FULL), colour=True).startswith("\x1b[1mDate")
    assert "\x1b" not in table(PATHS, match(FULL))


def test_names_in_any_script_keep_their_columns():
    text = table(((NAME,), (COUNT,)), match({NAME: "山田^太郎", COUNT: "1"}), match({NAME: "DOE", COUNT: "2"}))
    _, japanese, latin = text.splitlines()
    assert columns_of(japanese) == columns_of(latin)
    assert columns_of("e\u0301山") == 3


def test_a_wide_character_is_not_cut_in_two():
    text = table(((NAME,), (COUNT,)), match({NAME: "山" * 40, COUNT: "1"}), width=100)
    assert columns_of(text.splitlines()[1]) == columns_of(text.splitlines()[0])
    assert "山" * 11 + "…" in text


def test_the_last_column_is_whole():
    assert table(((COUNT,), (NAME,)), match({NAME: "A" * 60, COUNT: "1"}), width=100).endswith("A" * 60 + "\n")


HOSTILE = "\x1b[31mDOE\u202e\r\n\x00\x07\\"


@pytest.mark.parametrize("width", [None, 120])
def test_nothing_of_a_peer_reaches_the_terminal_as_a_control(width):
    text = table(((NAME,),), match({NAME: HOSTILE}), width=width)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.count("\n") == 2


def test_a_value_of_a_megabyte_is_a_line():
    assert len(table(((NAME,),), Match(b"\x10\0\x10\0UT\0\0\x40\x42\x0f\0" + b"A" * 1_000_000, EXPLICIT, "", 0))) < 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DOE", "DOE"),
        ("Müller 山田\u3000太郎 שרון", "Müller 山田\u3000太郎 שרון"),
        ("a\x1bb", r"a\x1bb"),
        ("\u202edoe", r"\u202edoe"),
        ("\ue000\U000e0041\ud800", r"\ue000\U000e0041\ud800"),
        ("a\\b\n", r"a\x5cb\x0a"),
        ("x" * 70, "x" * 61 + "..."),
    ],
)
def test_legible(text, expected):
    assert legible(text) == expected


def test_values_that_are_no_dates_and_times_stay_what_they_are():
    text = table(((DATE,), (TIME,)), match({DATE: "2026", TIME: "noon"}))
    assert text.splitlines()[1].split() == ["2026", "noon"]


def test_a_class_has_a_name_and_uids_stand_below_each_other():
    paths = ((0x00080016,), (STUDY,), (0x00080018,))
    text = table(
        paths,
        match({0x00080016: "1.2.840.10008.5.1.4.1.1.2", STUDY: "1.2.3", 0x00080018: "1.2.4"}),
        match({0x00080016: "1.2.3.4", STUDY: "1.2.3", 0x00080018: "1.2.4"}),
    )
    head, first, second = text.splitlines()
    assert head.split() == ["Class", "StudyInstanceUID", "SOPInstanceUID"]
    assert (first.split()[:2], second.split()[0]) == (["CT", "Image"], "1.2.3.4")
    assert first.index("1.2.4") == second.index("1.2.4") == head.index("SOPInstanceUID")


def test_a_value_in_a_sequence():
    there = match({STEPS: [{MODALITY: "CT"}, {MODALITY: "MR"}]})
    assert value_at(there, (STEPS, MODALITY)) == "CT"
    assert value_at(there, (STEPS, NAME)) == ""
    assert value_at(match({STEPS: []}), (STEPS, MODALITY)) == ""
    assert value_at(match({}), (STEPS, MODALITY)) == ""


# CSV ----------------------------------------------------------------------------------------------------------------


def test_csv():
    output = io.StringIO()
    writer = CSVWriter(output, ((NAME,), (MODALITIES,), (STEPS, MODALITY)))
    writer.write(match({**FULL, NAME: 'DOE, "J"', STEPS: [{MODALITY: "CT"}]}))
    assert list(csv.reader(io.StringIO(output.getvalue()))) == [
        ["PatientName", "ModalitiesInStudy", "ScheduledProcedureStepSequence.Modality"],
        ['DOE, "J"', "CT\\SR", "CT"],
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_nothing_that_a_spreadsheet_would_run(name):
    output = io.StringIO()
    CSVWriter(output, ((NAME,),)).write(match({NAME: name}))
    assert output.getvalue() == f"PatientName\n'{name}\n"


def test_the_head_is_there_without_matches():
    output = io.StringIO()
    CSVOutput(output, plan(Asked(keys=from_words(["PatientName"]), is_bare=True), STUDY_ROOT)).close()
    assert output.getvalue() == "PatientName\n"


# JSON ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_model_is_what_pydicom_makes_of_it(syntax):
    keys = {
        **FULL,
        NAME: "Yamada^Tarou=山田^太郎=やまだ^たろう",
        STEPS: [{MODALITY: "CT"}],
        0x00280010: "512\\4",
        0x00280009: "00181063",
        0x00080090: "",
        0x00101020: "1.75",
    }
    identifier = match(keys, syntax, "\\ISO 2022 IR 87")
    expected = identifier.data_set.to_json_dict()
    del expected["00080005"]
    assert json_model(identifier) == expected


@pytest.mark.parametrize(
    ("vr", "octets", "expected"),
    [
        (b"IS", b"12 ", {"Value": [12]}),
        (b"IS", b"1e2\\+5\\-3 ", {"Value": ["1e2", 5, -3]}),
        (b"DS", b"1.5\\1e2\\x ", {"Value": [1.5, 100.0, "x"]}),
        (b"DS", b"inf ", {"Value": ["inf"]}),
        (b"CS", b"CT\\\\MR ", {"Value": ["CT", None, "MR"]}),
        (b"PN", b"=\xe5=P", {"Value": [{"Ideographic": "å", "Phonetic": "P"}]}),
        (b"FD", b"\0\0\0\0\0\0\xf8\x7f", {"Value": ["NaN"]}),
        (b"FL", b"\0\0\x80\x7f\0\0\x80\xff", {"Value": ["inf", "-inf"]}),
        (b"US", b"\1\0\2", {"Value": [1]}),
        (b"US", b"", {}),
        (b"LT", b"a\\b ", {"Value": ["a\\b"]}),
    ],
)
def test_values_and_what_is_none(vr, octets, expected):
    identifier = Match(b"\x10\0\x10\0" + vr + bytes([len(octets), 0]) + octets, EXPLICIT, "", 0xFF00)
    assert json_model(identifier) == {"00100010": {"vr": vr.decode(), **expected}}
    json.dumps(json_model(identifier), allow_nan=False)


def test_an_empty_sequence_has_no_value():
    assert json_model(match({STEPS: []})) == {"00400100": {"vr": "SQ"}}  # PS3.18 F.2.5


def test_octets_are_base_64():
    identifier = Match(b"\x09\0\x01\x10UN\0\0\x03\0\0\0\1\2\3", EXPLICIT, "", 0xFF00)
    assert json_model(identifier) == {"00091001": {"vr": "UN", "InlineBinary": "AQID"}}


def test_events():
    events = []
    output = EventOutput(events.append, "PACS")
    output.write(match({NAME: "A"}, status=0xFF01), 1)
    with pytest.raises(DecodeError):
        output.write(broken(), 2)
    output.close()
    first, second = events
    assert isinstance(first, FindMatch)
    assert (first.number, first.status, first.identifier["00100010"]["Value"]) == (1, "FF01H", [{"Alphabetic": "A"}])
    assert (second.identifier, second.unreadable) == (None, "PS3.5 7: (0010,0010): 9 octets promised, 2 present")


# Files --------------------------------------------------------------------------------------------------------------


def test_a_file_for_each_match(tmp_path):
    output = DICOMFileOutput(tmp_path / "a" / "b", plan(Asked(), STUDY_ROOT))
    for number, syntax in enumerate((EXPLICIT, IMPLICIT), 1):
        output.write(match({NAME: f"N{number}", STUDY: UID}, syntax), number)
    output.write(broken(), 3)  # it is not looked into
    output.close()
    paths = sorted((tmp_path / "a" / "b").iterdir())
    assert [path.name for path in paths] == ["match-000001.dcm", "match-000002.dcm", "match-000003.dcm"]
    files = [pydicom.dcmread(path) for path in paths[:2]]
    assert [str(file.PatientName) for file in files] == ["N1", "N2"]
    assert [file.file_meta.TransferSyntaxUID for file in files] == [EXPLICIT, IMPLICIT]
    assert files[0].file_meta.MediaStorageSOPClassUID == STUDY_ROOT.find
    assert files[0].file_meta.MediaStorageSOPInstanceUID != files[1].file_meta.MediaStorageSOPInstanceUID


def test_nothing_is_overwritten(tmp_path):
    query = plan(Asked(), STUDY_ROOT)
    DICOMFileOutput(tmp_path, query).write(match({}), 1)
    before = (tmp_path / "match-000001.dcm").read_bytes()
    with pytest.raises(ConfigurationError, match="is there already: name another directory"):
        DICOMFileOutput(tmp_path, query).write(match({NAME: "B"}), 1)
    assert (tmp_path / "match-000001.dcm").read_bytes() == before


def test_a_directory_that_can_not_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--dcm"):
        DICOMFileOutput(tmp_path / "file", plan(Asked(), STUDY_ROOT))


def test_a_table_in_a_pipe_is_plain(monkeypatch):
    output = io.StringIO()
    query = plan(Asked(), STUDY_ROOT)
    written = TableOutput(output, query)
    written.write(match(FULL), 1)
    written.close()
    assert "\x1b" not in output.getvalue()


# Hints --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(patient="doe"), ["PatientName was matched as a whole: 'doe*' finds what begins so.", "'DOE'"]),
        (Asked(patient="DOE*", dates="20260101"), ["Without StudyDate there may be some.", "leave some away"]),
        (Asked(patient="山田*"), ["--charset says another one"]),
        (Asked(), ["the peer has none, or hides them from our AE title"]),
        (Asked(level=None), ["A worklist holds what is scheduled"]),
    ],
)
def test_what_to_try_when_nothing_matched(asked, expected):
    said = hints(plan(asked, WORKLIST if asked.level is None else STUDY_ROOT))
    assert len(said) <= 4
    for sentence in expected:
        assert any(sentence in line for line in said), said


def test_a_study_uid_alone_gives_no_hint():
    assert hints(plan(Asked(level=Level.STUDY, study=("1.2",)), STUDY_ROOT)) == []
