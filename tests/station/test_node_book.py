"""Reading the node book: which node is meant, and where in the file a fault stands."""

import os
import subprocess
import sys

import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.book.node_book import NodeBook, names

BOOK = """\
# Our peers

[PACS1]  # the archive
ae_title = "ORTHANC"
host = "192.168.1.20"
port = 4242
tags = ["archive", "main"]

[CT2]
ae_title = "CT_2"
host = "10.0.0.2"
# was 104 before
port = 1042345

[MR]
ae_title = "MR"
host = "10.0.0.3"
port = 104
tags = ["main"]
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nodes.toml"


def book(path, text=BOOK):
    path.write_text(text)
    return NodeBook.read(path)


def test_a_node_is_found_by_its_name(path):
    node = book(path).find("PACS1")
    assert (node.name, node.address, node.tags) == ("PACS1", "ORTHANC@192.168.1.20:4242", ("archive", "main"))


def test_a_fault_is_told_with_file_and_line(path):
    with pytest.raises(ConfigurationError) as caught:
        book(path).find("CT2")
    assert str(caught.value) == f"{path}:13: [CT2] port: 1042345 is no port: a number from 1 to 65535"
    assert caught.value.exit_code == 78


def test_a_fault_of_one_node_is_no_fault_of_another(path):
    good, faults = book(path).nodes()
    assert [node.name for node in good] == ["PACS1", "MR"]
    assert [fault.split(": ")[0] for fault in faults] == [f"{path}:13"]


def test_nodes_are_chosen_by_tag_in_the_order_of_the_book(path):
    whole = book(path, BOOK.replace("1042345", "104"))
    assert [node.name for node in whole.select()] == ["PACS1", "CT2", "MR"]
    assert [node.name for node in whole.select(["main"])] == ["PACS1", "MR"]
    assert [node.name for node in whole.select(["archive", "main"])] == ["PACS1", "MR"]


def test_all_nodes_are_not_asked_for_while_one_is_at_fault(path):
    with pytest.raises(ConfigurationError, match=r"nodes\.toml:13: \[CT2\] port"):
        book(path).select(["main"])


@pytest.mark.parametrize(("tag", "hint"), [("mian", "; did you mean 'main'?"), ("zzz", "; there are: archive, main")])
def test_a_tag_that_no_node_has_is_told(path, tag, hint):
    with pytest.raises(ConfigurationError) as caught:
        book(path, BOOK.replace("1042345", "104")).select([tag])
    assert str(caught.value) == f"no node in {path} has the tag '{tag}'{hint}"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("PACS", "'PACS' is no node of {path}; did you mean 'PACS1'?"),
        ("pacs1", "'pacs1' is no node of {path}; did you mean 'PACS1'?"),
        ("other", "'other' is no node of {path}; `dulcet node list` shows them"),
        ("\x1b[31m", r"'\\x1b[31m' is no node of {path}; `dulcet node list` shows them"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(path, name, sentence):
    with pytest.raises(ConfigurationError) as caught:
        book(path).find(name)
    assert str(caught.value) == sentence.format(path=path)


def test_a_book_that_is_not_there_is_empty(path):
    empty = NodeBook.read(path)
    assert (len(empty), empty.nodes(), "PACS1" in empty, list(names(path))) == (0, ([], []), False, [])
    with pytest.raises(
        ConfigurationError, match=r"is no node: there is no node book .*; write AET@HOST:PORT, or `dulcet"
    ):
        empty.find("PACS1")
    with pytest.raises(ConfigurationError, match="is empty"):
        empty.select()


def test_an_empty_book_is_said_to_be_empty(path):
    with pytest.raises(ConfigurationError, match=rf"is no node: {path} is empty; "):
        book(path, "# nothing yet\n").find("PACS1")


def test_a_name_that_can_not_be_is_told_with_its_line(path):
    with pytest.raises(ConfigurationError) as caught:
        book(path, '\n["a b"]\nport = 1\n').find("a b")
    assert (
        str(caught.value)
        == f"{path}:2: [a b]: 'a b' is no name for a node: letters, digits, . _ - and not digits alone"
    )


def test_relative_paths_count_from_the_book(path):
    text = '[A]\nae_title = "A"\nhost = "h"\nport = 1\ntls = true\ntls_ca = "certificates/ca.pem"\n'
    assert book(path, text).find("A").tls_ca == path.parent / "certificates" / "ca.pem"


def test_names_for_completion_survive_every_fault(path):
    book(path)
    assert list(names(path)) == [
        ("PACS1", "ORTHANC@192.168.1.20:4242"),
        ("CT2", "CT_2@10.0.0.2:1042345"),
        ("MR", "MR@10.0.0.3:104"),
    ]
    path.write_text('a = "no table"\n[B]\n')
    assert list(names(path)) == [("B", "@:")]
    path.write_text("[B\n")
    assert list(names(path)) == []


def test_ten_thousand_nodes_are_no_trouble(path):
    whole = book(path, "".join(f'[N{n}]\nae_title = "N{n}"\nhost = "h"\nport = {n + 1}\n\n' for n in range(10_000)))
    assert len(whole) == 10_000
    assert whole.find("N9999").port == 10_000


def test_reading_needs_neither_tomlkit_nor_the_network(path):
    book(path)
    code = (
        "import sys, pathlib; from dulcet.station.book.node_book import NodeBook;"
        f"NodeBook.read(pathlib.Path({os.fspath(path)!r})).find('PACS1');"
        "print(sorted({'tomlkit', 'trio', 'rich', 'pydicom', 'difflib', 'tomllib'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout == "['tomllib']\n"
