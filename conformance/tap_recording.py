"""What a tap records: the connections that pass, as packets in pcapng files that every tool reads."""

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from dulcet.conformance.captures.packets import ACK, RST, SYN
from dulcet.conformance.captures.pcapng import PcapngWriter
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.writer import ConversationWriter
from dulcet.conformance.tap import Address, Ends
from dulcet.errors import ConfigurationError

_SEQUENCE_STEP = 0x0100_0001  # a port that is used again begins with another sequence number
_SEQUENCE_NUMBERS = 1 << 32


class RecordingFile:
    """One capture file, for one connection or many. What was written can be read by others at once.

    A write that fails ends the recording and never the conversation: `failed` is told why, once.
    """

    def __init__(self, file: BinaryIO, failed: Callable[[str], None]) -> None:
        self._file = file
        self._failed = failed
        self._is_broken = False
        self._guard(self._begin)

    def _begin(self) -> None:
        self._packets = PcapngWriter(self._file)
        self._file.flush()

    def write(self, time: int, octets: bytes) -> None:
        """One packet; `time` in nanoseconds since 1970-01-01 UTC."""
        self._guard(lambda: self._packets.write(time, octets))

    def flush(self) -> None:
        """The packets so far are in the file."""
        self._guard(self._file.flush)

    def close(self) -> None:
        """The file is complete."""
        self._guard(self._file.close)

    def _guard(self, act: Callable[[], object]) -> None:
        if self._is_broken:
            return
        try:
            act()
        except OSError as error:
            self._is_broken = True
            self._failed(error.strerror or str(error))


class Recording:
    """Observes one connection and writes its packets; `closes` the file with the connection."""

    def __init__(self, file: RecordingFile, ends: Ends, *, closes: bool = False) -> None:
        first = ends.number * _SEQUENCE_STEP % _SEQUENCE_NUMBERS
        client, server = _same_family(ends.client, ends.server)
        self._file = file
        self._closes = closes
        self._conversation = ConversationWriter(file, client, server, initial_sequence=(first, first // 2))

    def opened(self, time: int) -> None:
        """See `Observer`."""
        self._conversation.open(time)
        self._file.flush()

    def refused(self, time: int, why: str) -> None:
        """See `Observer`: a connection that was asked for and refused."""
        self._file.write(time, self._conversation.packet(Direction.TO_SERVER, SYN))
        self._file.write(time, self._conversation.packet(Direction.TO_CLIENT, RST | ACK))
        self._file.flush()

    def sent(self, time: int, direction: Direction, octets: bytes) -> None:
        """See `Observer`."""
        self._conversation.send(time, direction, octets)
        self._file.flush()

    def closed(self, time: int, direction: Direction, *, is_reset: bool) -> None:
        """See `Observer`."""
        self._conversation.close(time, direction, is_reset=is_reset)
        self._file.flush()

    def ended(self, time: int) -> None:
        """See `Observer`."""
        if self._closes:
            self._file.close()


class RecordingDirectory:
    """A file of its own for each connection: `tap-20261126T135123Z-0001.pcapng`, after the time and the number."""

    def __init__(self, directory: Path, failed: Callable[[str], None]) -> None:
        self._directory = directory
        self._failed = failed
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"can't record in {directory}: {error.strerror}") from error

    def recording(self, ends: Ends) -> Recording | None:
        """For one connection; None when its file can't be made."""
        now = datetime.now(UTC)
        path = self._directory / f"tap-{now:%Y%m%dT%H%M%SZ}-{ends.number:04}.pcapng"
        try:
            file = path.open("xb")
        except OSError as error:
            self._failed(f"{path}: {error.strerror}")
            return None
        return Recording(RecordingFile(file, self._failed), ends, closes=True)


def open_file(path: Path, failed: Callable[[str], None]) -> RecordingFile:
    """A new file; what was in it is gone. ConfigurationError when it can't be written."""
    try:
        return RecordingFile(path.open("wb"), failed)
    except OSError as error:
        raise ConfigurationError(f"can't record in {path}: {error.strerror}") from error


def _same_family(*ends: Address) -> tuple[Address, Address]:
    """Both ends in one address family, for a packet has one: IPv4 mapped to IPv6 (RFC 4291 2.5.5.2) beside IPv6.

    A name stands for a peer that was never reached: it becomes the unspecified address.
    """
    found = [(_ip(host), port) for host, port in ends]
    if len({address.version for address, _ in found}) > 1:
        found = [(_mapped(address), port) for address, port in found]
    client, server = ((str(address), port) for address, port in found)
    return client, server


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return ipaddress.IPv4Address(0)


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address((0xFFFF << 32) | int(address))
