"""Addresses, and what a node may say of itself."""

from pathlib import Path

import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.book import nodes
from dulcet.station.book.nodes import FIELDS, FieldError, Node, is_address, is_node_name, parse_address
from dulcet.station.book.spelling import did_you_mean, nearest

MINIMAL = {"ae_title": "ORTHANC", "host": "192.168.1.20", "port": 4242}


def node(name="PACS1", directory=Path("/book"), **fields):
    return Node.from_table(name, {**MINIMAL, **fields}, directory)


def fault(name="PACS1", table=None, **fields):
    with pytest.raises(FieldError) as caught:
        Node.from_table(name, {**MINIMAL, **fields} if table is None else table, Path("/book"))
    return caught.value.field, str(caught.value)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("ORTHANC@192.168.1.20:4242", ("ORTHANC", "192.168.1.20", 4242)),
        ("pacs.example.org:104", (None, "pacs.example.org", 104)),
        ("A B@host:1", ("A B", "host", 1)),
        ("AET@[::1]:11112", ("AET", "::1", 11112)),
        ("[fe80::1%eth0]:65535", (None, "fe80::1%eth0", 65535)),
    ],
)
def test_an_address_is_understood(text, meaning):
    assert parse_address(text) == meaning
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["AET@host", "AET@host:", "@host:1", "host:0", "host:65536", "::1:104", "a@b@c:1", ":1"]
)
def test_what_is_no_address_is_told(text):
    with pytest.raises(ConfigurationError, match=r"is no peer|a port is a number"):
        parse_address(text)


@pytest.mark.parametrize("name", ["PACS1", "ct", "3T-MR", "Röntgen_2", "a.b-c", "x" * 64])
def test_a_name_is_a_word(name):
    assert is_node_name(name)
    assert not is_address(name)


@pytest.mark.parametrize(
    "name", ["", "104", "-v", ".a", "_a", "a b", "a@b", "a:b", "a/b", "a\n", "a\x1b", "x" * 65, "a,b"]
)
def test_what_could_be_taken_for_something_else_is_no_name(name):
    assert not is_node_name(name)
    assert fault(name)[0] == ""


def test_a_node_says_nothing_that_it_was_not_told():
    assert node() == Node(name="PACS1", ae_title="ORTHANC", host="192.168.1.20", port=4242)
    assert node().table() == MINIMAL


def test_every_field_has_a_check_and_comes_back():
    everything = {
        **MINIMAL,
        "calling_ae_title": "WS1",
        "tls": True,
        "tls_ca": "ca.pem",
        "tls_cert": "/etc/ssl/our.pem",
        "tls_key": "~/our.key",
        "tls_name": "pacs.example.org",
        "max_pdu": 65536,
        "jobs": 4,
        "async_window": 8,
        "no_convert": True,
        "retrieve": "get",
        "query_root": "patient",
        "character_set": r"\ISO 2022 IR 87",
        "notes": "Erdgeschoß, Raum 3",
        "tags": ["ct", "main", "ct"],
    }
    assert list(everything) == list(FIELDS) == list(nodes._CHECKS)
    full = node(**everything)
    assert full.tls_ca == Path("/book/ca.pem")
    assert full.tls_key == Path.home() / "our.key"
    paths = {"tls_ca": "/book/ca.pem", "tls_key": str(Path.home() / "our.key")}
    assert full.table() == {**everything, **paths, "tags": ["ct", "main"]}
    assert Node.from_table("PACS1", full.table(), Path("/elsewhere")) == full


@pytest.mark.parametrize(
    ("field", "value", "explanation"),
    [
        ("port", 1042345, "1042345 is no port: a number from 1 to 65535"),
        ("port", 0, "0 is no port: a number from 1 to 65535"),
        ("port", "104", "104 is no port: a number from 1 to 65535"),
        ("port", True, "True is no port: a number from 1 to 65535"),
        ("ae_title", "", "'' is no AE title: 1 to 16 printable characters, no backslash"),
        ("ae_title", "x" * 17, f"'{'x' * 17}' is no AE title: 1 to 16 printable characters, no backslash"),
        ("ae_title", "a\\b", r"'a\x5cb' is no AE title: 1 to 16 printable characters, no backslash"),
        ("ae_title", "Ä", r"'\xc3\x84' is no AE title: 1 to 16 printable characters, no backslash"),
        ("ae_title", 5, "an AE title is a text in quotes"),
        ("calling_ae_title", " ", "' ' is no AE title: 1 to 16 printable characters, no backslash"),
        ("host", "a b", "'a b' is no host name and no address"),
        ("host", "${PACS_HOST}", "'${PACS_HOST}' is no host name and no address"),
        ("host", 1, "'1' is no host name and no address"),
        ("tls", "yes", "'yes' is neither true nor false"),
        ("no_convert", 1, "'1' is neither true nor false"),
        ("max_pdu", 100, "100 is no number from 4096 to 16777216"),
        ("jobs", 65, "65 is no number from 1 to 64"),
        ("jobs", True, "True is no number from 1 to 64"),
        ("async_window", 0, "0 is no number from 1 to 256"),
        ("retrieve", "pull", "'pull' is none of auto, move, get"),
        ("query_root", 1, "'1' is none of auto, patient, study"),
        ("character_set", "latin1", "'latin1' is no character set of PS3.3 C.12.1.1.2, like 'ISO_IR 100'"),
        ("notes", "a\nb", "a text on one line, without control characters, is expected"),
        ("notes", "a\u202eb", "a text on one line, without control characters, is expected"),
        ("notes", "", "a text in quotes is expected"),
        ("tags", "ct", 'a list is expected: ["ct", "main"]'),
        ("tags", ["\x1b[31m"], "a text on one line, without control characters, is expected"),
        ("prot", 104, "a node has no such field; did you mean 'port'?"),
        ("colour", "red", "a node has no such field"),
        ("tls_ca", "ca.pem", "it needs tls = true"),
        ("tls_name", "pacs", "it needs tls = true"),
    ],
)
def test_a_value_that_can_not_be_is_told(field, value, explanation):
    assert fault(**{field: value}) == (field, explanation)


def test_the_character_set_that_was_meant_is_named():
    assert "did you mean 'ISO_IR 192'" in fault(character_set="iso_ir 192")[1]


def test_a_key_without_its_certificate_is_told():
    assert fault(tls=True, tls_key="k.pem") == ("tls_key", "it needs tls_cert, the certificate that it belongs to")
    assert fault(tls=False, tls_cert="c.pem") == ("tls_cert", "it needs tls = true")


@pytest.mark.parametrize("missing", list(MINIMAL))
def test_a_node_without_an_address_is_none(missing):
    assert fault(table={field: value for field, value in MINIMAL.items() if field != missing}) == (
        "",
        f"{missing} is missing",
    )


def test_a_value_that_is_no_table_is_no_node():
    assert fault(table="ORTHANC@host:104") == ("", "a node is a table, so PACS1 should be a line [PACS1]")


def test_the_address_of_a_node_is_read_back():
    six = node(host="[2001:db8::1]")
    assert six.address == "ORTHANC@[2001:db8::1]:4242"
    assert parse_address(six.address) == ("ORTHANC", "2001:db8::1", 4242)


def test_the_nearest_word_is_found_whatever_its_case():
    assert nearest("pacs2", ["PACS1", "PACS2", "MR"]) == ["PACS2", "PACS1"]
    assert did_you_mean("prot", ["port", "host"]) == "; did you mean 'port'?"
    assert did_you_mean("zzz", ["port", "host"]) == ""
