"""Changing the node book: what is not meant to change does not, whatever happens in the middle."""

import errno
import os
import stat
import threading
from dataclasses import replace

import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.book import node_editing
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.node_editing import HEAD, change_node_book, with_fields, with_nodes, without_nodes
from dulcet.station.book.nodes import Node

BOOK = """\
# Our peers, by Erika

# the CT in room 3
[CT]
ae_title = "CT1"
port = 104   # the vendor's
  # behind the firewall
tags = ["ct", # first
  "main"]
host = "10.0.0.1"
# phone 4711

# the MR
[MR]
ae_title = "MR1"
host = "10.0.0.2"
port = 104

# --- second floor ---

[US]
ae_title = "US1"
host = "10.0.0.3"
port = 104
"""
NEW = Node(name="PACS-1", ae_title="ORTHANC", host="::1", port=4242, notes='Raum "3" ä', tags=("archive",))
NEW_TEXT = """\
[PACS-1]
ae_title = "ORTHANC"
host = "::1"
port = 4242
notes = "Raum \\"3\\" ä"
tags = ["archive"]
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nodes.toml"


@pytest.fixture
def parse(path):
    return lambda text: NodeBook.parse(path, text)


def test_a_node_is_added_at_the_end(parse):
    assert with_nodes(parse(BOOK), [NEW]) == f"{BOOK}\n{NEW_TEXT}"


def test_the_first_node_makes_the_book(path):
    assert with_nodes(NodeBook(path, None), [NEW]) == f"{HEAD}\n{NEW_TEXT}"


def test_several_nodes_are_added_in_order(parse):
    other = replace(NEW, name="Röntgen", notes=None, tags=())
    assert (
        with_nodes(parse(""), [NEW, other])
        == f'{NEW_TEXT}\n["Röntgen"]\nae_title = "ORTHANC"\nhost = "::1"\nport = 4242\n'
    )


@pytest.mark.parametrize("text", ["[A]", "[A]\n", "[A]\n\n"])
def test_an_added_node_stands_apart(parse, text):
    assert with_nodes(parse(text), [NEW]) == f"[A]\n\n{NEW_TEXT}"


def test_a_name_that_is_taken_is_told_with_its_line(parse, path):
    with pytest.raises(ConfigurationError, match=rf"^{path}:14: there is a node MR already"):
        with_nodes(parse(BOOK), [replace(NEW, name="MR")])
    with pytest.raises(ConfigurationError, match="there is a node PACS-1 already"):
        with_nodes(parse(BOOK), [NEW, NEW])


def test_a_value_changes_and_nothing_round_it(parse):
    assert with_fields(parse(BOOK), {"CT": {"port": 11112}}) == BOOK.replace("port = 104   #", "port = 11112   #")


def test_a_new_field_stands_in_its_own_section(parse):
    text = with_fields(parse(BOOK), {"CT": {"jobs": 4, "retrieve": "get"}, "MR": {"jobs": 2}})
    expected = BOOK.replace('host = "10.0.0.1"\n', 'host = "10.0.0.1"\njobs = 4\nretrieve = "get"\n')
    assert text == expected.replace("port = 104\n\n# --- sec", "port = 104\njobs = 2\n\n# --- sec")


def test_a_field_is_taken_away(parse):
    text = with_fields(parse(BOOK), {"CT": {"tags": None, "notes": None}})
    assert text == BOOK.replace('tags = ["ct", # first\n  "main"]\n', "")


def test_what_stays_the_same_is_not_rewritten(parse):
    same = {"ae_title": "CT1", "port": 104, "tags": ["ct", "main"]}
    assert with_fields(parse(BOOK), {"CT": same}) == BOOK
    assert with_fields(parse(BOOK), {}) == BOOK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'A = {ae_title = "A", host = "h", port = 1} # here\nB = 1\n',
            'A = {ae_title = "A", host = "h", port = 2, jobs = 4} # here\nB = 1\n',
        ),
        (
            '[A]\r\nae_title = "A"\r\nhost = "h"\r\nport = 1\r\n\r\n# end\r\n',
            '[A]\r\nae_title = "A"\r\nhost = "h"\r\nport = 2\r\njobs = 4\r\n\r\n# end\r\n',
        ),
        (
            '[A]\nae_title = "A"\nhost = "h"\nport = 1 # last',
            '[A]\nae_title = "A"\nhost = "h"\nport = 2 # last\njobs = 4',
        ),
    ],
    ids=["inline", "CRLF", "no line feed at the end"],
)
def test_other_ways_to_write_a_node_are_changed_in_place(parse, text, expected):
    assert with_fields(parse(text), {"A": {"port": 2, "jobs": 4}}) == expected


def test_dotted_keys_are_changed(parse):
    text = with_fields(
        parse('A.ae_title = "A"\nA.host = "h"\nA.port = 1 # here\nB.port = 3\n'), {"A": {"port": 2, "jobs": 4}}
    )
    assert "A.port = 2 # here\n" in text
    assert "A.jobs = 4\n" in text
    assert "B.port = 3\n" in text


def test_a_change_to_what_can_not_be_is_refused_with_its_line(parse, path):
    with pytest.raises(ConfigurationError, match=rf"^{path}:15: \[MR\] ae_title: 'x{{17}}' is no AE title"):
        with_fields(parse(BOOK), {"MR": {"ae_title": "x" * 17}})
    with pytest.raises(ConfigurationError, match=r"is no node of .*; did you mean 'MR'\?"):
        with_fields(parse(BOOK), {"MRT": {"port": 1}})
    with pytest.raises(ConfigurationError, match="port is missing"):
        with_fields(parse(BOOK), {"MR": {"port": None}})


def test_a_fault_is_mended_by_a_change(parse):
    broken = BOOK.replace("port = 104   #", "port = 1042345   #")
    assert with_fields(parse(broken), {"CT": {"port": 104}}) == BOOK


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        (["CT"], BOOK[BOOK.index("# the CT") : BOOK.index("# the MR")]),
        (["MR"], BOOK[BOOK.index("# the MR") : BOOK.index("# --- sec")]),
        (["US"], "\n" + BOOK[BOOK.index("[US]") :]),
        (["CT", "MR"], BOOK[BOOK.index("# the CT") : BOOK.index("# --- sec")]),
    ],
)
def test_a_node_goes_with_its_own_comments_only(parse, names, gone):
    assert without_nodes(parse(BOOK), names) == BOOK.replace(gone, "")


def test_the_comment_at_the_head_of_the_file_stays(parse):
    assert without_nodes(parse("# ours\n[A]\nport = 1\n"), ["A"]) == "# ours\n"
    assert without_nodes(parse("[A]\nport = 1\n"), ["A"]) == ""


@pytest.mark.parametrize(
    "text", ["A = {port = 1} # here\nB = {port = 2}\n", "A.port = 1\nA.host = 'h'\nB = {port = 2}\n"]
)
def test_other_ways_to_write_a_node_are_removed(parse, text):
    assert without_nodes(parse(text), ["A"]) == "B = {port = 2}\n"


def test_only_what_is_there_can_be_removed(parse):
    with pytest.raises(ConfigurationError, match="is no node of"):
        without_nodes(parse(BOOK), ["XX"])


def test_a_result_that_does_not_say_what_was_meant_is_not_written(parse, monkeypatch):
    monkeypatch.setattr(node_editing, "_toml", lambda values: "[somebody-else]\n")
    with pytest.raises(ConfigurationError, match="edit it by hand"):
        with_nodes(parse(BOOK), [NEW])


# The file ------------------------------------------------------------------------------------------------------------


def add(path, node=NEW):
    change_node_book(path, lambda book: with_nodes(book, [node]))


def test_the_book_and_its_directory_are_made(tmp_path):
    path = tmp_path / "new" / "dulcet" / "nodes.toml"
    add(path)
    assert NodeBook.read(path).find("PACS-1") == NEW
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_mode_of_the_file_and_a_link_to_it_stay(path, tmp_path):
    real = tmp_path / "elsewhere.toml"
    real.write_text(BOOK)
    real.chmod(0o640)
    path.symlink_to(real)
    add(path)
    assert path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_text() == f"{BOOK}\n{NEW_TEXT}"


def test_the_new_text_is_on_the_disk_before_it_has_the_name(path, monkeypatch):
    calls = []
    path.write_text(BOOK)

    def record(name, function):
        def call(*arguments, **keywords):
            calls.append(name)
            return function(*arguments, **keywords)

        return call

    for name in ("write", "fsync"):
        monkeypatch.setattr(node_editing.os, name, record(name, getattr(os, name)))
    monkeypatch.setattr(node_editing.Path, "replace", record("replace", node_editing.Path.replace))
    add(path)
    assert calls == ["write", "fsync", "replace", "fsync"]


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_disk_that_is_full_leaves_the_book_as_it_was(path, monkeypatch, failing):
    path.write_text(BOOK)

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(node_editing.os, failing, fail)
    with pytest.raises(ConfigurationError, match=rf"^{path} can't be written: No space left on device$"):
        add(path)
    assert path.read_text() == BOOK
    assert {each.name for each in path.parent.iterdir()} == {"nodes.toml", ".nodes.toml.lock"}


def test_short_writes_are_gone_on_with(path, monkeypatch):
    write = os.write
    monkeypatch.setattr(node_editing.os, "write", lambda descriptor, octets: write(descriptor, octets[:7]))
    add(path)
    assert path.read_text() == f"{HEAD}\n{NEW_TEXT}"


def test_a_directory_that_may_not_be_written_is_told(path, monkeypatch):
    def refuse(*arguments, **keywords):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(node_editing.os, "open", refuse)
    with pytest.raises(ConfigurationError, match="can't be written: Permission denied"):
        add(path)


def test_an_editor_that_saves_in_the_meantime_loses_nothing(path):
    path.write_text(BOOK)
    saved = BOOK + "# saved by an editor\n"
    seen = []

    def change(book):
        seen.append(book.file.text)
        if len(seen) == 1:
            path.write_text(saved)
        return with_nodes(book, [NEW])

    change_node_book(path, change)
    assert seen == [BOOK, saved]
    assert path.read_text() == f"{saved}\n{NEW_TEXT}"


def test_a_file_that_never_stays_the_same_is_left_alone(path):
    path.write_text(BOOK)
    saves = iter(range(100))

    def change(book):
        path.write_text(f"{BOOK}# {next(saves)}\n")
        return with_nodes(book, [NEW])

    with pytest.raises(ConfigurationError, match="nothing was written"):
        change_node_book(path, change)
    assert path.read_text() == f"{BOOK}# {node_editing.ATTEMPTS - 1}\n"


def test_changes_at_the_same_time_are_all_kept(path, monkeypatch):
    monkeypatch.setattr(node_editing, "PATIENCE_SECONDS", 60.0)
    start = threading.Barrier(4)
    names = [f"N{number}" for number in range(20)]

    def add_some(mine):
        start.wait()
        for name in mine:
            add(path, replace(NEW, name=name))

    threads = [threading.Thread(target=add_some, args=(names[offset::4],)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(NodeBook.read(path).tables) == sorted(names)


def test_a_lock_that_is_held_for_ever_is_not_waited_for(path, monkeypatch):
    monkeypatch.setattr(node_editing, "PATIENCE_SECONDS", 0.0)
    with node_editing._locked(path), pytest.raises(ConfigurationError, match="another process holds"):
        add(path)
    add(path)
    assert "PACS-1" in NodeBook.read(path)


def test_a_book_that_is_no_toml_is_not_touched(path):
    path.write_text("[A\n")
    with pytest.raises(ConfigurationError, match=rf"^{path}:1: this is not TOML"):
        add(path)
    assert path.read_text() == "[A\n"
