"""`dulcet explain`: every code of the standard has its meaning and its clause, and advice where there is any."""

import json

import pytest
from click.testing import CliRunner

from dulcet.commands.explain import explain
from dulcet.dimse.status import GENERAL, SERVICES, find
from dulcet.dimse.uids import OTHER_SOP_CLASSES, STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dulcet.station.causes import ABORT_CAUSES, REJECTION_CAUSES, STATUS_CAUSES
from dulcet.station.explaining import explain_word
from dulcet.ul.reasons import ABORT_REASONS, REJECT_REASONS, explain_rejection
from dulcet.ul.table import ACTIONS, Event, State


def run(*words):
    return CliRunner().invoke(explain, list(words), standalone_mode=False)


def only(word, service=""):
    (found,) = explain_word(word, service)
    return found


@pytest.mark.parametrize(
    ("word", "service", "meaning", "clause"),
    [
        ("0xA801", "C-MOVE", "Refused: Move Destination unknown", "PS3.4 C.4.2.1.5"),
        ("A801H", "C-MOVE", "Refused: Move Destination unknown", "PS3.4 C.4.2.1.5"),
        ("0xa7ff", "C-STORE", "Refused: Out of resources", "PS3.4 B.2.3"),
        ("0122", "", "Refused: SOP Class not supported", find(0x0122).clause),
        ("1/2/2", "", explain_rejection(1, 2, 2), "PS3.8 Table 9-21"),
        ("2/2", "", "aborted by the DICOM UL service-provider, unexpected-PDU", "PS3.8 Table 9-26"),
        ("result 4", "", "transfer-syntaxes-not-supported (provider rejection)", "PS3.8 Table 9-18"),
        ("1.2.840.10008.1.2", "", "Implicit VR Little Endian", "PS3.6 Annex A"),
        ("1.2.840.10008.15.0.3.1", "", "dicomDeviceName", "PS3.6 Annex A"),
        ("(0008,0018)", "", "SOP Instance UID", "PS3.6 Table 6-1"),
        ("PatientName", "", "Patient's Name", "PS3.6 Table 6-1"),
        ("0000,0110", "", "MessageID", "PS3.7 Annex E"),
        ("0009,1001", "", "a private element: its meaning is its creator's, named in (gggg,0010-00FF)", "PS3.5 7.8"),
        ("sta6", "", "Association established, ready for data transfer", "PS3.8 9.2.1"),
        ("Evt19", "", "Unrecognized or invalid PDU received", "PS3.8 Table 9-10"),
        ("ae-6", "", "stop ARTIM; issue the indication or confirmation of the PDU", "PS3.8 Table 9-6"),
    ],
)  # fmt: skip
def test_a_word_has_its_meaning_and_its_clause(word, service, meaning, clause):
    found = only(word, service)
    assert (found.meaning, found.clause) == (meaning, clause)


def test_every_status_of_every_service_is_explained():
    rows = [(row, service) for service, own in SERVICES.items() for row in own] + [(row, "N-GET") for row in GENERAL]
    for row, service in rows:
        for status in (row.first, row.last):
            found = [one for one in explain_word(f"0x{status:04X}", service) if one.meaning == row.meaning]
            assert found, (row, service)


def test_every_rejection_and_abort_has_a_cause_and_advice():
    assert set(REJECTION_CAUSES) == set(REJECT_REASONS)
    for source, reason in REJECT_REASONS:
        found = only(f"1/{source}/{reason}")
        assert found.cause
        assert found.advice
    assert {reason for source, reason in ABORT_CAUSES if source == 2} == set(ABORT_REASONS) - {3}
    assert only("0/5").cause == only("0/0").cause


def test_a_combination_that_the_standard_does_not_define_is_the_peers_fault():
    assert any("does not define" in line for line in only("1/2/7").details)


def test_every_cause_belongs_to_a_status_that_exists():
    for status, service in STATUS_CAUSES:
        assert any(one.cause for one in explain_word(f"0x{status:04X}", service)), (status, service)


def test_every_uid_of_our_tables_is_named():
    for uid in (*TRANSFER_SYNTAXES, *STORAGE_SOP_CLASSES, *OTHER_SOP_CLASSES):
        assert only(uid).subject == f"UID {uid}"


def test_every_state_event_and_action_is_explained():
    words = [*map(str, State), *map(str, Event), *ACTIONS]
    assert len(words) == 13 + 19 + 28
    assert all(explain_word(word) for word in words)


def test_a_status_that_several_services_define_is_explained_for_each():
    assert {one.subject for one in explain_word("A700")} == {"status A700H of C-STORE", "status A700H of C-FIND"}


def test_a_pdu_is_decoded():
    ran = run("07 00 00 00 00 04 00 00 02 01")
    assert ran.return_value == 0
    assert "unrecognized-PDU" in ran.output


def test_a_rejection_in_octets_has_what_its_codes_have():
    ran = run("03 00 00 00 00 04 00 01 01 07")
    assert ran.return_value == 0
    for line in run("1/1/7").output.splitlines():
        assert line in ran.output
    assert "arrives as Evt4" in ran.output


def test_a_pdu_may_stand_among_other_words():
    ran = run("0xA801", "07 00 00 00 00 04 00 00 02 01", "05:00:00:00:00:04:00:00:00:00")
    assert ran.return_value == 0
    assert "Move Destination unknown" in ran.output
    assert "PS3.8 Table 9-26" in ran.output
    assert "A-RELEASE-RQ, 10 octets" in ran.output


def test_a_pdu_that_can_not_be_decoded_has_its_exit_code():
    assert run("03 00 00 00 00 05 00 01 01 07 00").return_value == 76


def test_json_of_a_pdu_is_a_line_as_for_every_other_word():
    ran = run("--json", "03 00 00 00 00 04 00 01 01 07", "0xA801", "050000000004 00000000")
    lines = [json.loads(line) for line in ran.output.splitlines()]
    assert [line["event"] for line in lines] == ["explanation"] * len(lines)
    assert (lines[0]["clause"], lines[0]["word"]) == ("PS3.8 Table 9-21", "03 00 00 00 00 04 00 01 01 07")
    assert lines[0]["advice"]
    assert lines[-1]["meaning"] == "A-RELEASE-RQ PDU"


@pytest.mark.parametrize("word", ["00080018", "sopinstanceuid", "SOPINSTANCEUID", "0008,0018"])
def test_a_tag_and_a_keyword_as_people_write_them(word):
    assert only(word).meaning == "SOP Instance UID"


def test_json():
    ran = run("--json", "0xA801")
    line = json.loads(ran.output)
    assert line["meaning"] == "Refused: Move Destination unknown"
    assert line["advice"]


@pytest.mark.parametrize("word", ["nonsense!", "", "99/99/99", "Sta14", "Evt0", "AE-99", "1.2"])
def test_what_is_none_of_these_is_wrong_use(word):
    ran = CliRunner().invoke(explain, [word])
    assert ran.exit_code == 2
    assert "is no status, rejection" in ran.output


def test_what_a_user_typed_is_quoted():
    ran = CliRunner().invoke(explain, ["\x1b[31mred"])
    assert "\x1b" not in ran.output
