import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.escape import MAX_QUOTED_CHARACTERS, quote, quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PACS 1", "PACS 1"),
        ("", ""),
        ("\x1b[2J", "\\x1b[2J"),
        ("line\r\nfeed", "line\\x0d\\x0afeed"),
        ("back\\slash", "back\\x5cslash"),
        ("Müller", "M\\xc3\\xbcller"),
        ("\u202egnp", "\\xe2\\x80\\xaegnp"),
        (b"AE\x00\xff", "AE\\x00\\xff"),
        ("name\udcff", "name\\xff"),
        ("\ud800", "\\xed\\xa0\\x80"),
        ("\x7f", "\\x7f"),
    ],
)
def test_what_is_not_printable_ascii_is_escaped(text, expected):
    assert quote(text) == expected


def test_a_text_that_just_fits_is_not_cut():
    assert quote("x" * 64) == "x" * 64
    assert quote("x" * 65) == "x" * 61 + "..."


def test_a_cut_is_never_inside_an_escape():
    assert quote("\n" * 64) == "\\x0a" * 15 + "..."


@given(st.one_of(st.text(), st.binary(), st.text(alphabet=st.characters(codec=None))), st.integers(8, 80))
def test_the_result_is_printable_ascii_and_bounded(text, limit):
    shown = quote(text, limit)
    assert len(shown) <= limit
    assert all(" " <= character <= "~" for character in shown)


@given(st.text(max_size=12))
def test_what_is_not_cut_can_be_told_apart(text):
    octets = text.encode("utf-8", "surrogateescape")
    assert quote(text, 1000).encode().decode("unicode_escape").encode("latin-1") == octets


def test_a_long_text_costs_no_more_than_its_head():
    class Counting(str):
        def encode(self, *arguments):
            raise AssertionError("the whole text was encoded")

    assert len(quote(Counting("x" * 10_000_000))) == MAX_QUOTED_CHARACTERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A", "'A'"), ("", "''"), ("Ä\n", r"'\xc3\x84\x0a'"), ("O'NEIL", '"O\'NEIL"'), ("'\"", "''\"'")],
)
def test_a_value_within_a_sentence_is_escaped_once(text, expected):
    assert quoted(text) == expected
