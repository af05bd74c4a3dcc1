"""Options that find and retrieve share: what is looked for, and how it is asked."""

from datetime import date
from pathlib import Path
from typing import Any

import click

from dulcet.commands import conversation
from dulcet.commands.options import FILE, stacked, user_identity
from dulcet.commands.peers import how_to_call, peers, preferences
from dulcet.errors import ConfigurationError
from dulcet.services.find import QueryOptions
from dulcet.services.querying.query_models import Level
from dulcet.services.requestor import Peer
from dulcet.station.book.nodes import check_character_set
from dulcet.station.query.asking import Conversation, QuerySettings
from dulcet.station.query.dates import date_range
from dulcet.station.query.files import merged
from dulcet.station.query.keys import from_words
from dulcet.station.query.plan import LEVELS, Asked
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH


def _character_set(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value:
        try:
            check_character_set(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return value


query_options = stacked(
    click.option("-k", "--key", "keys", multiple=True, metavar="KEY[=VALUE]", help="A key to match, or to return."),
    click.option(
        "--query-file", "query_files", type=FILE, multiple=True, metavar="FILE", help="DICOM, JSON, TOML or KEY=VALUE."
    ),
    click.option("--patient", metavar="NAME", help="PatientName, with wild cards: 'DOE*'."),
    click.option("--patient-id", metavar="ID", help="PatientID."),
    click.option("--accession", metavar="NUMBER", help="AccessionNumber."),
    click.option("--date", "dates", metavar="DATE", help="today, last7d, 2026-01, 2026-01-01..2026-01-31, 20260101-"),
    click.option("--modality", metavar="CODE", help="CT, MR, ...: of the series, of a study's series, of the step."),
    click.option("--study", multiple=True, metavar="UID", help="StudyInstanceUID; may be repeated."),
    click.option("--series", multiple=True, metavar="UID", help="SeriesInstanceUID; may be repeated."),
    click.option("--image", multiple=True, metavar="UID", help="SOPInstanceUID; may be repeated."),
)
"""What is looked for."""

model_options = stacked(
    click.option(
        "--root",
        type=click.Choice(["auto", "study", "patient"]),
        default="auto",
        show_default=True,
        help="The information model.",
    ),
    click.option("--relational", is_flag=True, help="Ask for relational queries: keys of any level."),
    click.option(
        "--charset",
        metavar="TERM",
        default="",
        callback=_character_set,
        help="Character set of the query: 'ISO_IR 100'.",
    ),
    click.option("--no-check", is_flag=True, help="Send what the level forbids."),
    click.option("--max-time", type=click.FloatRange(min=0.1), metavar="SECONDS", help="For a query as a whole."),
)
"""How it is asked."""


def asked(level: Level | None, options: dict[str, Any], *, is_bare: bool = False) -> Asked:
    """What the options of `query_options` ask for at a level; click.UsageError says what is wrong with them."""
    for option in ("series", "image"):
        if level is None and options[option]:
            raise click.UsageError(f"--{option} can't choose from a worklist: what it holds has not been made yet")
    try:
        return Asked(
            level=level,
            keys=merged([Path(path) for path in options["query_files"]], from_words(options["keys"])),
            patient=options["patient"] or "",
            patient_id=options["patient_id"] or "",
            accession=options["accession"] or "",
            dates=date_range(options["dates"], date.today()) if options["dates"] else "",
            modality=options["modality"] or "",
            study=options["study"],
            series=options["series"],
            images=options["image"],
            is_bare=is_bare,
        )
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def query_settings(options: dict[str, Any], *, limit: int | None = None, **extended: bool) -> QuerySettings:
    """What the options of `model_options` say."""
    return QuerySettings(
        root=options["root"],
        options=QueryOptions(relational=options["relational"], **extended),
        limit=limit,
        max_seconds=options["max_time"],
        character_set=options["charset"] or "",
        is_checked=not options["no_check"],
    )


def take_level(words: list[str], default: str) -> Level | None:
    """The level that the words after PEER name; click.UsageError for what is none."""
    if len(words) > 1:
        raise click.UsageError(f"{words[1]!r} is too much: PEER, then one of {', '.join(LEVELS)}")
    word = words[0] if words else default
    if word not in LEVELS:
        near = next((name for name in LEVELS if word and name.startswith(word.lower()[:3])), None)
        hint = f"; did you mean {near}?" if near else ""
        raise click.UsageError(f"{word!r} is none of {', '.join(LEVELS)}{hint}")
    return LEVELS[word]


def one_peer(word: str, options: dict[str, Any]) -> Peer:
    """The peer that `word` names; what a node prefers is put into `options`."""
    known: dict[str, Any] = {name: options[name] for name in ("root", "charset", "via", "jobs") if name in options}
    known["max_pdu"] = None
    options.update(preferences(word, **known))
    (peer,) = peers([word], **how_to_call(options))
    return peer


def how_to_associate(options: dict[str, Any]) -> Conversation:
    """What peer, identity and conversation options say of the associations."""
    return Conversation(
        timeout=options["timeout"],
        max_pdu_length=options["max_pdu"] or DEFAULT_MAX_PDU_LENGTH,
        user_items=user_identity(options),
        trace=conversation.trace(options["verbose"]),
        on_transition=conversation.on_transition(options["verbose"]),
    )
