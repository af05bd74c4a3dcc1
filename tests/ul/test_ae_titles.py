"""AE titles: 16 octets on the wire, significant characters for people (PS3.8 Table 9-11)."""

import copy
import pickle

import pytest

from dulcet.ul.pdu import AAssociateRQ, AETitle, decode_pdu


@pytest.mark.parametrize(
    ("octets", "title"),
    [
        (b"ARCHIVE         ", "ARCHIVE"),
        (b"         ARCHIVE", "ARCHIVE"),
        (b"  TWO  WORDS    ", "TWO  WORDS"),
        (b"SIXTEEN_OCTETS_1", "SIXTEEN_OCTETS_1"),
        (b"                ", ""),
        (b"NUL\0\0\0\0\0\0\0\0\0\0\0\0\0", "NUL" + "\0" * 13),
        (b"A\r\n\x1b[31m        ", "A\r\n\x1b[31m"),
        (b"../../etc       ", "../../etc"),
        (b"M\xfcller          ", "M\u00fcller"),
        (bytes(range(0xF0, 0x100)), "".join(map(chr, range(0xF0, 0x100)))),
    ],
)
def test_octets_come_back_as_they_came(octets: bytes, title: str) -> None:
    request = AAssociateRQ(
        called_ae_title=AETitle.from_octets(octets), calling_ae_title=AETitle.from_octets(octets), items=()
    )
    decoded = decode_pdu(request.encode()).pdu
    assert isinstance(decoded, AAssociateRQ)
    assert decoded.called_ae_title == decoded.calling_ae_title == title
    assert decoded.called_ae_title.octets == octets
    assert decoded.encode()[10:42] == octets * 2


def test_a_title_as_people_write_it_is_padded() -> None:
    assert AETitle("ARCHIVE").octets == b"ARCHIVE         "
    assert AETitle("").octets == b" " * 16
    assert AETitle(" A ") == "A"


@pytest.mark.parametrize("title", ["SEVENTEEN_OCTETS_", "\u2026"])
def test_what_is_no_title_is_refused(title: str) -> None:
    with pytest.raises(ValueError, match=r"16 characters|latin-1"):
        AETitle(title)


def test_a_plain_string_is_taken_as_a_title() -> None:
    request = AAssociateRQ(called_ae_title="CALLED", calling_ae_title="CALLING", items=())  # type: ignore[arg-type]
    assert request.encode()[10:42] == b"CALLED          CALLING         "


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda title: pickle.loads(pickle.dumps(title))])
def test_a_copy_keeps_the_octets(duplicate) -> None:
    title = AETitle.from_octets(b"  A             ")
    assert duplicate(title).octets == title.octets
