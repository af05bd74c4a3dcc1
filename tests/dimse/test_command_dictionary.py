"""The command dictionary beside a transcription of PS3.7 Annex E."""

import re

import pytest
from pydicom.datadict import dictionary_keyword

from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS, TAGS, describe_tag


def snake_case(keyword):
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", keyword.replace("UID", "Uid")).lower()


def test_every_row_of_annex_e_and_no_other(transcription):
    tables = transcription("command_dictionary")
    ours = {
        f"(0000,{element.tag:04X})": ([element.keyword, element.vr, element.vm], element.is_retired)
        for element in COMMAND_ELEMENTS.values()
    }
    standard = {tag: (row, False) for tag, row in tables["registry"].items()}
    standard |= {tag: (row, True) for tag, row in tables["retired"].items()}
    assert ours == standard


def test_in_the_order_of_the_wire():
    assert list(COMMAND_ELEMENTS) == sorted(COMMAND_ELEMENTS)
    assert all(tag == element.tag for tag, element in COMMAND_ELEMENTS.items())


def test_a_fields_name_is_its_keyword():
    assert {element.name: snake_case(element.keyword) for element in COMMAND_ELEMENTS.values()} == {
        name: name for name in TAGS
    }
    assert all(COMMAND_ELEMENTS[tag].name == name for name, tag in TAGS.items())


@pytest.mark.parametrize("tag", COMMAND_ELEMENTS)
def test_pydicom_knows_the_keyword(tag):
    assert dictionary_keyword(tag) == COMMAND_ELEMENTS[tag].keyword


def test_a_tag_is_described_by_its_keyword_if_it_has_one():
    assert describe_tag(0x0110) == "MessageID (0000,0110)"
    assert describe_tag(0x9998) == "(0000,9998)"
    assert describe_tag(0x00080018) == "(0008,0018)"
