"""Matches as a table for people, or as CSV: a line for each as it comes, nothing is kept.

The widths of a table are fixed by what its columns hold, since the first match is shown before the last is found.
"""

import csv
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple, TextIO

from dulcet.dimse.uids import name_of
from dulcet.escape import legible
from dulcet.services.querying.identifiers import Identifier, keyword_of, value_text, vr_of
from dulcet.station.query.keys import Path, describe_path
from dulcet.station.report_file import not_a_formula

MAX_CELL_CHARACTERS = 200  # a peer must not fill a screen with one value
ELLIPSIS = "…"
_GAP = "  "
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"

_TITLES = {
    "NumberOfPatientRelatedStudies": "Studies",
    "NumberOfStudyRelatedSeries": "Series",
    "NumberOfStudyRelatedInstances": "Images",
    "NumberOfSeriesRelatedInstances": "Images",
    "ModalitiesInStudy": "Modality",
    "StudyDescription": "Description",
    "SeriesDescription": "Description",
    "StudyDate": "Date",
    "StudyTime": "Time",
    "PatientBirthDate": "Birth date",
    "PatientName": "Patient",
    "PatientID": "Patient ID",
    "PatientSex": "Sex",
    "AccessionNumber": "Accession",
    "SOPClassUID": "Class",
    "SeriesNumber": "No.",
    "InstanceNumber": "No.",
    "NumberOfFrames": "Frames",
    "BodyPartExamined": "Body part",
    "ScheduledProcedureStepStartDate": "Date",
    "ScheduledProcedureStepStartTime": "Time",
    "ScheduledStationAETitle": "Station",
    "ScheduledProcedureStepDescription": "Description",
    "RequestedProcedureID": "Procedure",
}
_WIDTHS = {
    b"DA": 10,
    b"TM": 8,
    b"IS": 6,
    b"US": 6,
    b"CS": 8,
    b"PN": 24,
    b"LO": 20,
    b"SH": 12,
    b"AE": 16,
    b"DT": 19,
    b"UI": 40,
}
_NARROW = {"PatientSex": 3, "SeriesNumber": 4, "InstanceNumber": 4, "PatientID": 12, "SOPClassUID": 28}
_RIGHT = (b"IS", b"US", b"UL", b"DS")
MIN_CUT_COLUMNS = 60  # a terminal narrower than this gets lines that wrap


class Column(NamedTuple):
    """One column of a table."""

    path: Path
    title: str
    width: int
    """In columns of a terminal, at least."""
    is_cut: bool
    """Whether what is wider may be cut; not UIDs, which people copy."""
    is_right: bool
    show: Callable[[str], str]


def column(path: Path) -> Column:
    """How a key is shown."""
    vr, keyword = vr_of(path[-1]), keyword_of(path[-1])
    title = _TITLES.get(keyword, keyword)
    width = max(_NARROW.get(keyword, _WIDTHS.get(vr, 16)), len(title))
    is_class = keyword == "SOPClassUID"
    show = _sop_class if is_class else _SHOWN.get(vr, str)
    return Column(path, title, width, is_class or vr != b"UI", vr in _RIGHT, show)


def value_at(identifier: Identifier, path: Path) -> str:
    r"""The value at a path, in the first items of its sequences, `\` between values; "" when it is not there. Raw."""
    elements = identifier.elements
    for tag in path[:-1]:
        element = elements.get(tag)
        if element is None or not element.items:
            return ""
        elements = element.items[0]
    element = elements.get(path[-1])
    return "" if element is None else value_text(element, identifier.declared_character_set)


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def _time(text: str) -> str:
    whole = text.partition(".")[0]
    return ":".join(whole[at : at + 2] for at in range(0, len(whole), 2)) if whole.isdigit() else text


def _sop_class(text: str) -> str:
    return name_of(text).removesuffix(" Storage") or text


_SHOWN: dict[bytes, Callable[[str], str]] = {b"DA": _date, b"TM": _time}


class TableWriter:
    """Writes matches as lines of a table; the head with the first. `width` is that of the terminal, None elsewhere.

    A cell that is too wide is cut, so that the rest of its row stays below its titles: not UIDs, not the last column,
    and nothing on a terminal so narrow that lines wrap. CSV and JSON have values as they came. Memory: none.
    """

    def __init__(self, output: TextIO, paths: Sequence[Path], *, width: int | None, colour: bool = False) -> None:
        self._output = output
        self._columns = [column(path) for path in paths]
        self._cuts = width is None or width >= MIN_CUT_COLUMNS
        self._colour = colour
        self._has_head = False

    def write(self, match: Identifier) -> None:
        """One line; DecodeError when the match can't be read, and nothing is written then."""
        last = self._columns[-1]
        cells = [self._cell(each, value_at(match, each.path), each is last) for each in self._columns]
        if not self._has_head:
            self._has_head = True
            head = self._line([fitted(each.title, each.width, each.is_right) for each in self._columns])
            self._output.write(f"{_BOLD}{head}{_PLAIN}\n" if self._colour else f"{head}\n")
        self._output.write(self._line(cells) + "\n")
        self._output.flush()

    def _cell(self, each: Column, value: str, is_last: bool) -> str:
        parts = [each.show(part.strip(" ")) for part in value.split("\\")]
        text = legible(", ".join(parts), MAX_CELL_CHARACTERS)
        return fitted(text, each.width, each.is_right, cuts=self._cuts and each.is_cut and not is_last)

    def _line(self, cells: Sequence[str]) -> str:
        return _GAP.join(cells).rstrip(" ")


def fitted(text: str, width: int, is_right: bool, *, cuts: bool = False) -> str:
    """`text` in `width` columns of a terminal: filled up, and cut if that is wanted."""
    columns = columns_of(text)
    if columns > width and cuts:
        kept, columns = [], len(ELLIPSIS)
        for character in text:
            columns += columns_of(character)
            if columns > width:
                columns -= columns_of(character)
                break
            kept.append(character)
        text = "".join(kept) + ELLIPSIS
    fill = " " * (width - columns)
    return fill + text if is_right else text + fill


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: ideographs two, marks on other letters none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


class CSVWriter:
    """Writes matches as CSV with a head line of keywords; values as they came, but nothing that a sheet would run."""

    def __init__(self, output: TextIO, paths: Sequence[Path]) -> None:
        self._output = output
        self._paths = paths
        self._writer = csv.writer(output, lineterminator="\n")
        self._has_head = False

    def head(self) -> None:
        """The head line; once, also when nothing matched."""
        if not self._has_head:
            self._has_head = True
            self._writer.writerow([describe_path(path) for path in self._paths])

    def write(self, match: Identifier) -> None:
        """One line."""
        self.head()
        self._writer.writerow([_harmless(value_at(match, path)) for path in self._paths])
        self._output.flush()


def _harmless(value: str) -> str:
    """No formula for a spreadsheet, no control for a terminal; the backslash between values stays."""
    return str(not_a_formula("\\".join(legible(part, MAX_CELL_CHARACTERS) for part in value.split("\\"))))
