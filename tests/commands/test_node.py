"""`dulcet node`: what a person types, reads and finds in the file."""

import json

import pytest

from dulcet.station.book.snippets import PRODUCTS

BOOK = """\
# ours

[PACS1]  # the archive
ae_title = "ORTHANC"
host = "192.168.1.20"
port = 4242
tags = ["archive", "main"]

# the CT
[CT]
ae_title = "CT1"
host = "10.0.0.1"
port = 104
tls = true
notes = "Raum 3"
"""


@pytest.fixture
def book(write):
    return write("nodes.toml", BOOK)


def test_a_node_is_added_and_found_again(dulcet, home):
    answer = dulcet("node", "add", "PACS1", "ORTHANC@192.168.1.20:4242")
    assert (answer.code, answer.errors) == (0, "")
    assert answer.output == f"PACS1 is ORTHANC@192.168.1.20:4242, in {home / 'nodes.toml'}\n"
    assert (
        (home / "nodes.toml")
        .read_text()
        .endswith('[PACS1]\nae_title = "ORTHANC"\nhost = "192.168.1.20"\nport = 4242\n')
    )
    assert (
        dulcet("node", "list").output
        == "NAME   ADDRESS                    TLS  TAGS  NOTES\nPACS1  ORTHANC@192.168.1.20:4242\n"
    )


@pytest.mark.parametrize(
    "address",
    [
        ("AET@host:104",),
        ("host:104", "-aec", "AET"),
        ("host", "104", "-aec", "AET"),
        ("X@host:104", "--ae-title", "AET"),
    ],
)
def test_an_address_is_written_as_fingers_know_it(dulcet, address):
    assert dulcet("node", "add", "N", *address).output.startswith("N is AET@host:104, in ")


def test_everything_can_be_said_of_a_node(dulcet, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = (
        *("-aet", "WS1", "--tls", "--tls-ca", "ca.pem", "--tls-cert", "/etc/our.pem", "--tls-key", "/etc/our.key"),
        *("--tls-name", "pacs.example.org", "--max-pdu", 65536, "--jobs", 4, "--async-window", 8, "--no-convert"),
        *("--retrieve", "get", "--query-root", "study", "--character-set", "ISO_IR 100", "--notes", "Röntgen"),
        *("--tag", "ct", "--tag", "main"),
    )
    assert dulcet("node", "add", "N", "A@h:1", *options).code == 0
    expected = {
        "v": 1,
        "event": "node",
        "name": "N",
        "ae_title": "A",
        "host": "h",
        "port": 1,
        "calling_ae_title": "WS1",
        "tls": True,
        "tls_ca": str(tmp_path / "ca.pem"),
        "tls_cert": "/etc/our.pem",
        "tls_key": "/etc/our.key",
        "tls_name": "pacs.example.org",
        "max_pdu": 65536,
        "jobs": 4,
        "async_window": 8,
        "no_convert": True,
        "retrieve": "get",
        "query_root": "study",
        "character_set": "ISO_IR 100",
        "notes": "Röntgen",
        "tags": ["ct", "main"],
        "place": f"{home / 'nodes.toml'}:3",
    }
    shown = json.loads(dulcet("node", "show", "N", "--json").output)
    assert shown == expected | {"ts": shown["ts"]}
    assert 'retrieve = "get"\nquery_root = "study"\n' in dulcet("node", "show", "N").output


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("PACS1", "A@h:1"), 78, "dulcet: {book}:3: there is a node PACS1 already; `dulcet node edit` changes it\n"),
        (("N", "A@h"), 78, "is no peer: write AET@HOST:PORT"),
        (("N", "A@h:99999"), 78, "a port is a number from 1 to 65535"),
        (("N", "h:104"), 2, "what is the AE title of h? Write AET@h:104"),
        (("N", "A@h:1", "B@h:1"), 2, "one address is expected"),
        (("N", f"{'x' * 17}@h:1"), 78, "dulcet: ae_title: 'xxxxxxxxxxxxxxxxx' is no AE title: 1 to 16 printable"),
        (("a@b", "A@h:1"), 78, "'a@b' is no name for a node: letters, digits, . _ - and not digits alone"),
        (("N", "A@h:1", "--tls-ca", "ca.pem"), 78, "dulcet: tls_ca: it needs tls = true"),
        (("N", "A@h:1", "--character-set", "latin1"), 78, "'latin1' is no character set of PS3.3 C.12.1.1.2"),
    ],
)
def test_what_can_not_be_added_is_told(dulcet, book, arguments, code, sentence):
    answer = dulcet("node", "add", *arguments)
    assert (answer.code, answer.output) == (code, "")
    assert sentence.format(book=book) in answer.errors
    assert book.read_text() == BOOK


def test_a_node_is_edited_in_place(dulcet, book):
    answer = dulcet("node", "edit", "PACS1", "--port", 11112, "--tag", "main", "--jobs", 4)
    assert (answer.code, answer.output) == (0, f"PACS1 is ORTHANC@192.168.1.20:11112, in {book}\n")
    expected = BOOK.replace("4242", "11112").replace('"archive", "main"]', '"main"]\njobs = 4')
    assert book.read_text() == expected


def test_what_was_said_is_taken_back(dulcet, book):
    assert dulcet("node", "edit", "CT", "--unset", "notes", "--no-tls").code == 0
    assert book.read_text() == BOOK.replace("tls = true", "tls = false").replace('notes = "Raum 3"\n', "")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("PACS1",), 2, "what should be changed? For example --port 104"),
        (("PACS", "--port", "1"), 78, "'PACS' is no node of {book}; did you mean 'PACS1'?"),
        (("CT", "--no-tls", "--tls-ca", "ca.pem"), 78, "[CT] tls_ca: it needs tls = true"),
        (("CT", "--unset", "port"), 2, "port"),
        (("CT", "--port", "1042345"), 2, "1042345"),
    ],
)
def test_what_can_not_be_changed_is_told(dulcet, book, arguments, code, sentence):
    answer = dulcet("node", "edit", *arguments)
    assert answer.code == code
    assert sentence.format(book=book) in answer.errors
    assert book.read_text() == BOOK


def test_nodes_are_removed(dulcet, book):
    assert dulcet("node", "remove", "CT").code == 0
    assert book.read_text() == BOOK[: BOOK.index("\n# the CT")]
    answer = dulcet("node", "remove", "CT")
    assert (answer.code, answer.errors) == (78, f"dulcet: 'CT' is no node of {book}; `dulcet node list` shows them\n")


def test_the_list_is_a_table_in_the_order_of_the_book(dulcet, book):
    assert dulcet("node", "list").output == (
        "NAME   ADDRESS                    TLS  TAGS           NOTES\n"
        "PACS1  ORTHANC@192.168.1.20:4242       archive, main\n"
        "CT     CT1@10.0.0.1:104           yes                 Raum 3\n"
    )
    lines = dulcet("node", "list", "--json").output.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["PACS1", "CT"]
    assert "CT1" not in dulcet("node", "list", "--tag", "main").output


def test_a_fault_in_the_book_is_told_beside_the_list(dulcet, write):
    book = write("nodes.toml", BOOK.replace("104", "1042345"))
    answer = dulcet("node", "list")
    assert answer.code == 78
    assert "PACS1" in answer.output
    assert answer.errors == f"dulcet: {book}:13: [CT] port: 1042345 is no port: a number from 1 to 65535\n"


def test_an_empty_book_says_how_to_fill_it(dulcet, home):
    answer = dulcet("node", "list")
    assert (answer.code, answer.output) == (0, "")
    assert (
        answer.errors == f"no nodes in {home / 'nodes.toml'}: `dulcet node add` or `dulcet node import` enters some\n"
    )


def test_the_book_may_be_elsewhere(dulcet, tmp_path, monkeypatch):
    monkeypatch.setenv("DULCET_NODES", str(tmp_path / "peers.toml"))
    assert dulcet("node", "add", "N", "A@h:1").code == 0
    assert (tmp_path / "peers.toml").exists()
    assert dulcet("config", "path", "--nodes").output == f"{tmp_path / 'peers.toml'}\n"


# import --------------------------------------------------------------------------------------------------------------

SPREADSHEET = "name,aet,host,port\nCT,CT1,10.0.0.1,11112\nUS 1,US1,10.0.0.3,104\nMR,MR1,10.0.0.2,1042345\n"


@pytest.fixture
def spreadsheet(tmp_path):
    path = tmp_path / "peers.csv"
    path.write_text(SPREADSHEET)
    return path


def test_an_import_tells_what_it_did(dulcet, book, spreadsheet):
    answer = dulcet("node", "import", spreadsheet)
    assert answer.code == 1
    assert answer.output == (
        "CT: CT1@10.0.0.1:11112: not taken: another node has this name (--replace overwrites it)\n"
        "US-1: US1@10.0.0.3:104 (called 'US 1' there): added\n"
        f"1 of 3 nodes of {spreadsheet} (csv) entered in {book}\n"
    )
    assert answer.errors == "line 4: not taken: port: 1042345 is no port: a number from 1 to 65535\n"
    assert book.read_text() == f'{BOOK}\n[US-1]\nae_title = "US1"\nhost = "10.0.0.3"\nport = 104\n'


def test_a_dry_run_does_nothing(dulcet, book, spreadsheet):
    answer = dulcet("node", "import", spreadsheet, "--dry-run", "--replace")
    assert "CT: CT1@10.0.0.1:11112: replaced\n" in answer.output
    assert answer.output.endswith(f"2 of 3 nodes of {spreadsheet} (csv) would be entered in {book}\n")
    assert book.read_text() == BOOK


def test_a_replaced_node_keeps_what_the_file_does_not_say(dulcet, book, spreadsheet):
    assert dulcet("node", "import", spreadsheet, "--replace").code == 1
    assert book.read_text().startswith(BOOK.replace("port = 104", "port = 11112"))


def test_an_import_twice_changes_nothing_and_is_no_failure(dulcet, home, spreadsheet):
    spreadsheet.write_text(SPREADSHEET.replace("1042345", "104"))
    assert dulcet("node", "import", spreadsheet).code == 0
    before = (home / "nodes.toml").stat()
    answer = dulcet("node", "import", spreadsheet)
    assert answer.code == 0
    assert answer.output.count("is there already") == 3
    assert (home / "nodes.toml").stat() == before


def test_an_import_speaks_json(dulcet, book, spreadsheet):
    lines = [json.loads(line) for line in dulcet("node", "import", spreadsheet, "--json").output.splitlines()]
    assert [(line.get("name"), line["fate"]) for line in lines] == [
        ("CT", "kept"),
        ("US-1", "added"),
        (None, "refused"),
    ]


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [("none.json", 66, "No such file or directory"), ("letter.txt", 78, "the format is not recognized: say --format")],
)
def test_what_can_not_be_imported_is_told(dulcet, tmp_path, name, code, sentence):
    (tmp_path / "letter.txt").write_text("Dear colleague,\n")
    answer = dulcet("node", "import", tmp_path / name)
    assert answer.code == code
    assert sentence in answer.errors


# snippet -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def route(monkeypatch):
    """Every way leads out at 192.0.2.7."""
    monkeypatch.setattr("dulcet.commands.whoami.address_towards", lambda host, port: "192.0.2.7")
    monkeypatch.setattr("dulcet.commands.whoami.own_addresses", lambda: ["192.0.2.8"])


@pytest.mark.usefixtures("route")
def test_a_snippet_names_us_as_the_node_sees_us(dulcet, write):
    write("nodes.toml", BOOK.replace('"ORTHANC"', '"ORTHANC"\ncalling_ae_title = "WS7"'))
    answer = dulcet("node", "snippet", "PACS1", "--for", "orthanc")
    assert answer.code == 0
    assert '"ws7" : {"AET": "WS7", "Host": "192.0.2.7", "Port": 11112}' in answer.output
    assert "answers to the AE title DULCET" in answer.errors


@pytest.mark.usefixtures("route")
def test_the_command_line_has_the_last_word_in_a_snippet(dulcet, book):
    arguments = ("-aet", "ME", "--port", 104, "--address", "pacs.example.org", "--for", "dcmtk")
    assert "me = (ME, pacs.example.org, 104)\n" in dulcet("node", "snippet", "PACS1", *arguments).output


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_snippet_without_a_node_is_for_anybody(dulcet, write, product):
    write("dulcet.toml", '[dulcet]\naet = "SITE"\n[serve]\nport = 2762\ntls_cert = "our.pem"\n')
    answer = dulcet("node", "snippet", "--for", product)
    assert answer.code == 0
    assert "SITE" in answer.output
    assert "192.0.2.8" in answer.output
    assert "2762" in answer.output


def test_a_snippet_for_a_node_that_is_none(dulcet, book):
    answer = dulcet("node", "snippet", "PACS")
    assert (answer.code, answer.output) == (78, "")
    assert "did you mean 'PACS1'?" in answer.errors
