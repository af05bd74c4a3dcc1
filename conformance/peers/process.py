"""A peer as a process: started, waited for, ended, with its log kept for the failure message."""

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress
from dulcet.errors import ConfigurationError, PeerUnavailableError

READY_SECONDS = 60.0  # Orthanc opens its database first; everything else is ready in a tenth of a second
POLL_SECONDS = 0.02
END_SECONDS = 10.0
LOG_TAIL_OCTETS = 4_000
SEARCHED_BEYOND_PATH = "/usr/sbin:/usr/local/sbin"  # Debian's Orthanc; not on an ordinary user's PATH


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningPeer:
    """A peer that accepts connections."""

    address: PeerAddress
    """Its AE title and where it listens."""
    directory: Path
    """Its own temporary directory: configuration, log and what it stored. Removed when the peer is left."""
    storage: Path
    """Where it writes the objects that it receives."""
    log: Path
    """Everything that the process printed."""
    pid: int
    """The process that was started; children that it forks are in its process group."""

    def log_tail(self) -> str:
        """The last few thousand characters of the log, for a failure message."""
        return tail_of(self.log)

    def stored_files(self) -> list[Path]:
        """Every file below `storage`, sorted."""
        return sorted(path for path in self.storage.rglob("*") if path.is_file())


def find_executable(name: str) -> str | None:
    """The path of a peer's program, or None where it is not installed."""
    return shutil.which(name) or shutil.which(name, path=SEARCHED_BEYOND_PATH)


def executable(name: str) -> str:
    """The path of a peer's program. Raises ConfigurationError that says how to install it."""
    found = find_executable(name)
    if found is None:
        raise ConfigurationError(how_to_install(name))
    return found


def how_to_install(name: str) -> str:
    """One sentence for a person whose machine lacks a peer."""
    return (
        f"{name} is not installed: `make peers` installs it on Debian, conformance/peers/install.sh says what it takes"
    )


def tail_of(log: Path) -> str:
    """The end of a log, decoded for a person."""
    return log.read_bytes()[-LOG_TAIL_OCTETS:].decode("utf-8", "backslashreplace")


@contextmanager
def peer_directory(name: str, parent: Path | None = None) -> Iterator[Path]:
    """A temporary directory for one peer, removed at the end."""
    with tempfile.TemporaryDirectory(prefix=f"dulcet-{name}-", dir=parent, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@contextmanager
def running_peer(
    command: Sequence[str],
    *,
    address: PeerAddress,
    directory: Path,
    storage: Path,
    environment: Mapping[str, str] | None = None,
    says: Sequence[str] = (),
    ready_seconds: float = READY_SECONDS,
) -> Iterator[RunningPeer]:
    """Run `command` as a peer: yields once its port accepts a connection, ends it (and what it forked) when left.

    The system accepts before a program does: one that tells when it is ready has to have written one of `says`, too.
    `environment` is added to this process's own. Raises PeerUnavailableError, with the log's end, when the process
    dies or is not ready within `ready_seconds`.
    """
    log = directory / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, address, log, says, ready_seconds)
        yield RunningPeer(address=address, directory=directory, storage=storage, log=log, pid=process.pid)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its own group, and the group with it: first politely, then for certain."""
    if process.poll() is not None:
        return
    process.terminate()
    ended = _ends_within(process.pid, END_SECONDS)
    # Not waited for yet, so the number still is this group's and nobody else's: children forked for an association
    # outlive their parent.
    os.killpg(process.pid, signal.SIGKILL)
    if not ended:
        process.kill()
    process.wait()


def _ends_within(pid: int, seconds: float) -> bool:
    descriptor = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)
    return bool(ready)


def _wait_until_ready(
    process: subprocess.Popen[bytes], address: PeerAddress, log: Path, says: Sequence[str], seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            process.wait(POLL_SECONDS)  # the pause between two attempts, and it ends at once when the process does
        except subprocess.TimeoutExpired:
            if _accepts(address.port) and _has_said(log, says):
                return
        else:
            raise PeerUnavailableError(f"{address} ended with {process.returncode} before it listened:\n{tail_of(log)}")
    raise PeerUnavailableError(f"{address} was not ready within {seconds:g} s:\n{tail_of(log)}")


def _has_said(log: Path, says: Sequence[str]) -> bool:
    return not says or any(words in log.read_text("utf-8", "replace") for words in says)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
