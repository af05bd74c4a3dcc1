"""`dulcet decode`: what it takes, what it prints, how it ends."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from dulcet.commands import decode as command
from dulcet.conformance.captures.ladder import Line, Style

CAPTURES = Path(__file__).parents[1] / "captures"
ECHO = CAPTURES / "echo__dcmtk-echoscu__orthanc.pcap"
TLS = CAPTURES / "tls__pynetdicom__dcmjs-dimse.pcap"
ABORT = "07 00 00 00 00 04 00 00 02 01"
XXD = "00000000: 0700 0000 0004 0000 0201                 ..........\n"


def test_a_capture_as_json_is_one_document(dulcet):
    answer = dulcet("decode", "--json", ECHO)
    assert (answer.code, answer.errors) == (0, "")
    document = json.loads(answer.output)
    expected = json.loads(ECHO.with_suffix(".json").read_text())
    assert document["sha256"] == expected["sha256"]
    (stream,), (said,) = document["streams"], expected["streams"]
    assert [pdu["sha256"] for pdu in stream["pdus"]] == [pdu["sha256"] for pdu in said["pdus"]]
    assert stream["pdus"][0]["events"] == [
        {"side": "requestor", "event": "Evt2", "state": "Sta4", "action": "AE-2", "new_state": "Sta5"},
        {"side": "acceptor", "event": "Evt6", "state": "Sta2", "action": "AE-6", "new_state": "Sta3"},
    ]
    assert stream["pdus"][0]["deviations"] == []


def test_a_capture_for_people(dulcet):
    answer = dulcet("decode", ECHO)
    assert (answer.code, answer.errors) == (0, "")
    assert answer.output.startswith("echo__dcmtk-echoscu__orthanc.pcap: pcap, 20 packets, 1 TCP connection\n")
    assert "Evt2   AE-2  Sta5  --- A-ASSOCIATE-RQ ------>  Evt6   AE-6  Sta3" in answer.output
    assert "\x1b" not in answer.output, "no colour where nobody sees it"


@pytest.mark.parametrize("words", [(ABORT,), tuple(ABORT.split()), ("07000000000400000201",), ("0x07,", ABORT[3:])])
def test_hexadecimal_on_the_command_line(dulcet, words):
    answer = dulcet("decode", *words)
    assert answer.code == 0
    assert "A-ABORT, 10 octets; it arrives as Evt16 (A-ABORT PDU received)" in answer.output
    assert "aborted by the DICOM UL service-provider, unrecognized-PDU" in answer.output
    assert "source  2 (DICOM UL service-provider)" in answer.output


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("abort.hex", ABORT.encode() + b"  # an A-ABORT\n"),
        ("abort.txt", XXD.encode()),
        ("abort.bin", bytes.fromhex(ABORT)),
        ("0700", bytes.fromhex(ABORT)),
    ],
)
def test_a_file_of_pdus(dulcet, tmp_path, monkeypatch, name, octets):
    (tmp_path / name).write_bytes(octets)
    monkeypatch.chdir(tmp_path)
    answer = dulcet("decode", name)
    assert answer.code == 0
    assert answer.output.startswith(f"{name}: 10 octets, 1 PDU\n")
    document = json.loads(dulcet("decode", "--json", name).output)
    (pdu,) = document["streams"][0]["pdus"]
    assert (pdu["name"], pdu["source"], pdu["reason"], pdu["dir"]) == ("A-ABORT", 2, 1, None)


@pytest.mark.parametrize("octets", [ECHO.read_bytes(), bytes.fromhex(ABORT), ABORT.encode(), XXD.encode()])
def test_standard_input(dulcet, monkeypatch, octets):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets)))
    answer = dulcet("decode", "-")
    assert answer.code == 0
    assert answer.output.startswith("standard input: ")


def test_the_key_log_beside_the_capture_is_found(dulcet, tmp_path):
    assert "TLS, decrypted" in dulcet("decode", TLS).output
    copy = tmp_path / "x.pcap"
    copy.write_bytes(TLS.read_bytes())
    assert "TLS, not decrypted: there is no key log" in dulcet("decode", copy).output
    (tmp_path / "x.pcap.keylog").write_bytes(TLS.with_suffix(".keylog").read_bytes())
    assert "TLS, decrypted" in dulcet("decode", copy).output


def test_the_key_log_that_is_named(dulcet, tmp_path):
    copy = tmp_path / "x.pcap"
    copy.write_bytes(TLS.read_bytes())
    answer = dulcet("decode", "--json", copy, "--keylog", TLS.with_suffix(".keylog"))
    assert json.loads(answer.output)["streams"][0]["pdu_sequence"][0] == "C>S A-ASSOCIATE-RQ"
    answer = dulcet("decode", copy, "--keylog", tmp_path / "none")
    assert (answer.code, answer.output) == (66, "")
    assert "none: No such file or directory" in answer.errors


def test_without_the_ciphers_it_says_what_to_install(dulcet, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    sentence = "decrypting TLS needs the package cryptography: pip install dulcet[tls-decode]"
    answer = dulcet("decode", TLS, "--keylog", TLS.with_suffix(".keylog"))
    assert (answer.code, answer.output, answer.errors) == (78, "", f"dulcet: {sentence}\n")
    answer = dulcet("decode", TLS)
    assert answer.code == 0
    assert f"TLS, not decrypted: {sentence}" in answer.output


def test_selections(dulcet):
    move = CAPTURES / "move__pynetdicom__orthanc.pcap"
    document = json.loads(dulcet("decode", "--json", move, "--stream", "1-2", "--pdus", "0,2").output)
    assert [stream["tcp_stream"] for stream in document["streams"]] == [1, 2]
    assert [[pdu["n"] for pdu in stream["pdus"]] for stream in document["streams"]] == [[0, 2], [0, 2]]
    output = dulcet("decode", move, "--stream", "2", "--pdus", "5-6").output
    assert [line.split()[0] for line in output.splitlines() if "Sta" in line] == ["5", "6"]
    assert "Stream 2" in output
    assert "Stream 1" not in output


def test_fields_and_octets_are_shown_when_asked_for(dulcet):
    output = dulcet("decode", ECHO, "--pdus", "0", "-v").output
    assert "11-26  called_ae_title  'SHR_ORTHANC     '" in output
    assert "106    reserved  ff" in output, "not as the standard says it is sent"
    assert "43-74  reserved" not in output
    output = dulcet("decode", ECHO, "--pdus", "0", "-vv").output
    assert "43-74  reserved  32 octets of zero" in output
    output = dulcet("decode", ECHO, "--pdus", "0", "--hexdump").output
    assert "000000  01 00 00 00 00 cd 00 01" in output


@pytest.mark.parametrize(
    ("is_terminal", "environment", "expected"),
    [
        (True, {"TERM": "xterm"}, "\x1b[31mwrong\x1b[0m\nplain\n"),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, "wrong\nplain\n"),
        (True, {"TERM": "dumb"}, "wrong\nplain\n"),
        (False, {"TERM": "xterm"}, "wrong\nplain\n"),
    ],
)
def test_a_terminal_gets_colours_unless_it_is_told_not_to(monkeypatch, is_terminal, environment, expected):
    output = io.StringIO()
    output.isatty = lambda: is_terminal
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command.print_lines([Line("wrong", Style.ERROR), Line("plain")], output)
    assert output.getvalue() == expected


@pytest.mark.parametrize(
    ("octets", "code", "message"),
    [
        (b"", 65, "it is empty"),
        (b"hello world", 65, "line 1 is no hexadecimal: 'hello world'"),
        (b"\xff\xfe\x00", 65, "it is neither a capture, nor PDUs, nor hexadecimal"),
        (bytes(128) + b"DICM", 65, "it is a DICOM file, not a capture"),
        (b"\x1f\x8b\x08\x00", 65, "it is compressed with gzip: decompress it first"),
        (b"\xd4\xc3\xb2\xa1\x02", 65, "the file ends within its header"),
        (ECHO.read_bytes()[:-3], 65, "promises 66 octets, the file has 63"),
        (ECHO.read_bytes()[:20] + b"\x7f\0\0\0" + ECHO.read_bytes()[24:], 65, "link type 127 is not supported"),
        (b"09 00 00 00 00 00", 65, "it holds no whole PDU"),
        (b"07 00 00 00 00 04", 65, "it holds no whole PDU"),
        (b"04 00 00 00 00 06 00 00 00 09 01 03", 76, ""),
        (bytes.fromhex(ABORT) + b"\7\0", 76, ""),
    ],
)
def test_what_is_wrong_ends_with_a_sentence_and_a_code(dulcet, tmp_path, octets, code, message):
    path = tmp_path / "x"
    path.write_bytes(octets)
    for options in ((), ("--json",)):
        answer = dulcet("decode", *options, path)
        assert answer.code == code
        assert message in answer.errors
        assert "Traceback" not in answer.errors
        if options and answer.output:
            json.loads(answer.output)


def test_a_damaged_capture_shows_what_is_there(dulcet, tmp_path):
    path = tmp_path / "cut.pcap"
    path.write_bytes(ECHO.read_bytes()[:-3])
    answer = dulcet("decode", path)
    assert answer.code == 65
    assert answer.errors == "dulcet: cut.pcap: packet 20 promises 66 octets, the file has 63\n"
    assert "A-RELEASE-RP" in answer.output


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("missing.pcap",), 66, "missing.pcap: No such file or directory"),
        (("\x1b[2J.pcap",), 66, "\\x1b[2J.pcap: No such file"),
        ((os.sep,), 66, "Is a directory"),
        (("a.pcap", "b.pcap"), 2, "one SOURCE at a time"),
        ((), 2, "Missing argument"),
        ((ECHO, "--stream", "x"), 2, "'x' is no list of numbers such as 0-5,9"),
        ((ECHO, "--pdus", "1-"), 2, "is no list of numbers"),
        ((ECHO, "--pdus", "1-2-3"), 2, "is no list of numbers"),
        ((ECHO, "--pdus", "-1"), 2, "is no list of numbers"),
        ((ECHO, "--pdus", "99999999999"), 2, "is too large"),
        ((ECHO, "--pdus", "99"), 2, "there is no such PDU: there are 6, counted from 0"),
        ((ECHO, "--stream", "7"), 2, "there is no such stream: the capture has 1, counted from 0"),
        ((ABORT + " 0",), 65, "line 1 is no hexadecimal"),
        (("00" * 400,), 65, "it holds no whole PDU"),
    ],
)
def test_command_lines_that_can_not_be_followed(dulcet, words, code, message):
    answer = dulcet("decode", *words)
    assert answer.code == code
    assert message in answer.errors


def test_help_says_what_a_source_is(dulcet):
    answer = dulcet("decode", "--help")
    assert answer.code == 0
    assert "dulcet decode 07 00 00 00 00 04 00 00 02 01" in answer.output


IP = "45 00 00 3e 1c 46 40 00 40 06 20 71 7f 00 00 01 7f 00 00 01 c3 50 2b 67 00 00 00 01 00 00 00 01 50 18 02 00 fe 32"
IP6 = "60 00 00 00 00 1e 06 40" + " 00" * 32 + " c3 50 2b 67"


@pytest.mark.parametrize(
    "headers",
    ["02 42 ac 11 00 02 02 42 ac 11 00 03 08 00 " + IP, "00 " * 12 + "86 dd " + IP6, IP, IP6],
)
def test_the_dump_of_a_frame_is_told_what_it_is(dulcet, headers):
    answer = dulcet("decode", f"{headers} 00 00 {ABORT}")
    assert answer.code == 65
    assert "the dump of a whole frame, with the headers of IP and TCP: `tshark -z follow,tcp,hex" in answer.errors
