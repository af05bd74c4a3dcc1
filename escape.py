"""What makes a string of a peer, or of a file, safe to show: no other way leads to a terminal or a log.

`quote` for everything, `quoted` for a value within a sentence, `legible` where texts in any script have to be read:
names in a table.
"""

MAX_QUOTED_CHARACTERS = 64  # an AE title has 16, a UID 64; what is longer is cut, and says so

_ELLIPSIS = "..."
_PIECES = tuple(chr(octet) if 0x20 <= octet < 0x7F and octet != 0x5C else f"\\x{octet:02x}" for octet in range(256))


def quote(text: str | bytes, limit: int = MAX_QUOTED_CHARACTERS) -> str:
    r"""Printable ASCII as it is, every other octet and the backslash as `\xNN`, at most `limit` characters.

    Text is taken as UTF-8, and the undecodable octets of a file name (PEP 383) as themselves. What is cut ends in `...`
    and never inside an escape. Time and memory depend on `limit`, not on the length of the text.
    """
    head = text[: limit + 1]  # every character gives at least one
    pieces: list[str] = []
    room = limit
    for octet in head if isinstance(head, bytes) else _octets(head):
        piece = _PIECES[octet]
        room -= len(piece)
        pieces.append(piece)
        if room < 0:
            return _cut(pieces, limit)
    return "".join(pieces)


def quoted(text: str | bytes, limit: int = MAX_QUOTED_CHARACTERS) -> str:
    """`quote` between quotation marks, for a value within a sentence; `repr` would escape the backslashes again."""
    shown = quote(text, limit)
    mark = '"' if "'" in shown and '"' not in shown else "'"
    return f"{mark}{shown}{mark}"


def _octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no octet
        return text.encode("utf-8", "surrogatepass")


def _cut(pieces: list[str], limit: int) -> str:
    room = limit - len(_ELLIPSIS)
    length = sum(map(len, pieces))
    while pieces and length > room:
        length -= len(pieces.pop())
    return "".join(pieces) + _ELLIPSIS


def legible(text: str, limit: int = MAX_QUOTED_CHARACTERS) -> str:
    r"""Letters of any script as they are, and what a terminal would obey escaped; at most about `limit` characters.

    Controls, line ends, marks of direction, unassigned and private characters become `\xNN`, `\uNNNN` or `\UNNNNNNNN`,
    and so does the backslash. Ideographic and other spaces stay. What is cut ends in `...`.
    """
    cut = text if len(text) <= limit else text[: limit - len(_ELLIPSIS)] + _ELLIPSIS
    if cut.isascii() and cut.isprintable() and "\\" not in cut:
        return cut
    return "".join(map(_legible, cut))


def _legible(character: str) -> str:
    if (character.isprintable() and character != "\\") or character in "\u00a0\u3000":
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
