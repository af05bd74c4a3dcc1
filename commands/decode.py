"""`dulcet decode`: captures, hexadecimal and binary PDUs, shown to people or as JSON."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import click

from dulcet.commands.options import FILE
from dulcet.conformance.captures import sidecar, text
from dulcet.conformance.captures.build import read_capture, read_octets
from dulcet.conformance.captures.ciphers import require_cryptography
from dulcet.conformance.captures.hextext import looks_like_hex, read_hex
from dulcet.conformance.captures.ladder import Line, Style
from dulcet.conformance.captures.reader import is_capture, why_no_capture
from dulcet.conformance.captures.streams import Direction, whole
from dulcet.conformance.captures.transcript import PDURecord, Transcript
from dulcet.errors import ConfigurationError, DecodeError, NoInputError, NotDICOMError
from dulcet.escape import quote
from dulcet.station.terminal import has_colour
from dulcet.ul.pdu import PDU_TYPES

_STANDARD_INPUT = "-"
_COLOURS: dict[Style, dict[str, Any]] = {
    Style.HEADING: {"bold": True},
    Style.LADDER: {"fg": "cyan"},
    Style.DIM: {"dim": True},
    Style.DEVIATION: {"fg": "yellow"},
    Style.ERROR: {"fg": "red"},
}
_MAX_SELECTED = 1_000_000
_TCP = 6  # its number in a header of IP


class Numbers(click.ParamType[frozenset[int]]):
    """`3`, `0-5`, `0-5,9`."""

    name = "numbers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[int]:
        """The numbers; a usage error for anything else."""
        if isinstance(value, frozenset):
            return value
        found: set[int] = set()
        for part in str(value).split(","):
            numbers = part.split("-")
            if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
                self.fail(f"'{quote(str(value))}' is no list of numbers such as 0-5,9", param, ctx)
            first, last = int(numbers[0]), int(numbers[-1])
            if last >= _MAX_SELECTED:
                self.fail(f"'{quote(part)}' is too large", param, ctx)
            found.update(range(first, last + 1))
        return frozenset(found)


@click.command()
@click.argument("source", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option(
    "-v", "--verbose", count=True, help="Every field with its octets; twice: reserved fields and lengths too."
)
@click.option("--hexdump", is_flag=True, help="The octets of each PDU.")
@click.option("--stream", "streams", type=Numbers(), metavar="N", help="Only these TCP connections: 2, or 0-3,7.")
@click.option("--pdus", type=Numbers(), metavar="N", help="Only these PDUs of each: 2, or 0-3,7.")
@click.option("--keylog", type=FILE, metavar="FILE", help="TLS secrets (NSS key log); X.keylog beside X.pcap is found.")
@click.option(
    "--html", type=FILE, metavar="FILE", help="Write one HTML page in place of the text; it needs no network."
)
def decode(
    source: tuple[str, ...],
    as_json: bool,
    verbose: int,
    hexdump: bool,
    streams: frozenset[int] | None,
    pdus: frozenset[int] | None,
    keylog: Path | None,
    html: Path | None,
) -> int:
    """Read a conversation: each PDU, its fields, the messages, both state machines, and what departs from the standard.

    SOURCE is a capture (pcap, pcapng), a file of PDUs (binary, or hexadecimal as xxd and Wireshark write it), `-` for
    standard input, or hexadecimal itself: dulcet decode 07 00 00 00 00 04 00 00 02 01
    """
    path, name, octets = _read(source)
    transcript = _transcript(name, octets, path, keylog)
    if streams is not None:
        transcript = _select(transcript, streams)
    if pdus is not None:
        _check_pdus(transcript, pdus)
    if html is not None:
        if as_json:
            raise click.UsageError("--html and --json exclude each other")
        _write_html(html, transcript, streams, pdus)
    elif as_json:
        for part in sidecar.write(transcript, pdus):
            sys.stdout.write(part)
    else:
        view = text.View(verbosity=verbose, with_hexdump=hexdump, streams=streams, pdus=pdus)
        print_lines(text.show(transcript, view), sys.stdout)
    sys.stdout.flush()
    return _exit_code(transcript)


def _write_html(
    path: Path, transcript: Transcript, streams: frozenset[int] | None, pdus: frozenset[int] | None
) -> None:
    """One page; `-` is standard output."""
    from dulcet.conformance.captures.html import to_html

    parts = to_html(transcript, streams=streams, pdus=pdus)
    if str(path) == _STANDARD_INPUT:
        sys.stdout.writelines(parts)
        return
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(parts)
    except OSError as error:
        raise ConfigurationError(f"can't write {quote(str(path), 200)}: {error.strerror or error}") from error


def _read(words: Sequence[str]) -> tuple[Path | None, str, bytes]:
    """The file if it is one, the name of the source, and its octets."""
    joined = " ".join(words)
    if joined == _STANDARD_INPUT:
        return None, "standard input", sys.stdin.buffer.read()
    path = Path(words[0])
    if len(words) == 1 and (_exists(path) or not looks_like_hex(joined)):
        try:
            return path, path.name, path.read_bytes()
        except OSError as error:
            raise NoInputError(f"{quote(words[0], 200)}: {error.strerror or error}") from error
    if not looks_like_hex(joined):
        raise click.UsageError("one SOURCE at a time: a file, -, or hexadecimal")
    return None, "hexadecimal", joined.encode()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # hexadecimal that is too long for a name
        return False


def _transcript(name: str, octets: bytes, path: Path | None, keylog: Path | None) -> Transcript:
    if is_capture(octets):
        return read_capture(name, octets, _key_log(path, keylog))
    if not octets:
        raise NotDICOMError(f"{quote(name, 200)}: it is empty")
    why = why_no_capture(octets)
    if why is not None:
        raise NotDICOMError(f"{quote(name, 200)}: {why}")
    if octets[0] in PDU_TYPES:
        halves = {Direction.TO_SERVER: whole(octets)}
        return read_octets(name, halves, format_name="octets", has_directions=False, source=octets)
    try:
        found = read_hex(octets.decode("ascii"))
    except UnicodeDecodeError:
        raise NotDICOMError(f"{quote(name, 200)}: it is neither a capture, nor PDUs, nor hexadecimal") from None
    except NotDICOMError as error:
        what = "" if path is None else "it is neither a capture nor PDUs, and "
        raise NotDICOMError(f"{quote(name, 200)}: {what}{error}") from None
    if _is_frame(found.octets):
        how = "`tshark -z follow,tcp,hex,0` writes what TCP carries, and the capture itself can be decoded, too"
        raise NotDICOMError(
            f"{quote(name, 200)}: it is the dump of a whole frame, with the headers of IP and TCP: {how}"
        )
    return read_octets(name, found.halves, format_name="hex", has_directions=found.has_directions, source=found.octets)


def _is_frame(octets: bytes) -> bool:
    """Whether it begins with the headers of Ethernet or not, IP and TCP; those of a PDU are never such octets."""
    packets = (octets, octets[14:] if octets[12:14] in (b"\x08\x00", b"\x86\xdd") else b"")
    return any(
        len(packet) > 20 and (packet[9] if packet[0] == 0x45 else packet[6] if packet[0] >> 4 == 6 else 0) == _TCP
        for packet in packets
    )


def _key_log(path: Path | None, keylog: Path | None) -> bytes:
    """What --keylog names, or what lies beside the capture."""
    if keylog is not None:
        require_cryptography()
        try:
            return keylog.read_bytes()
        except OSError as error:
            raise NoInputError(f"{quote(str(keylog), 200)}: {error.strerror or error}") from error
    if path is not None:
        for beside in (path.with_suffix(".keylog"), path.with_name(f"{path.name}.keylog")):
            try:
                return beside.read_bytes()
            except OSError:
                continue
    return b""


def read_transcript(path: Path, keylog: Path | None = None) -> Transcript:
    """The transcript of a file. NoInputError when it can't be read, NotDICOMError when it is no capture."""
    found, name, octets = _read((str(path),))
    return _transcript(name, octets, found, keylog)


def _select(transcript: Transcript, numbers: frozenset[int]) -> Transcript:
    streams = tuple(stream for stream in transcript.streams if stream.number in numbers)
    if not streams:
        raise click.UsageError(f"there is no such stream: the capture has {len(transcript.streams)}, counted from 0")
    return replace(transcript, streams=streams)


def _check_pdus(transcript: Transcript, numbers: frozenset[int]) -> None:
    most = max((len(stream.pdus) for stream in transcript.streams), default=0)
    if most and min(numbers) >= most:
        raise click.UsageError(f"there is no such PDU: there are {most}, counted from 0 in each connection")


def print_lines(lines: Iterable[Line], output: TextIO) -> None:
    """Lines in colour where the output is a terminal that wants it."""
    wants_colour = has_colour(output)
    for line in lines:
        colour = _COLOURS.get(line.style) if wants_colour else None
        output.write(f"{click.style(line.text, **colour) if colour else line.text}\n")


def _exit_code(transcript: Transcript) -> int:
    """65 for a capture that is damaged and for octets that are no PDU, 76 for a PDU that can't be decoded."""
    name = quote(transcript.name, 200)
    if transcript.damage:
        click.echo(f"dulcet: {name}: {transcript.damage[0]}", err=True)
        return NotDICOMError.exit_code
    if transcript.packets or transcript.format in ("pcap", "pcapng"):
        return 0
    entries = [entry for stream in transcript.streams for entry in stream.entries]
    pdus = [entry for entry in entries if isinstance(entry, PDURecord)]
    if not pdus:
        click.echo(f"dulcet: {name}: it holds no whole PDU", err=True)
        return NotDICOMError.exit_code
    is_wrong = len(pdus) < len(entries) or any(pdu.error is not None for pdu in pdus)
    return DecodeError.exit_code if is_wrong else 0
