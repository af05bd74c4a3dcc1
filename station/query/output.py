"""Where matches go as they come: a table, CSV, JSON Lines, DICOM files. None of them keeps a match."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO
from uuid import uuid4

from dulcet.errors import ConfigurationError, DecodeError
from dulcet.services.find import Match
from dulcet.services.part10 import encode_header
from dulcet.station.events import Event
from dulcet.station.query.events import FindMatch
from dulcet.station.query.json_model import json_model
from dulcet.station.query.plan import Query
from dulcet.station.query.tables import CSVWriter, TableWriter
from dulcet.station.terminal import has_colour, moves_cursor


class MatchWriter(Protocol):
    """Takes matches one by one."""

    def write(self, match: Match, number: int) -> None:
        """One match, the `number`-th; DecodeError when it can't be read, BrokenPipeError when the reader has gone."""

    def close(self) -> None:
        """There are no more."""


class TableOutput:
    """A table on `output`: colours and cut cells on a terminal only, as NO_COLOR and TERM allow."""

    def __init__(self, output: TextIO, query: Query) -> None:
        width = shutil.get_terminal_size().columns if moves_cursor(output) else None
        self._table = TableWriter(output, query.columns, width=width, colour=has_colour(output))

    def write(self, match: Match, number: int) -> None:
        """See `MatchWriter`."""
        self._table.write(match)

    def close(self) -> None:
        """See `MatchWriter`."""


class CSVOutput:
    """CSV on `output`; the head line also without matches."""

    def __init__(self, output: TextIO, query: Query) -> None:
        self._csv = CSVWriter(output, query.columns)

    def write(self, match: Match, number: int) -> None:
        """See `MatchWriter`."""
        self._csv.write(match)

    def close(self) -> None:
        """See `MatchWriter`."""
        self._csv.head()


class EventOutput:
    """A `find.match` event for each match."""

    def __init__(self, report: Callable[[Event], None], peer: str) -> None:
        self._report = report
        self._peer = peer

    def write(self, match: Match, number: int) -> None:
        """See `MatchWriter`; what can't be read is an event, too."""
        status = f"{match.status:04X}H"
        try:
            model = json_model(match)
        except DecodeError as error:
            self._report(FindMatch(peer=self._peer, number=number, status=status, unreadable=str(error)))
            raise
        self._report(FindMatch(peer=self._peer, number=number, status=status, identifier=model))

    def close(self) -> None:
        """See `MatchWriter`."""


class DICOMFileOutput:
    """A DICOM file for each match, `match-000001.dcm` and so on, its data set octet for octet as it came.

    ConfigurationError when the directory can't be used, or has such a file already.
    """

    def __init__(self, directory: Path, query: Query) -> None:
        self._directory = directory
        self._sop_class_uid = query.model.find
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"--dcm {directory}: {error.strerror}") from error

    def write(self, match: Match, number: int) -> None:
        """See `MatchWriter`; the identifier is not looked into."""
        path = self._directory / f"match-{number:06}.dcm"
        header = encode_header(
            sop_class_uid=self._sop_class_uid,
            sop_instance_uid=f"2.25.{uuid4().int}",  # PS3.5 B.2
            transfer_syntax_uid=match.transfer_syntax,
        )
        try:
            with path.open("xb") as file:
                file.write(header)
                file.write(match.octets)
        except FileExistsError as error:
            raise ConfigurationError(f"{path} is there already: name another directory with --dcm") from error
        except OSError as error:
            raise ConfigurationError(f"{path} can't be written: {error.strerror}") from error

    def close(self) -> None:
        """See `MatchWriter`."""
