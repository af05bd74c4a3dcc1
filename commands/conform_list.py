"""`dulcet conform scp --list` and `scu --list`: the cases, for people or as JSON Lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from dulcet.conformance.kit.case import Case, Role
from dulcet.conformance.kit.scu_session import title_of
from dulcet.conformance.kit.session import Selection
from dulcet.station.events import json_head


def json_line(event: str, values: Mapping[str, Any]) -> str:
    """One line as those of the other commands: `v`, `ts`, `event`, and the values."""
    return json.dumps({**json_head(event), **values})


def list_cases(cases: Sequence[Case], selection: Selection, *, as_json: bool, from_port: int | None = None) -> int:
    """Print what is selected. `from_port` is None for an acceptor, 0 when the called AE title chooses a case."""
    wanted = [case for case in cases if selection.wants(case)]
    doors = {} if from_port is None else _doors(wanted, from_port)
    for line in _json(wanted, doors, from_port) if as_json else _lines(wanted, doors):
        click.echo(line)
    return 0


def _doors(cases: Sequence[Case], from_port: int) -> dict[str, str]:
    playable = [case for case in cases if case.role is Role.REQUESTOR]
    return {case.id: str(from_port + index) if from_port else title_of(case.id) for index, case in enumerate(playable)}


def _lines(cases: Sequence[Case], doors: Mapping[str, str]) -> Iterator[str]:
    for case in cases:
        door = f"{doors.get(case.id, ''):10}" if doors else ""
        yield f"{door}{case.id:44} {case.level.word:13} {case.clause:20} {_what_is_done(case)}"


def _what_is_done(case: Case) -> str:
    if case.role is Role.PASSIVE:
        return "looked at in passing"
    return f"not played: {case.undecidable}" if case.undecidable else case.stimulus


def _json(cases: Sequence[Case], doors: Mapping[str, str], from_port: int | None) -> Iterator[str]:
    for case in cases:
        values: dict[str, Any] = {
            "id": case.id,
            "group": case.group,
            "level": case.level.word,
            "role": case.role.name.lower(),
            "clause": case.clause,
            "link": case.link,
            "requirement": case.requirement,
            "stimulus": case.stimulus,
            "allowed": list(case.allowed),
            "needs": list(case.needs),
            "undecidable": case.undecidable,
        }
        if case.id in doors:
            values["port" if from_port else "called_ae_title"] = int(doors[case.id]) if from_port else doors[case.id]
        yield json_line("conform.listed", values)
