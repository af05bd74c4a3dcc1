"""What a C-FIND, C-MOVE or C-GET request asks for, read from its identifier and held to its model (PS3.4 C.4, C.6).

Baseline is the Hierarchical Search: one value in the unique key of each level above. Where relational behaviour was
negotiated any level may be left out. Key attributes of a level above are understood, though the baseline has none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dulcet.dimse.status import CANNOT_UNDERSTAND, DATA_SET_DOES_NOT_MATCH_SOP_CLASS
from dulcet.errors import DecodeError
from dulcet.escape import quote
from dulcet.services.querying.attributes import BY_TAG, STUDY_DATE, STUDY_TIME, Attribute
from dulcet.services.querying.identifiers import QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE, Identifier
from dulcet.services.querying.matching import Key, Kind, combined, compile_key
from dulcet.services.querying.query_models import UNIQUE_KEYS, Level, Model
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET, tag_text

QUERY_RETRIEVE_VIEW = 0x00080053
INSTANCE_AVAILABILITY = 0x00080056
TIMEZONE_OFFSET = 0x00080201

_NEVER_MATCHED = {  # PS3.4 C.2.2.2, C.4.1.1.3
    SPECIFIC_CHARACTER_SET,
    QUERY_RETRIEVE_LEVEL,
    QUERY_RETRIEVE_VIEW,
    RETRIEVE_AE_TITLE,
    INSTANCE_AVAILABILITY,
    TIMEZONE_OFFSET,
}
_PAIRS = (  # a date and the time that belongs to it, for combined matching
    (STUDY_DATE, STUDY_TIME),
    (0x00080021, 0x00080031),
    (0x00080012, 0x00080013),
    (0x00080022, 0x00080032),
    (0x00080023, 0x00080033),
    (0x00100030, 0x00100032),
    (0x00400244, 0x00400245),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not performed."""

    status: int
    comment: str
    """One sentence, of which (0000,0902) has room for 64 characters."""
    tag: int | None = None
    """The offending element."""


@dataclass(frozen=True, slots=True)
class Search:
    """A C-FIND request: the entities of a level that match its keys."""

    level: Level
    keys: tuple[tuple[Attribute, Key], ...]
    """What must match; universal keys are left out."""
    returned: tuple[Attribute, ...]
    """What a response contains, ascending by tag."""
    pairs: tuple[tuple[Attribute, Attribute, Callable[[str, str], bool]], ...] = ()
    """Dates and times that must match together."""
    is_complete: bool = True
    """Every key of the request is supported."""
    character_set: str = ""
    """Of the request; "" when it names none."""
    names_availability: bool = False
    """Instance Availability (0008,0056) was asked for, which no request should, and some do."""

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """What must be known of an entity: its row, in this order."""
        matched = [attribute for attribute, _ in self.keys]
        paired = [attribute for date, time, _ in self.pairs for attribute in (date, time)]
        return tuple(dict.fromkeys((*self.returned, *matched, *paired)))

    def matcher(self) -> Callable[[Sequence[str]], bool]:
        """Whether an entity matches, asked with its row."""
        place = {attribute.tag: index for index, attribute in enumerate(self.attributes)}
        single = [(place[attribute.tag], key.accepts) for attribute, key in self.keys]
        double = [(place[date.tag], place[time.tag], accepts) for date, time, accepts in self.pairs]

        def matches(row: Sequence[str]) -> bool:
            for index, accepts in single:
                if not accepts(row[index]):
                    return False
            return all(accepts(row[first], row[second]) for first, second, accepts in double)

        return matches


@dataclass(frozen=True, slots=True)
class Retrieval:
    """A C-MOVE or C-GET request: the instances below the entities that its unique keys name."""

    level: Level
    keys: tuple[tuple[Attribute, Key], ...]


def read_search(model: Model, identifier: Identifier, *, relational: bool, date_time: bool) -> Search | Refusal:
    """The request that `identifier` is, or why it can't be performed. `date_time`: combined matching was negotiated."""
    request = _request(model, identifier, relational)
    if isinstance(request, Refusal):
        return request
    level, keys = request
    pairs = _pairs(keys) if date_time else ()
    paired = {attribute.tag for date, time, _ in pairs for attribute in (date, time)}
    asked = [tag for tag in identifier.elements if tag & 0xFFFF and tag not in _NEVER_MATCHED]
    return Search(
        level=level,
        keys=tuple(
            (BY_TAG[tag], key) for tag, key in keys.items() if key.kind is not Kind.UNIVERSAL and tag not in paired
        ),
        returned=tuple(BY_TAG[tag] for tag in sorted(keys)),
        pairs=pairs,
        is_complete=len(keys) == len(asked),
        character_set=identifier.text(SPECIFIC_CHARACTER_SET),
        names_availability=INSTANCE_AVAILABILITY in identifier.elements,
    )


def read_retrieval(model: Model, identifier: Identifier, *, relational: bool) -> Retrieval | Refusal:
    """The request that `identifier` is, or why it can't be performed (PS3.4 C.4.2.1.4.1, C.4.2.2.1)."""
    request = _request(model, identifier, relational)
    if isinstance(request, Refusal):
        return request
    level, keys = request
    wanted = [UNIQUE_KEYS[one] for one in (*model.above(level), level)]
    last = keys.get(UNIQUE_KEYS[level])
    if last is None or last.kind not in (Kind.SINGLE_VALUE, Kind.LIST) or (level is Level.PATIENT and last.values[1:]):
        many = "one value" if level is Level.PATIENT else "at least one value"
        return _mismatch(f"{tag_text(UNIQUE_KEYS[level])} needs {many}", UNIQUE_KEYS[level])
    named = [(BY_TAG[tag], keys[tag]) for tag in wanted if tag in keys and keys[tag].kind is not Kind.UNIVERSAL]
    return Retrieval(level, tuple(named))


def _request(model: Model, identifier: Identifier, relational: bool) -> tuple[Level, dict[int, Key]] | Refusal:
    """The level and the supported keys that an identifier names."""
    try:
        level = _level(model, identifier)
        if isinstance(level, Refusal):
            return level
        keys = _keys(model, level, identifier)
    except DecodeError as error:
        return Refusal(CANNOT_UNDERSTAND, f"the identifier can't be read: {error}")
    if isinstance(keys, Refusal):
        return keys
    refusal = None if relational else _why_not_hierarchical(model, level, keys)
    return (level, keys) if refusal is None else refusal


def _mismatch(comment: str, tag: int) -> Refusal:
    return Refusal(DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment, tag)


def _level(model: Model, identifier: Identifier) -> Level | Refusal:
    if not identifier.elements:
        return _mismatch("the identifier is empty", QUERY_RETRIEVE_LEVEL)
    text = identifier.text(QUERY_RETRIEVE_LEVEL)
    if not text:
        return _mismatch(f"{tag_text(QUERY_RETRIEVE_LEVEL)} is missing", QUERY_RETRIEVE_LEVEL)
    for level in model.levels:
        if level.value == text:
            return level
    return _mismatch(f"{quote(text, 16)} is no level of {model.name}", QUERY_RETRIEVE_LEVEL)


def _keys(model: Model, level: Level, identifier: Identifier) -> dict[int, Key] | Refusal:
    """The supported keys, down to the level that is asked for."""
    keys: dict[int, Key] = {}
    depth = model.levels.index(level)
    for tag in identifier.elements:
        attribute = BY_TAG.get(tag)
        if attribute is None or model.levels.index(max(attribute.level, model.levels[0], key=_rank)) > depth:
            continue
        try:
            keys[tag] = compile_key(attribute.vr, identifier.text(tag))
        except ValueError as error:
            return _mismatch(f"{tag_text(tag)}: {error}", tag)
    return keys


_LEVELS = tuple(Level)


def _rank(level: Level) -> int:
    return _LEVELS.index(level)


def _why_not_hierarchical(model: Model, level: Level, keys: Mapping[int, Key]) -> Refusal | None:
    """PS3.4 C.4.1.2.1: a single value in the unique key of each level above."""
    for above in model.above(level):
        tag = UNIQUE_KEYS[above]
        key = keys.get(tag)
        if key is None or key.kind is not Kind.SINGLE_VALUE:
            return _mismatch(f"{tag_text(tag)} needs one value at the {level.value} level", tag)
    return None


def _pairs(
    keys: Mapping[int, Key],
) -> tuple[tuple[Attribute, Attribute, Callable[[str, str], bool]], ...]:
    pairs = []
    for date, time in _PAIRS:
        if date in keys and time in keys and (accepts := combined(keys[date], keys[time])) is not None:
            pairs.append((BY_TAG[date], BY_TAG[time], accepts))
    return tuple(pairs)
