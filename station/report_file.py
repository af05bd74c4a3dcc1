"""A report as a file, for a machine: JSON, or CSV if the name of the file ends so.

A row is written as it comes; names of files are kept octet for octet (PEP 383).
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dulcet.errors import ConfigurationError
from dulcet.station.events import JSON_SCHEMA_VERSION


def check_writable(path: Path | None) -> None:
    """Before the work: ConfigurationError when the report could not be written after it. None: there is none.

    What is there stays as it is, and where nothing was nothing is left: the report may lie in a folder that is sent.
    """
    if path is None:
        return
    try:
        try:
            path.open("x").close()
        except FileExistsError:
            path.open("a").close()
        else:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def write_report(
    path: Path, head: Mapping[str, Any], name: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]
) -> None:
    """JSON: `head` with `rows` under `name`, a line for each, without what is None. CSV: `columns`, then the rows.

    ConfigurationError when it can't be written.
    """
    try:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as output:
            if path.name.lower().endswith(".csv"):
                writer = csv.DictWriter(output, columns)
                writer.writeheader()
                writer.writerows({key: not_a_formula(value) for key, value in row.items()} for row in rows)
            else:
                output.write(json.dumps({"v": JSON_SCHEMA_VERSION, **head})[:-1] + f', "{name}": [')
                separator = "\n"
                for row in rows:
                    line = json.dumps({key: value for key, value in row.items() if value is not None})
                    output.write(separator + line)
                    separator = ",\n"
                output.write("\n]}\n")
    except OSError as error:
        raise _unwritable(path, error) from error


def not_a_formula(value: object) -> object:
    """What no spreadsheet takes for a formula to run: a peer may have chosen it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"the report can't be written to {path}: {error.strerror or error}")
