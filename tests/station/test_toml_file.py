"""The line on which each thing stands, and sentences about what is no TOML."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.errors import ConfigurationError
from dulcet.station.book import toml_file
from dulcet.station.book.toml_file import TOMLFile, statements

EVERYTHING = '''# head
a = 1
"x=y".z = """several
lines \\"""
"""   # [not]
list = [ # ]
  1,
  "]",
]
[A]   # header
port = 1
'tags' = ["a"]
[ "b.c]" . d ]
inner = {x = 1, y = [1]}
[[many]]
text = \'\'\'
[not]
k = 1
\'\'\'
[A.sub]
date = 1979-05-27T07:32:00Z
'''

WHERE = [
    (("a",), 2, 2, False),
    (("x=y", "z"), 3, 5, False),
    (("list",), 6, 9, False),
    (("A",), 10, 10, True),
    (("A", "port"), 11, 11, False),
    (("A", "tags"), 12, 12, False),
    (("b.c]", "d"), 13, 13, True),
    (("b.c]", "d", "inner"), 14, 14, False),
    (("many",), 15, 15, True),
    (("many", "text"), 16, 19, False),
    (("A", "sub"), 20, 20, True),
    (("A", "sub", "date"), 21, 21, False),
]


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_each_statement_is_found_on_its_lines(ending):
    text = EVERYTHING.replace("\n", ending)
    tomllib.loads(text)
    found = [(each.keys, each.first_line, each.last_line, each.is_header) for each in statements(text)]
    assert found == WHERE


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("A",), 10),
        (("A", "port"), 11),
        (("A", "nowhere"), 10),
        (("b.c]", "d", "inner", "x"), 14),
        (("b.c]",), 13),
        (("x=y",), 3),
        (("nowhere",), 1),
    ],
)
def test_the_line_of_what_has_none_is_that_of_what_holds_it(tmp_path, keys, line):
    file = TOMLFile.parse(tmp_path / "f.toml", EVERYTHING)
    assert file.line(*keys) == line
    assert file.place(*keys) == f"{tmp_path}/f.toml:{line}"


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
        st.one_of(st.integers(-5, 5), st.text(max_size=12), st.lists(st.text(max_size=4), max_size=3)),
        max_size=6,
    )
)
def test_whatever_tomlkit_writes_is_found(values):
    import tomlkit

    text = tomlkit.dumps({"plain": values, "other": {"table": values}})
    file = TOMLFile.parse(toml_file.Path("f"), text)
    lines = text.split("\n")
    for key in values:
        assert tomllib.loads("[plain]\n" + lines[file.line("plain", key) - 1]).keys() >= {"plain"}
    keys = [each.keys for each in statements(text) if not each.is_header]
    assert keys == [("plain", key) for key in values] + [("other", "table", key) for key in values]


@pytest.mark.parametrize(
    ("text", "line", "explanation"),
    [
        ("a = 1\na = 2\n", 2, "this is there twice"),
        ("[A]\nb = 1\n[A]\n", 3, "[A] is there twice"),
        ("[A.b]\n[A.b]\n", 2, "[A.b] is there twice"),
        ("a = 1\n\nb = \n", 3, "this is not TOML: Invalid value"),
        ("a = 1\nb = '''\n\n", 2, "this is not TOML: Expected \"'''\""),
        ("[a\n", 1, "this is not TOML: Expected ']' at the end of a table declaration"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(tmp_path, text, line, explanation):
    path = tmp_path / "f.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        TOMLFile.read(path)
    assert str(caught.value) == f"{path}:{line}: {explanation}"


def test_what_is_not_utf_8_is_told_with_its_line(tmp_path):
    path = tmp_path / "f.toml"
    path.write_bytes("a = 1\nb = 'ü'\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"f\.toml:2: the file is not in UTF-8"):
        TOMLFile.read(path)


def test_a_byte_order_mark_is_no_key(tmp_path):
    path = tmp_path / "f.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert TOMLFile.read(path).values == {"a": 1}


def test_what_can_not_be_read_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r"can't be read: Is a directory"):
        TOMLFile.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        TOMLFile.read(tmp_path / "none.toml")


def test_a_file_that_never_ends_is_not_read_whole(monkeypatch):
    monkeypatch.setattr(toml_file, "MAX_OCTETS", 1024)
    with pytest.raises(ConfigurationError, match="larger than"):
        TOMLFile.read(toml_file.Path("/dev/zero"))


def test_values_nested_too_deep_are_told(tmp_path):
    with pytest.raises(ConfigurationError, match="nested too deep"):
        TOMLFile.parse(tmp_path / "f.toml", "a = " + "[" * 100_000)
