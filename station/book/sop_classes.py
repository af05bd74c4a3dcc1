"""Storage SOP classes by the words that people have for them."""

from dulcet.dimse.uids import STORAGE_SOP_CLASSES, is_valid_uid
from dulcet.errors import ConfigurationError
from dulcet.escape import quoted
from dulcet.station.book.spelling import did_you_mean


def storage_classes(word: str) -> tuple[str, ...]:
    """The UIDs of those whose name begins with `word`, `CT Image`; a UID stands for itself. ConfigurationError."""
    if is_valid_uid(word):
        return (word,)
    found = tuple(uid for uid, name in STORAGE_SOP_CLASSES.items() if word and name.lower().startswith(word.lower()))
    if not found:
        hint = did_you_mean(word, STORAGE_SOP_CLASSES.values())
        raise ConfigurationError(f"{quoted(word)} is no storage SOP class{hint}")
    return found
