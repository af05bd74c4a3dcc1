"""What people see: the ladder, the fields with their octets, the hexdump under what is wrong."""

from pathlib import Path

import pytest

from dulcet.conformance.captures.build import read_octets
from dulcet.conformance.captures.fields import fields_of, path_of, show_value
from dulcet.conformance.captures.hexdump import hexdump
from dulcet.conformance.captures.hextext import read_hex
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.text import View, show
from dulcet.ul.fields import AETitle
from dulcet.ul.items import UnknownItem, UserIdentityRQ, UserInformation
from dulcet.ul.pdu import AAssociateRQ, PDataTF, decode_pdu

CAPTURES = sorted(path.stem for path in (Path(__file__).parents[2] / "captures").glob("*.pcap"))
TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT


def lines(transcript, **view):
    return [line.text for line in show(transcript, View(**view))]


ECHO = """\
echo__dcmtk-echoscu__orthanc.pcap: pcap, 20 packets, 1 TCP connection

Stream 0  127.0.0.1:41828 -> 127.0.0.1:14242  2026-11-23T20:56:23.759587Z
  requestor  'SHR_SCU_000'  OFFIS_DCMTK_367 (1.2.276.0.7230010.3.0.3.6.7)
  acceptor   'SHR_ORTHANC'  OFFIS_DCMTK_367 (1.2.276.0.7230010.3.0.3.6.7)
  accepted with 1 of 1 contexts, released; 0.089 s, 301 octets to the server, 290 to the client
  C-ECHO: 1 request, 1 x 0000H Success
    #    seconds  requestor                                      acceptor
        0.000000  Evt1   AE-1  Sta4  --- TCP connection ------>  Evt5   AE-5  Sta2
    0   0.000128  Evt2   AE-2  Sta5  --- A-ASSOCIATE-RQ ------>  Evt6   AE-6  Sta3
                  called 'SHR_ORTHANC', calling 'SHR_SCU_000'
                  context 1: Verification in Implicit VR Little Endian
                  ready to receive PDUs of at most 16384 octets
    1   0.000582  Evt3   AE-3  Sta6  <--- A-ASSOCIATE-AC ------  Evt7   AE-7  Sta6
                  context 1: acceptance, Implicit VR Little Endian
                  ready to receive PDUs of at most 16384 octets
    2   0.041175  Evt9   DT-1  Sta6  --- P-DATA-TF ----------->  Evt10  DT-2  Sta6
                  C-ECHO-RQ 1, Verification [context 1]
    3   0.085185  Evt10  DT-2  Sta6  <--- P-DATA-TF -----------  Evt9   DT-1  Sta6
                  C-ECHO-RSP 1: 0000H Success [context 1]
    4   0.085425  Evt11  AR-1  Sta7  --- A-RELEASE-RQ -------->  Evt12  AR-2  Sta8
    5   0.085572  Evt13  AR-3  Sta1  <--- A-RELEASE-RP --------  Evt14  AR-4  Sta13
        0.085599                     --- FIN ----------------->  Evt17  AR-5  Sta1
        0.089150                     <--- FIN -----------------"""


def test_an_echo(recording):
    assert lines(recording("echo__dcmtk-echoscu__orthanc").transcript) == ECHO.splitlines()


def test_wrong_octets_are_pointed_at(recording):
    found = lines(recording("abort-bad-pdv__raw__pynetdicom").transcript, pdus=frozenset((2,)))
    assert found[-8:] == [
        "    2   0.005907  Evt9   DT-1  Sta6  --- P-DATA-TF ----------->  Evt19  AA-8  Sta13",
        "                  ! Table 9-23 item_length: 570 octets promised, 70 present",
        "                      in Presentation-data-value Item / item_length, octets 7-10:",
        "                  000000  04 00 00 00 00 4a 00 00  02 3a 01 03 00 00 00 00  |.....J...:......|",
        "                                            ^^ ^^  ^^ ^^",
        "                  000010  04 00 00 00 38 00 00 00  00 00 02 00 12 00 00 00  |....8...........|",
        "                  000020  31 2e 32 2e 38 34 30 2e  31 30 30 30 38 2e 31 2e  |1.2.840.10008.1.|",
        "                  * concluded, not seen",
    ]


def test_a_data_set_in_many_pdus_is_one_line(packets, recording):
    conversation = recording("store-one__dcmtk-storescu__orthanc").conversation
    data = decode_pdu(conversation[3][1]).pdu.values[0]
    size, octets = 100, bytes(data.fragment)
    parts = [octets[start : start + size] for start in range(0, len(octets), size)]
    capture = packets().open()
    for direction, each in conversation[:3]:
        capture.send(direction, each)
    for number, part in enumerate(parts, 1):
        value = data._replace(fragment=part, is_last=number == len(parts))
        capture.send(TO_SERVER, PDataTF(values=(value,)).encode())
    text = lines(capture.transcript)
    (index,) = (index for index, line in enumerate(text) if " x " in line and "P-DATA-TF" in line)
    assert text[index].startswith(" 3-15 ")
    assert "--- P-DATA-TF x 13 ------>" in text[index]
    assert (
        text[index + 1].strip()
        == "data set of C-STORE-RQ: 1272 octets, the whole [context 1, Explicit VR Little Endian] (13 fragments)"
    )
    assert sum("P-DATA-TF" in line for line in lines(capture.transcript, verbosity=1)) == 14


def test_the_fields_of_a_pdu_with_their_octets(recording):
    found = lines(recording("echo__dcmtk-echoscu__orthanc").transcript, verbosity=1, pdus=frozenset((2, 4)))
    assert [line.strip() for line in found[8:]] == [
        "2   0.041175  Evt9   DT-1  Sta6  --- P-DATA-TF ----------->  Evt10  DT-2  Sta6",
        "C-ECHO-RQ 1, Verification [context 1]",
        "7-80  Presentation-data-value Item (Table 9-23)",
        "11    context_id  1",
        "12    message_control_header  03H: command, last fragment",
        "13-80    fragment  68 octets",
        "13-24      CommandGroupLength (0000,0000)  56",
        "25-50      AffectedSOPClassUID (0000,0002)  1.2.840.10008.1.1 (Verification)",
        "51-60      CommandField (0000,0100)  0030H (C-ECHO-RQ)",
        "61-70      MessageID (0000,0110)  1",
        "71-80      CommandDataSetType (0000,0800)  0101H (no data set)",
        "4   0.085425  Evt11  AR-1  Sta7  --- A-RELEASE-RQ -------->  Evt12  AR-2  Sta8",
    ]


@pytest.mark.parametrize("name", CAPTURES)
def test_each_field_lies_within_its_item_and_they_leave_nothing_out(recording, name):
    for stream in recording(name).transcript.streams:
        for pdu in stream.pdus:
            nodes = fields_of(pdu.octets)
            if any(node.error for node in nodes):
                assert pdu.error is not None
                continue
            leaves = [node for node, after in zip(nodes, [*nodes[1:], None], strict=True) if not _holds(node, after)]
            ends = [0, *(leaf.stop for leaf in leaves)]
            assert [leaf.start for leaf in leaves] == ends[:-1]
            assert ends[-1] == len(pdu.octets)


def _holds(node, after):
    return after is not None and after.level > node.level


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.parametrize("verbosity", [0, 2])
def test_nothing_of_a_peer_reaches_a_terminal_as_it_came(recording, name, verbosity):
    for line in show(recording(name).transcript, View(verbosity=verbosity, with_hexdump=verbosity == 2)):
        assert line.text.isascii()
        assert line.text.isprintable()


def test_escape_sequences_of_a_peer_are_quoted(packets):
    title = AETitle.from_octets(b"\x1b[2J\x07\r\nEVIL     ")
    request = AAssociateRQ(called_ae_title=title, calling_ae_title=title, items=())
    transcript = packets().open().send(TO_SERVER, request.encode()).transcript
    for verbosity in range(3):
        text = "\n".join(lines(transcript, verbosity=verbosity))
        assert "\\x1b[2J\\x07\\x0d\\x0aEVIL" in text
        assert "\x1b" not in text


def test_a_passcode_is_not_shown():
    identity = UserIdentityRQ(
        user_identity_type=2, positive_response_requested=0, primary_field=b"alice", secondary_field=b"secret"
    )
    request = AAssociateRQ(
        called_ae_title=AETitle("A"), calling_ae_title=AETitle("B"), items=(UserInformation(sub_items=(identity,)),)
    )
    found = read_hex(request.encode().hex())
    transcript = read_octets("x", found.halves, format_name="hex", has_directions=False, source=found.octets)
    text = "\n".join(lines(transcript, verbosity=2))
    assert "user identity: user name and passcode 'alice'" in text
    assert "secondary_field  6 octets, not shown" in text
    assert "secret" not in text


def test_pdus_without_a_connection(recording):
    found = read_hex("05 00 00 00 00 04 00 00 00 00 03 00 00 00 00 04 00 02 03 01")
    transcript = read_octets("hexadecimal", found.halves, format_name="hex", has_directions=False, source=found.octets)
    assert (
        lines(transcript)
        == """\
hexadecimal: 20 octets, 2 PDUs

PDU 0  A-RELEASE-RQ, 10 octets; it arrives as Evt12 (A-RELEASE-RQ PDU received)
PDU 1  A-ASSOCIATE-RJ, 10 octets; it arrives as Evt4 (A-ASSOCIATE-RJ PDU received)
    rejected-transient, temporary-congestion, by the DICOM UL service-provider (Presentation related function)
            8  result  2 (rejected-transient)
            9  source  3 (DICOM UL service-provider (Presentation related function))
           10  reason  1 (temporary-congestion)""".splitlines()
    )


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("03 00 00 00 00 04 00 01 01 07", "reason  7 (called-AE-title-not-recognized)"),
        ("03 00 00 00 00 04 00 01 03 07", "reason  7 (not defined)"),
        ("07 00 00 00 00 04 00 00 02 01", "reason  1 (unrecognized-PDU)"),
        ("07 00 00 00 00 04 00 00 00 01", "reason  1"),
    ],
)
def test_a_reason_means_what_its_source_makes_of_it(octets, reason):
    found = read_hex(octets)
    transcript = read_octets("hexadecimal", found.halves, format_name="hex", has_directions=False, source=found.octets)
    assert lines(transcript)[-1].endswith(reason)


def test_what_can_not_be_read_is_dumped(recording):
    text = "\n".join(lines(recording("abort-garbage-first__raw__orthanc").transcript))
    assert "41 octets at 0 of the stream: unrecognised PDU type 0x47" in text
    assert "000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|" in text


def test_tls_without_keys_is_said(recording):
    capture = recording("tls__pynetdicom__dcmjs-dimse")
    capture.key_log = b""
    assert "  TLS, not decrypted: there is no key log" in lines(capture.transcript)
    capture = recording("tls__pynetdicom__dcmjs-dimse")
    assert "  TLS, decrypted" in lines(capture.transcript)


def test_connections_of_other_protocols_are_counted(packets, echo):
    capture = packets().open()
    for direction, octets in echo:
        capture.send(direction, octets)
    other = packets(initial_sequence=(77, 88)).open().send(TO_SERVER, b"GET / HTTP/1.1\r\n")
    octets = capture.octets + other.octets[24:].replace(b"\xc3\x50\0\x68", b"\xc3\x51\0\x68").replace(
        b"\0\x68\xc3\x50", b"\0\x68\xc3\x51"
    )
    from dulcet.conformance.captures.build import read_capture

    transcript = read_capture("x", octets)
    assert lines(transcript)[-1] == "1 connection carries no DICOM: 1 (--stream N shows one)"
    assert any("GET / HTTP" in line for line in lines(transcript, streams=frozenset((1,))))
    assert not any("A-ASSOCIATE-RQ" in line for line in lines(transcript, streams=frozenset((1,))))


@pytest.mark.parametrize(
    ("octets", "path"),
    [
        ("01 00 00 00 00 05 00 01 00 00 41", "called_ae_title, octet 11"),
        (
            "01 00 00 00 00 4c 0001 0000" + "41" * 32 + "00" * 32 + "20 00 00 08 01 00 00 00 30 00 00 09",
            "Presentation Context Item / Abstract Syntax Sub-Item / item_length, octets 85-86",
        ),
        ("04 00 00 00 00 04 00 00 00 09", "Presentation-data-value Item / item_length, octets 7-10"),
        ("04 00 00 00 00 02 00 00", "Presentation-data-value Item / item_length, octets 7-8"),
    ],
)
def test_the_path_to_what_is_wrong(octets, path):
    nodes = fields_of(memoryview(bytes.fromhex(octets)))
    wrong = next((node for node in nodes if node.error), nodes[-1])
    assert path_of(nodes, wrong).startswith(path)


def test_unknown_items_are_shown_as_octets():
    item = UserInformation(sub_items=(UnknownItem(item_type=0x99, octets=b"\1\2"),))
    request = AAssociateRQ(called_ae_title=AETitle("A"), calling_ae_title=AETitle("B"), items=(item,))
    node = fields_of(memoryview(request.encode()))[-1]
    assert node.name == "item of type 99H, not known: skipped"
    assert show_value(node) == "01 02"


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 17, 40])
def test_hexdump_has_every_octet(size):
    octets = bytes(range(0x41, 0x41 + size))
    rows = list(hexdump(octets))
    assert bytes.fromhex("".join(row[8:56] for row in rows)) == octets
    assert "".join(row.partition("|")[2].rstrip("|") for row in rows) == octets.decode("latin-1")


def test_hexdump_marks_what_is_meant():
    rows = list(hexdump(bytes(48), mark=(15, 18)))
    assert rows[1] == " " * 54 + "^^"
    assert rows[3] == " " * 8 + "^^ ^^"


def test_hexdump_shows_the_rows_near_the_mark():
    rows = list(hexdump(bytes(1600), mark=(800, 801), around=True))
    assert [row[:6] for row in rows if not row.startswith(" ")] == ["000300", "000310", "000320", "000330", "000340"]


def test_hexdump_is_bounded():
    rows = list(hexdump(bytes(5000), max_rows=3))
    assert rows[-1].strip() == "... 4952 octets more"
    assert len(rows) == 4
