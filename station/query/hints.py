"""What to try when nothing matched: said by the keys that were matched."""

from collections.abc import Iterator

from dulcet.escape import legible
from dulcet.services.querying.identifiers import QUERY_RETRIEVE_LEVEL, vr_of
from dulcet.station.query.keys import describe_path, walk
from dulcet.station.query.plan import Query

_MAX_HINTS = 4


def hints(query: Query) -> list[str]:
    """Lines for standard error, the likeliest first."""
    return list(_hints(query))[:_MAX_HINTS]


def _hints(query: Query) -> Iterator[str]:
    filled = [(path, value) for path, value in walk(query.keys) if value and path != (QUERY_RETRIEVE_LEVEL,)]
    for path, value in filled:
        name, vr = describe_path(path), vr_of(path[-1])
        if vr == b"PN" and "*" not in value:
            yield f"{name} was matched as a whole: '{_shown(value)}*' finds what begins so."
        if vr == b"PN" and value != value.upper():
            yield f"Many archives tell upper case from lower: try {name}='{_shown(value.upper())}'."
        if not value.isascii():
            yield "The peer may not know the character set of the query: --charset says another one."
    for path, _ in filled:
        if vr_of(path[-1]) in (b"DA", b"TM", b"DT"):
            yield f"Without {describe_path(path)} there may be some."
    if query.level is None:
        yield "A worklist holds what is scheduled; what is done already is found with `find PEER studies`."
    elif len(filled) > 1:
        yield "An archive combines all keys: leave some away."
    elif not filled:
        yield "Nothing was matched, so the peer has none, or hides them from our AE title."


def _shown(value: str) -> str:
    return legible(value.rstrip("*"))
