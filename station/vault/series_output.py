"""Series as a table, CSV or JSON Lines. These name patients: that is what they are for."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from dulcet.escape import legible
from dulcet.station.archive.series import Series
from dulcet.station.events import json_head, rfc3339
from dulcet.station.figures import day, size
from dulcet.station.query.tables import MIN_CUT_COLUMNS, columns_of, fitted
from dulcet.station.report_file import not_a_formula

MAX_CELL_CHARACTERS = 200
COLUMNS = (
    "series",
    "arrived",
    "patient_name",
    "patient_id",
    "study_date",
    "modality",
    "series_number",
    "series_description",
    "study_description",
    "instances",
    "octets",
    "conflicts",
    "from",
    "series_instance_uid",
    "study_instance_uid",
)
"""Of CSV, and of JSON."""

_GAP = "  "
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_TITLES = ("Series", "Arrived", "Patient", "Study date", "Mod.", "Description", "Images", "Size", "From")
_CUT = {2: 24, 5: 28, 8: 20}
"""Columns that a terminal has no room for at their full width -> what they get."""
_RIGHT = (6, 7)


def moment(nanoseconds: int) -> datetime:
    """A time of the record."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def local(nanoseconds: int) -> str:
    """The same, as a clock on the wall shows it."""
    return moment(nanoseconds).astimezone().strftime("%Y-%m-%d %H:%M")


def fields(series: Series, short: str) -> dict[str, Any]:
    """By `COLUMNS`; values as the objects have them."""
    return {
        "series": short,
        "arrived": rfc3339(moment(series.arrived)),
        "patient_name": series.patient_name,
        "patient_id": series.patient_id,
        "study_date": series.study_date,
        "modality": series.modality,
        "series_number": series.series_number,
        "series_description": series.series_description,
        "study_description": series.study_description,
        "instances": series.instances,
        "octets": series.octets,
        "conflicts": series.conflicts,
        "from": list(series.sources),
        "series_instance_uid": series.series_instance_uid,
        "study_instance_uid": series.study_instance_uid,
    }


def write_json(output: TextIO, rows: Iterable[Mapping[str, Any]]) -> None:
    """A line for each."""
    for row in rows:
        output.write(json.dumps({**json_head("series"), **row}) + "\n")


def write_csv(output: TextIO, rows: Iterable[Mapping[str, Any]]) -> None:
    """A head line, and a line for each; nothing that a spreadsheet would run, or a terminal obey."""
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = (" ".join(value) if isinstance(value, list) else value for value in (row[name] for name in COLUMNS))
        writer.writerow([not_a_formula(legible(cell, 2000)) if isinstance(cell, str) else cell for cell in cells])


def write_table(
    output: TextIO, series: Sequence[Series], short: Mapping[str, str], *, width: int | None, colour: bool = False
) -> None:
    """A line for each; on a terminal, which has a `width`, long cells are cut."""
    rows = [_TITLES, *(_cells(each, short[each.series_instance_uid]) for each in series)]
    is_cut = width is not None and width >= MIN_CUT_COLUMNS
    widths = [
        min(max(columns_of(row[at]) for row in rows), _CUT.get(at, 80) if is_cut else MAX_CELL_CHARACTERS)
        for at in range(len(_TITLES))
    ]
    for number, row in enumerate(rows):
        cells = (fitted(cell, widths[at], at in _RIGHT, cuts=is_cut and at in _CUT) for at, cell in enumerate(row))
        line = _GAP.join(cells).rstrip(" ")
        output.write(f"{_BOLD}{line}{_PLAIN}\n" if colour and not number else f"{line}\n")


def _cells(series: Series, short: str) -> tuple[str, ...]:
    conflicts = f" +{series.conflicts:,}" if series.conflicts else ""
    texts = (
        short,
        local(series.arrived),
        f"{series.patient_name} ({series.patient_id})" if series.patient_id else series.patient_name,
        day(series.study_date),
        series.modality,
        series.series_description or series.study_description,
        f"{series.instances:,}{conflicts}",
        size(series.octets),
        ", ".join(series.sources),
    )
    return tuple(legible(text, MAX_CELL_CHARACTERS) for text in texts)
