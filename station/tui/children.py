"""dulcet's own commands as child processes: the one way in which the terminal interface acts.

A command tells what happens as JSON Lines on its standard output, and what a person should read on its standard error.
None of them outlives `Children.close`.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from dulcet.escape import legible

PROGRAM = (sys.executable, "-P", "-m", "dulcet")  # -P: what lies in the current directory is no module of ours
MAX_LINE_OCTETS = 4 * 1024 * 1024  # of JSON; a match has some kB
MAX_SENTENCE_CHARACTERS = 500
MAX_ERROR_LINES = 100  # kept of what a command says on its standard error
PATIENCE_SECONDS = 2.0  # for a command to end when it is asked to, before it is killed
EXIT_UNABLE = 70

_PREFIX = "dulcet: "


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    """Its exit code; -N when signal N ended it."""
    errors: tuple[str, ...] = ()
    """What it said on standard error: printable, line by line."""

    @property
    def sentence(self) -> str:
        """What went wrong, in a line; "" when nothing did."""
        if self.code == 0:
            return ""
        said = next((line for line in self.errors if line.startswith(_PREFIX)), None)
        if said is None:  # click's words about wrong use come last
            said = next((line for line in reversed(self.errors) if line.startswith("Error: ")), None)
        if said is None:
            return f"the command ended with exit code {self.code}"
        return said.removeprefix(_PREFIX).removeprefix("Error: ")

    @property
    def advice(self) -> tuple[str, ...]:
        """What it said besides the sentence: what to do about it."""
        said = (line.removeprefix(_PREFIX).removeprefix("Error: ").strip() for line in self.errors)
        return tuple(line for line in said if line != self.sentence)


@dataclass(frozen=True, slots=True)
class Answer(Ended):
    """How a command ended, and all that it printed."""

    lines: tuple[str, ...] = ()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines."""
        return [event for event in map(parse_event, self.lines) if event is not None]


class Running(Protocol):
    """A command that runs."""

    def lines(self) -> AsyncGenerator[str]:
        """What it prints, as it comes, to its end. Once."""

    async def ended(self) -> Ended:
        """How it ended, when it has."""

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl+C would; asked again, it is killed."""


class Commands(Protocol):
    """What starts commands: `Children`, or a test's own."""

    async def start(self, *words: str) -> Running:
        """Start `dulcet WORDS...`."""

    async def run(self, *words: str) -> Answer:
        """Run `dulcet WORDS...` to its end."""

    async def close(self) -> None:
        """End those that still run."""


def parse_event(line: str) -> dict[str, Any] | None:
    """A JSON line; None for what is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


@dataclass(eq=False)
class Child:
    """A command as a process."""

    process: asyncio.subprocess.Process
    _errors: list[str] = field(default_factory=list)
    _end: asyncio.Task[Ended] | None = None
    is_asked: bool = False
    """Whether it has been asked to end."""

    def watch(self) -> asyncio.Task[Ended]:
        """Begin to read its standard error and to wait for it."""
        self._end = asyncio.create_task(self._wait())
        return self._end

    async def lines(self) -> AsyncGenerator[str]:
        """See `Running`; when it is left early, the command is ended."""
        assert self.process.stdout is not None
        try:
            async for octets in _lines_of(self.process.stdout):
                yield octets.decode("utf-8", "backslashreplace")
        finally:
            if not self.process.stdout.at_eof():
                self.interrupt()

    async def ended(self) -> Ended:
        """See `Running`."""
        assert self._end is not None
        return await asyncio.shield(self._end)

    def interrupt(self) -> None:
        """See `Running`."""
        self._signal(signal.SIGKILL if self.is_asked else signal.SIGINT)
        self.is_asked = True

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)  # `send_signal` may take the exit code from those who wait for it

    async def _wait(self) -> Ended:
        assert self.process.stderr is not None
        async for octets in _lines_of(self.process.stderr):
            if len(self._errors) < MAX_ERROR_LINES:
                text = octets.decode("utf-8", "backslashreplace").rstrip()
                self._errors.append(legible(text, MAX_SENTENCE_CHARACTERS))
        code = await self.process.wait()
        return Ended(code, tuple(line for line in self._errors if line))


class Children:
    """Starts commands, and ends those that still run when it is closed."""

    def __init__(self, program: Sequence[str] = PROGRAM, environment: Mapping[str, str] = os.environ) -> None:
        self._program = tuple(program)
        self._environment = environment
        self._running: dict[Child, asyncio.Task[Ended]] = {}

    async def start(self, *words: str) -> Child:
        """See `Commands`. OSError when there is no process to be had."""
        process = await asyncio.create_subprocess_exec(
            *self._program,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            limit=MAX_LINE_OCTETS,
        )
        child = Child(process)
        self._running[child] = end = child.watch()
        end.add_done_callback(lambda _: self._running.pop(child, None))
        return child

    async def run(self, *words: str) -> Answer:
        """See `Commands`; a process that can't be started is an answer, too."""
        try:
            child = await self.start(*words)
        except (OSError, ValueError) as error:  # ValueError: a null character in a word
            return Answer(EXIT_UNABLE, (f"{_PREFIX}the command can't be started: {error}",))
        lines = tuple([line async for line in child.lines()])
        ended = await child.ended()
        return Answer(ended.code, ended.errors, lines)

    async def close(self) -> None:
        """End what still runs: asked first, killed after `PATIENCE_SECONDS`; returns when none is left."""
        running = dict(self._running)
        for child in running:
            if not child.is_asked:
                child.interrupt()
        if running:
            drains = [asyncio.create_task(_drain(child)) for child in running]
            _, late = await asyncio.wait([*running.values(), *drains], timeout=PATIENCE_SECONDS)
            for child in running if late else ():
                child.kill()
            await asyncio.gather(*running.values(), *drains, return_exceptions=True)


async def _drain(child: Child) -> None:
    """Read what nobody reads any more: a command must not wait for room in the pipe."""
    assert child.process.stdout is not None
    with suppress(RuntimeError):  # somebody does
        while await child.process.stdout.read(MAX_LINE_OCTETS):
            pass


async def _lines_of(stream: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    """Its lines; one that is longer than a line may be is left out."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line.rstrip(b"\r\n")
