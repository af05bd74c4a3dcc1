r"""Texts in the character sets of DICOM, beside the examples of PS3.5 Annexes H to K."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.services.querying.character_sets import decode_text, encode_text
from dulcet.services.querying.identifiers import Identifier, encode_identifier

EXPLICIT = "1.2.840.10008.1.2.1"
NAME, SOP_INSTANCE = 0x00100010, 0x00080018

EXAMPLES = [
    pytest.param(  # PS3.5 H.3.1
        r"\ISO 2022 IR 87",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        id="Japanese, ideographic and phonetic",
    ),
    pytest.param(  # PS3.5 H.3.2
        r"ISO 2022 IR 13\ISO 2022 IR 87",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        id="Japanese, half-width katakana",
    ),
    pytest.param(  # PS3.5 I.2
        r"\ISO 2022 IR 149",
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        id="Korean",
    ),
    pytest.param("ISO_IR 192", "Wang^XiaoDong=王^小東", "Wang^XiaoDong=王^小東".encode(), id="UTF-8"),  # PS3.5 J.1
    pytest.param("GB18030", "Wang^XiaoDong=王^小东", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", id="GB18030"),  # J.3
    pytest.param("GBK", "Wang^XiaoDong=王^小东", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", id="GBK"),
    pytest.param("ISO_IR 126", "Διονυσιος", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", id="Greek"),
    pytest.param("ISO_IR 100", "Buc^Jérôme", b"Buc^J\xe9r\xf4me", id="Latin-1"),
    pytest.param("ISO_IR 101", "Wałęsa", b"Wa\xb3\xeasa", id="Latin-2"),
    pytest.param("ISO_IR 144", "Люкceмбypг", b"\xbb\xee\xdace\xdc\xd1yp\xd3", id="Cyrillic"),  # noqa: RUF001
    pytest.param("ISO_IR 127", "قباني^لنزار", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", id="Arabic"),
    pytest.param("ISO_IR 138", "שרון^דבורה", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", id="Hebrew"),
    pytest.param("ISO_IR 166", "นามสกุล", b"\xb9\xd2\xc1\xca\xa1\xd8\xc5", id="Thai"),
    pytest.param("ISO_IR 148", "Çavuşoğlu", b"\xc7avu\xfeo\xf0lu", id="Turkish"),
    pytest.param(r"ISO_IR 100\ISO 2022 IR 126", "Dionysios^Διονυσιος", None, id="Latin and Greek"),
]


@pytest.mark.parametrize(("terms", "text", "octets"), EXAMPLES)
def test_a_name_as_the_standard_writes_it(terms, text, octets):
    written = encode_text(text, b"PN", terms)
    assert octets is None or written == octets
    assert decode_text(written, terms) == text


@pytest.mark.parametrize(("terms", "text", "octets"), EXAMPLES)
@pytest.mark.parametrize("syntax", [EXPLICIT, "1.2.840.10008.1.2"])
def test_a_name_goes_out_and_comes_in(terms, text, octets, syntax):
    identifier = Identifier(encode_identifier({NAME: text}, syntax, terms), syntax)
    assert identifier.text(NAME) == text
    assert identifier.declared_character_set == terms.strip()
    assert str(identifier.data_set.PatientName) == text  # pydicom agrees


YAMADA = b"Yamada=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
HONG = b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"
ALONE = [
    ("ISO 2022 IR 87", "Yamada=山田^太郎", YAMADA),
    ("ISO 2022 IR 159", "A^丂丄=x", b'A^\x1b$(D0!0"\x1b(B=x'),
    ("ISO 2022 IR 149", "Hong=洪^吉洞", HONG),
    ("ISO 2022 IR 58", "Wang=王^小东", b"Wang=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab"),  # as PS3.5 K.2
]


@pytest.mark.parametrize(("term", "text", "octets"), ALONE)
def test_a_multi_byte_character_set_alone_extends_the_default_repertoire(term, text, octets):
    """PS3.3 C.12.1.1.2: each needs a first value, empty for the default; PS3.5 6.1.2.5.3: delimiters are in that."""
    assert encode_text(text, b"PN", term) == encode_text(text, b"PN", f"\\{term}") == octets
    assert decode_text(octets, term) == decode_text(octets, f"\\{term}") == text
    identifier = Identifier(encode_identifier({NAME: text}, EXPLICIT, term), EXPLICIT)
    assert (identifier.declared_character_set, identifier.text(NAME)) == (f"\\{term}", text)


def test_octets_that_lack_their_escape_sequences_are_read_in_a_character_set_alone():
    assert decode_text(b"Hong=\xfb\xf3^\xd1\xce\xd4\xd7", "ISO 2022 IR 149") == "Hong=洪^吉洞"


def test_each_line_begins_in_the_default_repertoire():
    octets = b"\x1b$B;3ED\x1b(B\r\n\x1b$BB@O:\x1b(B"
    assert encode_text("山田\r\n太郎", b"LT", r"\ISO 2022 IR 87") == octets


@pytest.mark.parametrize("terms", ["", "ISO_IR 100", "ISO_IR 192", r"\ISO 2022 IR 87"])
def test_ascii_is_ascii_everywhere(terms):
    assert encode_text("DOE^JOHN*", b"PN", terms) == b"DOE^JOHN*"


def test_without_a_character_set_what_is_not_ascii_goes_out_as_utf_8():
    plain = encode_identifier({NAME: "DOE"}, EXPLICIT)
    assert b"\x08\0\x05\0" not in plain
    identifier = Identifier(encode_identifier({NAME: "山田*"}, EXPLICIT), EXPLICIT)
    assert (identifier.declared_character_set, identifier.text(NAME)) == ("ISO_IR 192", "山田*")


def test_a_character_set_that_was_asked_for_is_said_even_when_it_is_not_needed():
    identifier = Identifier(encode_identifier({NAME: "DOE"}, EXPLICIT, "ISO_IR 100"), EXPLICIT)
    assert identifier.declared_character_set == "ISO_IR 100"


def test_a_character_set_among_the_keys_is_used():
    for keys in ({0x00080005: "ISO_IR 100", NAME: "Ä"}, {0x00080005: "", NAME: "Ä"}):
        octets = encode_identifier(keys, EXPLICIT)
        assert Identifier(octets, EXPLICIT).text(NAME) == "Ä"
        assert (b"\xc4 " in octets) is bool(keys[0x00080005])
    assert encode_identifier({0x00080005: ""}, EXPLICIT) == b""  # it shall not be empty, PS3.4 C.2.2.2


@pytest.mark.parametrize(
    ("text", "vr", "terms", "explanation"),
    [
        ("山田", "PN", "ISO_IR 100", "can't be written in the character set ISO_IR 100"),
        ("Ä", "PN", r"\ISO 2022 IR 87", "can't be written"),
        ("Ä山", "PN", r"\ISO 2022 IR 87", "can't be written"),
        ("Ä洪", "PN", r"ISO 2022 IR 6\ISO 2022 IR 149", "can't be written"),
        ("Ä", "CS", "ISO_IR 192", "is not ASCII, and a CS holds nothing else"),
        ("1.2.Ä", "UI", "ISO_IR 192", "a UI holds nothing else"),
    ],
)
def test_what_a_character_set_can_not_hold(text, vr, terms, explanation):
    with pytest.raises(ValueError, match=explanation):
        encode_text(text, vr.encode(), terms)


@pytest.mark.parametrize(
    ("octets", "fallback", "expected"),
    [
        (b"M\xc3\xbcller", "", "Müller"),  # nothing declared, and it is UTF-8
        (b"M\xfcller", "", "Müller"),  # nothing declared, and it is not
        (b"\xc4\xe9", "ISO_IR 126", "Δι"),  # the node's character set
        (b"M\xfcller", "ISO_IR 192", "M\ufffdller"),
        (b"\xff\xfe", "NO SUCH SET", "ÿþ"),
        (b"\x1b$Bxx\x1b$B", r"\ISO 2022 IR 87", None),
        (b"\x1b%G\xe5", "ISO_IR 100", None),
    ],
)
def test_what_comes_without_a_character_set_or_in_a_wrong_one(octets, fallback, expected):
    text = decode_text(octets, fallback)
    assert isinstance(text, str)
    assert expected is None or text == expected


@given(
    octets=st.binary(max_size=24), terms=st.sampled_from(["", "ISO_IR 192", r"ISO 2022 IR 13\ISO 2022 IR 87", "GBK"])
)
def test_no_octets_fail(octets, terms):
    assert isinstance(decode_text(octets, terms), str)


def test_values_are_encoded_one_by_one():
    octets = encode_text("山\\田", b"LO", r"\ISO 2022 IR 87")
    assert octets == b"\x1b$B;3\x1b(B\\\x1b$BED\x1b(B"
    assert decode_text(octets, r"\ISO 2022 IR 87") == "山\\田"


def test_a_backslash_of_a_text_is_a_character():
    """So it does not reset the character set, as one between values does (PS3.5 6.1.2.5.3)."""
    terms = r"ISO 2022 IR 100\ISO 2022 IR 149"
    assert encode_text("洪\\Ä", b"UT", terms) == b"\x1b$)C\xfb\xf3\\\x1b-A\xc4"
    assert encode_text("洪\\Ä", b"LO", terms) == b"\x1b$)C\xfb\xf3\\\xc4"


def test_a_second_octet_that_looks_like_a_delimiter():
    """GB18030: the second octet of these is 5CH and 5EH."""
    text = b"\x81\x5c\x81\x5e".decode("gb18030")
    identifier = Identifier(encode_identifier({0x00081030: text}, EXPLICIT, "GB18030"), EXPLICIT)
    assert identifier.values(0x00081030) == [text]
