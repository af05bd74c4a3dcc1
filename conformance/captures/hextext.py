"""Octets as people have them in text: plain hexadecimal, `xxd`, `hexdump -C`, `od`, Wireshark's dumps, our own `.hex`.

A dump of a followed TCP stream keeps both directions: Wireshark indents what the server sent.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dulcet.conformance.captures.streams import Direction, Octets, whole
from dulcet.errors import NotDICOMError
from dulcet.escape import quote

_COMMENT = re.compile(r"(#|//|;).*$")
_OFFSET = re.compile(r"^(?P<indent>\s*)(?P<offset>[0-9A-Fa-f]{4,16})(?P<colon>:?)\s+(?=[0-9A-Fa-f]{2})")
_END = re.compile(r"^\s*[0-9A-Fa-f]{6,16}$")  # hexdump and od end with the number of octets
_FOLLOW_HEAD = re.compile(r"^(=+$|Follow:|Filter:|Node [01]:)")  # what `tshark -z follow,tcp,hex` puts round it
_LITERAL = re.compile(r"\b0[xX]([0-9A-Fa-f]{1,2})\b")  # as `xxd -i` and source text have them
_PAIRS = re.compile(r"^(?:[0-9A-Fa-f]{2}(?:[0-9A-Fa-f]{2})*)$")
_PLAIN = re.compile(r"\\x|0[xX]|[\s,:;{}\[\]()'\"\\]")
_ROW_OCTETS = 16
_MAX_TEXT = frozenset("0123456789abcdefABCDEF")


class HexOctets(NamedTuple):
    """What a text holds."""

    octets: bytes
    halves: dict[Direction, Octets]
    has_directions: bool
    """Whether the text says who sent what."""


def read_hex(text: str) -> HexOctets:
    """The octets of a text. NotDICOMError names the line that is no hexadecimal."""
    lines = [_COMMENT.sub("", line).rstrip() for line in text.splitlines()]
    lines = [line for line in lines if line.strip() and not _FOLLOW_HEAD.match(line)]
    if len(lines) > 1 and _END.match(lines[-1]):
        lines.pop()
    if lines and all(_OFFSET.match(line) for line in lines) and _is_dump(lines):
        return _dump(lines)
    try:
        octets = b"".join(_plain(number, line) for number, line in enumerate(text.splitlines(), 1))
    except NotDICOMError:
        literals = _LITERAL.findall("\n".join(lines))
        if not literals:
            raise
        octets = bytes(int(literal, 16) for literal in literals)
    if not octets:
        raise NotDICOMError("it holds no octets")
    return _one(octets)


def _one(octets: bytes) -> HexOctets:
    return HexOctets(octets, {Direction.TO_SERVER: whole(octets)}, False)


def _plain(number: int, line: str) -> bytes:
    bare = _PLAIN.sub("", _COMMENT.sub("", line))
    try:
        return bytes.fromhex(bare)
    except ValueError:
        raise NotDICOMError(f"line {number} is no hexadecimal: '{quote(line.strip(), 40)}'") from None


def _is_dump(lines: list[str]) -> bool:
    """Whether what looks like an offset is one: each line begins where a line before it ended."""
    ends: dict[str, int] = {}
    for line in lines:
        found = _OFFSET.match(line)
        assert found is not None
        offset = int(found["offset"], 16)
        indent = found["indent"]
        if offset != ends.get(indent, 0) and offset != 0:
            return False
        ends[indent] = offset + len(_row(line, found))
    return True


def _dump(lines: list[str]) -> HexOctets:
    content = bytearray()
    runs: list[tuple[str, int, int]] = []
    """(indent, position, octets) of each stretch of one direction."""
    for line in lines:
        found = _OFFSET.match(line)
        assert found is not None
        octets, indent = _row(line, found), found["indent"]
        if runs and runs[-1][0] == indent:
            runs[-1] = (indent, runs[-1][1], runs[-1][2] + len(octets))
        else:
            runs.append((indent, len(content), len(octets)))
        content += octets
    if not content:
        raise NotDICOMError("it holds no octets")
    source = bytes(content)
    indents = sorted({indent for indent, _, _ in runs}, key=len)
    if len(indents) == 1:
        return _one(source)
    if len(indents) > len(Direction):
        raise NotDICOMError("its rows are indented in more than two ways")
    halves = {direction: Octets(source) for direction in Direction}
    for number, (indent, position, length) in enumerate(runs, 1):
        direction = Direction.TO_SERVER if indent == indents[0] else Direction.TO_CLIENT
        halves[direction].append(position, length, number)
    return HexOctets(source, halves, True)


def _row(line: str, found: re.Match[str]) -> bytes:
    """The octets of one row: up to the column of characters, 16 at most."""
    return b"".join(_tokens(line[found.end() :]))[:_ROW_OCTETS]


def _tokens(rest: str) -> Iterator[bytes]:
    """Hexadecimal words, until wider space: `xxd` and Wireshark end the row so, `hexdump` with a bar."""
    seen = 0
    for part in re.split(r"( {2,}|\s)", rest):
        if not part or part.isspace():
            if len(part) > 2 and seen:
                return
            continue
        if not _PAIRS.match(part) or seen >= _ROW_OCTETS:
            return
        seen += len(part) // 2
        yield bytes.fromhex(part)


def looks_like_hex(text: str) -> bool:
    """Whether a word of a command line can be hexadecimal, and not the name of a file."""
    bare = _PLAIN.sub("", text)
    return len(bare) >= 2 and set(bare) <= _MAX_TEXT
