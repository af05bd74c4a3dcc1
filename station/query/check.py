"""What an archive would refuse, or answer with nothing, told before it is asked (PS3.4 C.2.2.2, C.4.1.2, C.4.2.2)."""

from collections.abc import Iterator

from dulcet.dimse.uids import is_valid_uid
from dulcet.escape import quoted
from dulcet.services.querying.identifiers import Keys, keyword_of, vr_of
from dulcet.services.querying.query_models import STUDY_ROOT, UNIQUE_KEYS, Level, Model
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET
from dulcet.station.query.date_values import is_date_match, is_date_time_match, is_time_match
from dulcet.station.query.keys import Path, describe_path, walk

_WORDS = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "images"}
_OF = {
    Level.PATIENT: "of a patient",
    Level.STUDY: "of a study",
    Level.SERIES: "of a series",
    Level.IMAGE: "of an image",
}
_OPTIONS = {
    Level.PATIENT: "--patient-id ID",
    Level.STUDY: "--study UID",
    Level.SERIES: "--series UID",
    Level.IMAGE: "--image UID",
}
_LONGEST_LIST = 5000  # UIDs: 64 octets each are 320 kB, and archives give up before that


def objections(keys: Keys, model: Model, level: Level | None, *, relational: bool = False) -> list[str]:
    """A sentence for each thing in a C-FIND identifier that its model, its level or its VR forbids; none is well.

    `relational`: the peer agreed to relational queries, or is to be asked for them.
    """
    found = [sentence for path, value in walk(keys) for sentence in _about_value(path, value)]
    if level is not None:
        found += _about_levels(keys, model, level, relational)
    return found


def retrieval_objections(keys: Keys, model: Model, level: Level) -> list[str]:
    """The same for the identifier of a C-MOVE or C-GET: unique keys, and nothing else (PS3.4 C.4.2.1.4.1)."""
    allowed = {UNIQUE_KEYS[each] for each in (*model.above(level), level)} | {SPECIFIC_CHARACTER_SET, 0x00080052}
    names = ", ".join(keyword_of(UNIQUE_KEYS[each]) for each in (*model.above(level), level))
    found = [
        f"{keyword_of(tag)} can't choose what is sent: only unique keys can, here {names};"
        " `dulcet retrieve` looks up what other keys mean"
        for tag in keys
        if tag not in allowed
    ]
    for each in (*model.above(level), level):
        values = _values(keys, UNIQUE_KEYS[each])
        is_list = each is level and level is not Level.PATIENT
        if not values:
            found.append(f"{keyword_of(UNIQUE_KEYS[each])} is missing: say {_OPTIONS[each]}")
        elif len(values) > 1 and not is_list:
            found.append(f"{keyword_of(UNIQUE_KEYS[each])} may have one value here, not {len(values)}")
    return [*found, *(sentence for path, value in walk(keys) for sentence in _about_value(path, value))]


def _values(keys: Keys, tag: int) -> list[str]:
    value = keys.get(tag)
    return [each for each in value.split("\\") if each] if isinstance(value, str) else []


# Levels -------------------------------------------------------------------------------------------------------------


def _about_levels(keys: Keys, model: Model, level: Level, relational: bool) -> Iterator[str]:
    if not relational:
        yield from _missing_parents(keys, model, level)
    for tag, value in keys.items():
        own = model.level_of(tag)
        if own is None or own is level:
            continue
        if own in model.below(level):
            yield _below(tag, own, level)
        elif not relational and tag != UNIQUE_KEYS[own] and _is_filled(value):
            yield (
                f"{keyword_of(tag)} is {_OF[own]}, so it can't choose {_WORDS[level]}: give"
                f" {keyword_of(UNIQUE_KEYS[own])}, or ask for {_WORDS[own]} first"
                " (--relational, if the peer has relational queries)"
            )


def _missing_parents(keys: Keys, model: Model, level: Level) -> Iterator[str]:
    for each in model.above(level):
        tag = UNIQUE_KEYS[each]
        values = _values(keys, tag)
        if len(values) == 1 and "*" not in values[0] and "?" not in values[0]:
            continue
        what = "is missing" if not values else "has several values, or wild cards"
        hint = f"say {_OPTIONS[each]}, or --relational if the peer has relational queries"
        if each is Level.PATIENT:
            hint += f"; in the {STUDY_ROOT.name} model (--root study) it is not needed"
        one = {Level.PATIENT: "one patient", Level.STUDY: "one study", Level.SERIES: "one series"}[each]
        yield f"{_WORDS[level]} are looked for within {one}, and {keyword_of(tag)} {what}: {hint}"


def _below(tag: int, own: Level, level: Level) -> str:
    text = f"{keyword_of(tag)} is {_OF[own]}, and {_WORDS[level]} are looked for"
    if keyword_of(tag) == "Modality":
        return f"{text}: --modality asks for ModalitiesInStudy there"
    return f"{text}: ask for {_WORDS[own]}"


def _is_filled(value: object) -> bool:
    return value not in ("", [])


# Values -------------------------------------------------------------------------------------------------------------


def _about_value(path: Path, value: str) -> Iterator[str]:
    if not value:
        return
    name, vr = describe_path(path), vr_of(path[-1])
    if any(not character.isprintable() for character in value):
        yield f"{name}: {quoted(value)} has characters that can't be printed"
    elif vr == b"UI":
        yield from _about_uids(name, value)
    elif "\\" in value and vr not in (b"LT", b"ST", b"UT", b"UR", b"AT"):
        yield f"{name}: only UIDs can be matched with a list of values (PS3.4 C.2.2.2.2); ask once for each"
    elif vr == b"DA" and not is_date_match(value):
        yield f"{name}: {quoted(value)} is no date and no range of dates: 20260131, 20260101-20260131, 20260101-"
    elif vr == b"TM" and not is_time_match(value):
        yield f"{name}: {quoted(value)} is no time and no range of times: 0930, 0800-1200"
    elif vr == b"DT" and not is_date_time_match(value):
        example = "20260131093000, 20260131-20260201, 202601311200+0100"
        yield f"{name}: {quoted(value)} is no date-time and no range of them: {example}"


def _about_uids(name: str, value: str) -> Iterator[str]:
    uids = value.split("\\")
    wrong = next((uid for uid in uids if not is_valid_uid(uid)), None)
    if wrong == "*":
        yield f"{name}: a UID has no wild cards; leave the value away to match any"
    elif wrong is not None:
        yield f"{name}: {quoted(wrong)} is no UID (digits and dots; wild cards are not for UIDs, PS3.4 C.2.2.2.4)"
    elif len(uids) > _LONGEST_LIST:
        yield f"{name}: a list of {len(uids)} UIDs is more than archives take; ask in parts of {_LONGEST_LIST}"
