"""Importing what other programs know about their peers: each format, and what can't be taken."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.errors import ConfigurationError, NoInputError
from dulcet.station.book import node_import
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.node_editing import with_nodes
from dulcet.station.book.node_formats import READERS, recognize
from dulcet.station.book.node_import import Fate, apply, plan, read_nodes
from dulcet.station.book.nodes import Node
from dulcet.station.book.snippets import PRODUCTS, OurSide, snippet

ORTHANC = """\
/**
 * "DicomModalities" : { "not" : [ "ME", "host", 1 ] }
 **/
{
  "Name" : "// no comment", // "DicomAet" : "OTHER"
  "DicomAet" : "ORTHANC",
  "DicomModalities" : {
    // "sample" : [ "STORESCP", "127.0.0.1", 2000 ]
    "CT room 3" : [ "CT1", "10.0.0.1", 104 ],
    "vitrea" : [ "VITREA", "10.0.0.2", "104", "Vitrea" ], /* old */
    "generic" : [ "GEN", "gen.example.org", 11112, "Generic" ],
    "object" : {
      "AET" : "OBJ", "Port" : 2762, "Host" : "10.0.0.3", "Manufacturer" : "GE",
      "AllowEcho" : false, "UseDicomTls" : true, "LocalAet" : "HELLO", "Timeout" : 60
    },
    "short" : [ "AET", "host" ],
    "wrong port" : [ "AET", "host", 1042345 ],
    "no text" : [ 5, "host", 104 ],
    "environment" : [ "AET", "${HOST}", 104 ]
  }
}
"""

TRAILING_COMMAS = """\
{
  "Name" : "no comma: ,] ,}",
  "DicomModalities" : {
    "a,]" : [ "A", "h", 104, ],
    "b" : [ "B", "h", 105 , // the last
    ],
  }, /* and */
}
"""

DCMTK = """\
NetworkTCPPort  = 104
HostTable BEGIN
# acme0 = (ACME0, acmehost0, 1)
acme1           = (ACME1, acmehost1, 5678)   # the first
"acme2"         = ( "ACME2" , acmehost2 , 5678 )
acmeCTcompany   = acme1, acme2
both            = (B1, h1, 1), (B2, h2, 2)
all             = acmeCTcompany, both, nobody, all
broken          = (X, host)
=               (X, host, 1)
acme1           = (ACME1, other, 5678)
noport          = (X, host, many)
HostTable END
VendorTable BEGIN
"Acme CT Company"   = acmeCTcompany
VendorTable END
AETable BEGIN
ACME_STORE   /var/lib/dcmtk/db   RW (9, 1024mb)   (host, PEER, 104)
AETable END
"""

QRSCP = """\
# Default configuration file for qrscp.py
[DEFAULT]
    ae_title: QRSCP
    port: 11112

[STORESCP]
    address: localhost
    port: 11113
[VIEWER]
address = 10.0.0.9
port = 104
ae_title = VIEW_1
[NO_PORT]
address: 10.0.0.1
[WRONG]
address: 10.0.0.1
port: 0
"""

LDIF = """\
version: 1

dn: dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomDevice
dicomDeviceName: archive

dn: dicomAETitle=ARCHIVE,dicomDeviceName=archive,cn=Devices,cn=DICOM Configurat
 ion,dc=dcm4che,dc=org
objectClass: dcmNetworkAE
objectClass: dicomNetworkAE
dicomAETitle: ARCHIVE
dicomDescription:: VGhlIGFyY2hpdmUsIGbDvHIgYWxsZQ==
dicomNetworkConnectionReference: cn=dicom,dicomDeviceName=archive,cn=Devices, cn=DICOM Configuration,dc=dcm4che,dc=org
dicomNetworkConnectionReference: cn=dicom-tls,dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc
 =org
dicomNetworkConnectionReference: cn=outgoing,dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
dicomAssociationAcceptor: TRUE

# comment
dn: cn=dicom,dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectclass: dicomNetworkConnection
dicomhostname: archive.example.org
dicomPort: 11112

dn: cn=dicom-tls,dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomNetworkConnection
dicomHostname: archive.example.org
dicomPort: 2762
dicomTLSCipherSuite: TLS_RSA_WITH_AES_128_CBC_SHA

dn: cn=outgoing,dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomNetworkConnection
dicomHostname: archive.example.org

dn: cn=hl7,dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomNetworkConnection
dicomHostname: archive.example.org
dicomPort: 2575
dcmProtocol: HL7

dn: dicomAETitle=FINDSCU,dicomDeviceName=scu,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomNetworkAE
dicomAETitle: FINDSCU
dicomNetworkConnectionReference: cn=outgoing,dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
dicomNetworkConnectionReference: cn=hl7,dicomDeviceName=archive,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org

dn: dicomAETitle=SCU,dicomDeviceName=scu,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomNetworkAE
dicomAETitle: SCU
dicomAssociationAcceptor: FALSE

dn: dicomAETitle=OLD,dicomDeviceName=scu,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomNetworkAE
dicomAETitle: OLD
dicomInstalled: FALSE
"""

TABLE = """\
Station;AE Title;IP-Address;Port;Location;Groups;TLS
# the ground floor
"CT; room 3";CT1;10.0.0.1;104;Raum  3;ct, main;
MR;MR1;10.0.0.2;11112;;;yes

US;US1;10.0.0.3;;;;
104;X;10.0.0.4;104;;;
MR;MR2;10.0.0.5;104;;;
"""


def imported(tmp_path, text, format_name=None, encoding="utf-8"):
    path = tmp_path / "import"
    path.write_bytes(text.encode(encoding))
    return read_nodes(path, format_name)


def taken(found):
    return [(node.name, node.address) for node in found.nodes]


def refused(found):
    return [(each.where, each.reason) for each in found.refused]


def test_orthanc_s_commas_before_the_end(tmp_path):
    found = imported(tmp_path, TRAILING_COMMAS)
    assert (found.format, taken(found)) == ("orthanc", [("a", "A@h:104"), ("b", "B@h:105")])
    with pytest.raises(ConfigurationError, match="line 1: this is not JSON"):
        imported(tmp_path, '{"DicomModalities": {"a": ["A", "h", 104,,]}}', "orthanc")


def test_a_value_that_is_refused_is_escaped_once(tmp_path):
    found = imported(tmp_path, "name,ae_title,host,port\nCT,\u00c44,h,104\n")
    assert refused(found) == [
        ("line 2", r"ae_title: '\xc3\x844' is no AE title: 1 to 16 printable characters, no backslash")
    ]


def test_orthanc(tmp_path):
    found = imported(tmp_path, ORTHANC)
    assert found.format == "orthanc"
    assert list(found.nodes) == [
        Node(name="CT-room-3", ae_title="CT1", host="10.0.0.1", port=104),
        Node(name="vitrea", ae_title="VITREA", host="10.0.0.2", port=104, notes="manufacturer Vitrea"),
        Node(name="generic", ae_title="GEN", host="gen.example.org", port=11112),
        Node(name="object", ae_title="OBJ", host="10.0.0.3", port=2762, tls=True, notes="manufacturer GE"),
    ]
    assert found.renamed == [("CT room 3", "CT-room-3")]
    assert refused(found) == [
        ("DicomModalities short", 'neither ["AET", "host", port] nor an object with AET, Host and Port'),
        ("DicomModalities wrong port", "port: 1042345 is no port: a number from 1 to 65535"),
        ("DicomModalities no text", "ae_title: an AE title is a text in quotes"),
        ("DicomModalities environment", "host: '${HOST}' is no host name and no address"),
    ]


def test_the_answer_of_orthancs_rest_api(tmp_path):
    answer = {"a": {"AET": "A", "Host": "h", "Port": 1, "Manufacturer": "Generic"}, "b": ["B", "h", 2]}
    assert taken(imported(tmp_path, json.dumps(answer))) == [("a", "A@h:1"), ("b", "B@h:2")]


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ('{\n  "DicomModalities" : {\n    "a" : [ "A", "h", 1 ]\n    "b" : []\n  }\n}', "line 4: this is not JSON: "),
        ('{"Name" : "Orthanc"}', "there are no DicomModalities in it"),
        ('{"DicomModalities" : []}', "there are no DicomModalities in it"),
        ('{"a" :' * 100_000, "its values are nested too deep"),
        ('{"a" : ["A", "h", ' + "1" * 5000 + "]}", "its values are nested too deep, or too large"),
    ],
)
def test_a_configuration_of_orthanc_that_can_not_be_read(tmp_path, text, explanation):
    with pytest.raises(ConfigurationError) as caught:
        imported(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'import'} as orthanc: {explanation}")


def test_dcmtk(tmp_path):
    found = imported(tmp_path, DCMTK)
    assert found.format == "dcmtk"
    assert [(*row, node.tags) for row, node in zip(taken(found), found.nodes, strict=True)] == [
        ("acme1", "ACME1@acmehost1:5678", ("acmeCTcompany", "all")),
        ("acme2", "ACME2@acmehost2:5678", ("acmeCTcompany", "all")),
        ("both-1", "B1@h1:1", ("all", "both")),
        ("both-2", "B2@h2:2", ("all", "both")),
    ]
    assert refused(found) == [
        ("line 9", "not NAME = (AE title, host, port)"),
        ("line 10", "not NAME = (AE title, host, port)"),
        ("line 11", "acme1 is there twice"),
        ("line 8", "the group all names nobody, which is no peer"),
        ("line 12", "port: many is no port: a number from 1 to 65535"),
    ]


def test_groups_of_groups_take_no_longer_than_they_have_members(tmp_path):
    groups = "\n".join(f"g{n} = g{n + 1}, g{n + 1}x\ng{n}x = g{n + 1}, g{n + 1}x" for n in range(40))
    text = f"HostTable BEGIN\na = (A, h, 1)\n{groups}\ng40 = a\ng40x = a\nHostTable END\n"
    (node,) = imported(tmp_path, text).nodes
    assert len(node.tags) == 82


def test_pynetdicom(tmp_path):
    found = imported(tmp_path, QRSCP)
    assert found.format == "pynetdicom"
    assert taken(found) == [("STORESCP", "STORESCP@localhost:11113"), ("VIEWER", "VIEW_1@10.0.0.9:104")]
    assert refused(found) == [
        ("[NO_PORT]", "address or port is missing"),
        ("[WRONG]", "port: 0 is no port: a number from 1 to 65535"),
    ]


def test_a_configuration_of_qrscp_that_can_not_be_read(tmp_path):
    with pytest.raises(ConfigurationError, match=r"as pynetdicom: this is no configuration of qrscp: .*already exists"):
        imported(tmp_path, "[A]\naddress: h\nport: 1\n[A]\naddress: h\n")


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_dcm4che(tmp_path, ending):
    found = imported(tmp_path, LDIF.replace("\n", ending))
    assert found.format == "dcm4che"
    notes = "The archive, für alle"
    assert list(found.nodes) == [
        Node(name="ARCHIVE", ae_title="ARCHIVE", host="archive.example.org", port=11112, notes=notes),
        Node(name="ARCHIVE-tls", ae_title="ARCHIVE", host="archive.example.org", port=2762, tls=True, notes=notes),
    ]
    assert refused(found) == [
        ("AE FINDSCU", "it has no connection with a port"),
        ("AE SCU", "it accepts no associations"),
        ("AE OLD", "it is not installed"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_spreadsheet(tmp_path, encoding):
    found = imported(tmp_path, TABLE, encoding=encoding)
    assert found.format == "csv"
    assert list(found.nodes) == [
        Node(name="CT-room-3", ae_title="CT1", host="10.0.0.1", port=104, notes="Raum 3", tags=("ct", "main")),
        Node(name="MR", ae_title="MR1", host="10.0.0.2", port=11112, tls=True),
        Node(name="node-104", ae_title="X", host="10.0.0.4", port=104),
    ]
    assert found.renamed == [("CT; room 3", "CT-room-3"), ("104", "node-104")]
    assert refused(found) == [("line 6", "port missing"), ("line 8", "the name MR is taken by MR1@10.0.0.2:11112")]


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("CT,CT1,10.0.0.1,104\nMR,MR1,10.0.0.2,104\n", [("CT", "CT1@10.0.0.1:104"), ("MR", "MR1@10.0.0.2:104")]),
        ("CT1, 10.0.0.1, 104\n", [("CT1", "CT1@10.0.0.1:104")]),
        ("CT\tCT1\t10.0.0.1\t104\n", [("CT", "CT1@10.0.0.1:104")]),
        ("port,host,aet\n104,10.0.0.1,CT1\n", [("CT1", "CT1@10.0.0.1:104")]),
    ],
    ids=["four columns", "three columns", "tabs", "columns in another order"],
)
def test_spreadsheets_with_and_without_a_header(tmp_path, text, nodes):
    assert taken(imported(tmp_path, text)) == nodes


def test_a_header_without_a_host_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="as csv: the header has no column for host"):
        imported(tmp_path, "name,aet,port\nCT,CT1,104\n")


def test_a_spreadsheet_of_windows(tmp_path):
    (node,) = imported(tmp_path, "name;aet;host;port;notes\nCT;CT1;h;104;Röntgen\n", encoding="cp1252").nodes
    assert node.notes == "Röntgen"


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "Dear colleague,\nplease, find, enclosed\n", "[section]\na = 1\n", "[]"]
)
def test_what_is_none_of_the_formats_is_told(tmp_path, text):
    with pytest.raises(ConfigurationError, match="the format is not recognized: say --format, one of orthanc, dcmtk"):
        imported(tmp_path, text)


def test_the_format_can_be_said(tmp_path):
    assert imported(tmp_path, "# nobody yet\n", "csv").nodes == ()
    with pytest.raises(ConfigurationError, match="as orthanc: line 1: this is not JSON"):
        imported(tmp_path, "CT,CT1,10.0.0.1,104\n", "orthanc")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(NoInputError, match="No such file or directory"):
        read_nodes(tmp_path / "none")


def test_a_file_that_never_ends_is_not_read_whole(monkeypatch):
    monkeypatch.setattr(node_import, "MAX_OCTETS", 1024)
    with pytest.raises(ConfigurationError, match="larger than"):
        read_nodes(node_import.Path("/dev/zero"))


@given(st.sampled_from(sorted(READERS)), st.text(max_size=200))
def test_no_text_brings_a_reader_down(format_name, text):
    with contextlib.suppress(ConfigurationError):
        list(READERS[format_name](text))
    recognize(text)


@given(st.sampled_from([ORTHANC, DCMTK, QRSCP, LDIF, TABLE]), st.data())
def test_no_damage_brings_the_import_down(tmp_path_factory, text, data):
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    damaged = text[:start] + data.draw(st.text(max_size=4)) + text[stop:]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged.encode("utf-8", "surrogatepass"))
    try:
        found = read_nodes(path)
    except ConfigurationError:
        return
    book = NodeBook.parse(path, with_nodes(NodeBook(path, None), found.nodes))
    assert book.nodes() == (list(found.nodes), [])


# What becomes of the nodes ------------------------------------------------------------------------------------------

BOOK = """\
[CT]
ae_title = "CT1"
host = "10.0.0.1"
port = 104  # theirs
jobs = 4

[MR]
ae_title = "MR1"
host = "10.0.0.2"
port = 104
"""
NODES = [
    Node(name="CT", ae_title="CT1", host="10.0.0.1", port=11112, notes="new"),
    Node(name="MR", ae_title="MR1", host="10.0.0.2", port=104),
    Node(name="US", ae_title="US1", host="10.0.0.3", port=104),
]


def test_what_is_there_is_kept(tmp_path):
    book = NodeBook.parse(tmp_path / "nodes.toml", BOOK)
    assert plan(book, NODES, replace=False) == {"CT": Fate.KEPT, "MR": Fate.UNCHANGED, "US": Fate.ADDED}
    added = '\n[US]\nae_title = "US1"\nhost = "10.0.0.3"\nport = 104\n'
    assert apply(book, NODES, replace=False) == BOOK + added


def test_what_is_there_is_replaced_where_that_is_asked_for(tmp_path):
    book = NodeBook.parse(tmp_path / "nodes.toml", BOOK)
    assert plan(book, NODES, replace=True) == {"CT": Fate.REPLACED, "MR": Fate.UNCHANGED, "US": Fate.ADDED}
    text = apply(book, NODES[:2], replace=True)
    assert text == BOOK.replace("104  # theirs\njobs = 4\n", '11112  # theirs\njobs = 4\nnotes = "new"\n')


def test_an_import_into_no_book_makes_one(tmp_path):
    text = apply(NodeBook(tmp_path / "nodes.toml", None), NODES, replace=False)
    assert NodeBook.parse(tmp_path / "nodes.toml", text).nodes() == (NODES, [])


def test_a_thousand_nodes_are_imported_at_once(tmp_path):
    rows = "".join(f"N{n},N{n},h,{n + 1}\n" for n in range(1000))
    path = tmp_path / "nodes.toml"
    first = apply(NodeBook(path, None), imported(tmp_path, rows).nodes, replace=False)
    again = imported(tmp_path, rows.replace(",h,", ",other,")).nodes
    started = time.process_time()  # that of other processes is no matter
    book = NodeBook.parse(path, apply(NodeBook.parse(path, first), again, replace=True))
    assert {node.host for node in book.nodes()[0]} == {"other"}
    assert time.process_time() - started < 20


# What we give, we can take ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", ["orthanc", "dcmtk", "dcm4che"])
@pytest.mark.parametrize("tls", [False, True])
def test_a_snippet_of_ours_is_imported(tmp_path, product, tls):
    us = OurSide(ae_title="WS_1", address="192.0.2.7", port=11112, tls=tls)
    found = imported(tmp_path, snippet(product, us))
    assert (found.format, refused(found)) == (product, [])
    (node,) = found.nodes
    assert node.address == "WS_1@192.0.2.7:11112"
    assert node.tls is (True if tls and product != "dcmtk" else None)
    assert product in PRODUCTS
