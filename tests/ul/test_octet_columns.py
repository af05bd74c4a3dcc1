"""The octet column of every layout against the standard's tables, transcribed apart from ours."""

import inspect
import json
import re
from pathlib import Path

import pytest

from dulcet.ul import items, pdata, pdu, user_items
from dulcet.ul.fields import Layout
from dulcet.ul.item import Item
from dulcet.ul.pdata import PRESENTATION_DATA_VALUE
from dulcet.ul.pdu import PDU_TYPES

TABLES = json.loads((Path(__file__).parents[1] / "data" / "layouts.json").read_text())["tables"]
CODES = {pdu.LAYOUT: pdu_type for pdu_type, pdu in PDU_TYPES.items()}
CODES |= {item.LAYOUT: item.ITEM_TYPE for item in Item.__subclasses__()}
LAYOUTS = [*CODES, PRESENTATION_DATA_VALUE]

SAME = {
    "9-15": ["9-19"],
    "9-16": ["9-20"],
    "D.1-1": ["D.1-2"],
    "D.3-1": ["D.3-2"],
    "D.3-3": ["D.3-4"],
    "D.3-7": ["D.3-8"],
    "D.3-9": ["D.3-10"],
}
"""Tables of the A-ASSOCIATE-AC that repeat those of the A-ASSOCIATE-RQ."""

OUR_NAMES = {
    "Variable items": "items",
    "Abstract/Transfer Syntax Sub-Items": "sub_items",
    "Transfer syntax sub-item": "sub_items",
    "User-data": "sub_items",
    "Application-context-name": "name",
    "Abstract-syntax-name": "name",
    "Transfer-syntax-name(s)": "name",
    "Transfer-syntax-name": "name",
    "Implementation-version-name": "name",
    "Implementation-class-uid": "uid",
    "Presentation-context-ID": "context_id",
    "Result/Reason": "result",
    "Reason/Diag.": "reason",
    "Presentation-data-value Item(s)": "values",
    "Sub-Item-version": "version",
    "Related-general-sop-class-identification-length": "related_general_length",
    "Related-general-sop-class-identification": "related_general_sop_class_uids",
}


def standard_rows(table: str) -> list[tuple[str, str]]:
    """(octets, our name): a row that starts after a field of any length is `xxx`, as most of the tables print it."""
    return [(_octets(octets), _name(field)) for octets, field in TABLES[table]["rows"]]


def _octets(printed: str) -> str:
    first, *rest = re.fullmatch(r"(\d+|[^\d].*?)(?:-(\d+|[a-z]+))?", printed.replace(" ", "")).groups()
    if not first.isdigit():
        return "xxx"
    last = rest[0]
    return first if last is None else f"{first}-{last}" if last.isdigit() else f"{first}-xxx"


def _name(printed: str) -> str:
    return OUR_NAMES.get(printed) or printed.lower().replace("-", "_").replace(" ", "_")


@pytest.mark.parametrize(
    "layout", [layout for layout in LAYOUTS if layout.table != "9-23"], ids=lambda part: part.table
)
def test_a_layout_has_the_rows_of_its_table(layout: Layout) -> None:
    ours = layout.octet_column()
    for table in (layout.table, *SAME.get(layout.table, ())):
        rows = standard_rows(table)
        if table == "9-17":
            rows[5:7] = [(rows[5][0], "called_ae_title"), (rows[6][0], "calling_ae_title")]  # reserved, and repeated
        if table == "D.3-12":
            rows[-1] = (rows[-1][0], "reserved_to_end")
        assert ours == rows
        assert int(TABLES[table]["type"].rstrip("H"), 16) == CODES[layout]
        assert TABLES[table]["part"] in layout.clause


def test_the_presentation_data_value_is_a_message_control_header_and_a_fragment() -> None:
    """Table 9-23 has one field where Annex E.2 has two."""
    *ours, header, fragment = PRESENTATION_DATA_VALUE.octet_column()
    *rows, value = standard_rows("9-23")
    assert ours == rows
    assert value == ("6-xxx", "presentation_data_value")
    assert [header, fragment] == [("6", "message_control_header"), ("7-xxx", "fragment")]


def test_the_related_general_classes_are_pairs_of_length_and_uid() -> None:
    """Table D.3-13 is in the layout of Table D.3-12: `test_golden_octets` has its octets."""
    assert standard_rows("D.3-13") == [
        ("1-2", "related_general_sop_class_uid_length"),
        ("3-xxx", "related_general_sop_class_uid"),
    ]


def test_every_table_is_compared() -> None:
    compared = {layout.table for layout in LAYOUTS} | {table for tables in SAME.values() for table in tables}
    assert compared | {"D.3-13"} == set(TABLES)
    assert len(LAYOUTS) == 7 + 15 + 1


@pytest.mark.parametrize("module", [pdu, items, user_items, pdata], ids=lambda module: module.__name__)
def test_the_comments_in_the_source_are_the_octet_columns(module: object) -> None:
    columns = {layout.table: [octets for octets, _ in layout.octet_column()] for layout in LAYOUTS}
    blocks = re.findall(r'= Layout\(\n +"([^"]+)",\n(.*?)\n {0,4}\)\n', inspect.getsource(module), re.DOTALL)
    assert blocks
    for table, body in blocks:
        assert re.findall(r",  # (\S+)$", body, re.MULTILINE) == columns[table]
