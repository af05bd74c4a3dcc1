"""Reads a page of the documentation as its reader does: files are saved, commands typed, what is shown compared.

A `console` block has commands after `$ `, each followed by what it prints. A line `...` stands for any lines, `...` in
a line for anything, and how long something took is not compared. A block of another language whose first line is
`# NAME` is a file of that name. Ports are moved to free ones.
"""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import dulcet
from dulcet.conformance.peers.address import free_port

ROOT = Path(dulcet.__file__).parent
PORTS = ("11112", "11113", "10104")
SECONDS = 300
MARK = "=== step"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
VARIABLE = re.compile(r"\.\.\.|(?<![\w.])\d+(?:\.\d+)?(?= ?(?:ms|s|MB/s)\b)")
LISTENS = (
    "for _ in $(seq 100); do dulcet echo -q ANY@127.0.0.1:{port} >/dev/null 2>&1 && code=0 || code=$?; "
    "[ $code -eq 69 ] || break; done"
)


@dataclass
class Step:
    """A command as it stands on the page, and the lines under it."""

    command: str
    shown: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def __str__(self):
        return "\n".join([f"$ {self.command}", "shown:", *self.shown, "printed:", *self.printed])


@dataclass
class Reading:
    """A page, read to its end or to the command that failed."""

    steps: list[Step]
    code: int
    output: str

    def differences(self):
        """The steps whose output is not what the page shows."""
        return [step for step in self.steps if not is_as_shown(step.shown, step.printed)]


def console(text):
    """The steps of all console blocks."""
    steps = []
    for language, block in BLOCK.findall(text):
        for line in block.splitlines() if language == "console" else ():
            if line.startswith("$ "):
                steps.append(Step(line[2:]))
            elif steps[-1].command.endswith("\\"):
                steps[-1].command = steps[-1].command[:-1] + line.strip()
            else:
                steps[-1].shown.append(line)
    return steps


def files(text):
    """Name and contents of the blocks that are files."""
    blocks = (block for language, block in BLOCK.findall(text) if language != "console")
    named = ((re.match(r"# (\S+\.\w+)\n", block), block) for block in blocks)
    return {name[1]: block for name, block in named if name}


def is_as_shown(shown, printed):
    """Whether the lines are those of the page; a command that shows nothing may print what it likes."""
    lines = [line for line in shown if line.strip()]
    if not lines:
        return True
    pattern = "".join(r"(?:[^\n]*\n)*?" if line.strip() == "..." else f"{_line(line)}\n" for line in lines)
    actual = "".join(f"{line.rstrip()}\n" for line in printed if line.strip())
    return re.fullmatch(pattern, actual) is not None


def _line(line):
    exact = [re.sub(r"(?:\\ ){2,}", r"\\s+", re.escape(part)) for part in VARIABLE.split(line.rstrip())]
    return "".join(map("".join, zip(exact, [*map(_anything, VARIABLE.findall(line.rstrip())), ""], strict=True)))


def _anything(variable):
    return r"[^\n]*" if variable == "..." else r"[\d.]+"


def read(text, folder):
    """Read the page in `folder`, where the checkout's `tests` and `examples` are too."""
    ports = {port: str(free_port()) for port in PORTS}
    moved = _exchanged(text, ports)
    for name in ("tests", "examples"):
        (folder / name).symlink_to(ROOT / name)
    for name, contents in files(moved).items():
        (folder / name).write_text(contents)
    steps = console(text)
    script = "\n".join(["exec 2>&1; set -e", *_typed(console(moved))])
    settings = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DULCET_NODES": str(folder / "nodes.toml"),
        "DULCET_CONFIG": os.devnull,
        "DULCET_STATE": str(folder / "state"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    code, output = _run(script, folder, settings)
    back = {free: port for port, free in ports.items()}
    parts = re.split(rf"^{MARK} \d+$\n?", output, flags=re.MULTILINE)[1:]
    for step, part in zip(steps, parts, strict=False):
        step.printed = _exchanged(part, back).splitlines()
    return Reading(steps, code, output)


def _exchanged(text, ports):
    for port, other in ports.items():
        text = re.sub(rf"(?<![\d.]){port}(?!\d)", other, text)  # not within a UID or a longer number
    return text


def _run(script, folder, settings):
    """Exit code and output. Servers that the page started end with it, and what they forked does, too."""
    with (folder / "output.txt").open("w+b") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=folder, env=settings, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code = shell.wait(SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
            shell.wait()
        output.seek(0)
        return code, output.read().decode()


def _typed(steps):
    for number, step in enumerate(steps):
        yield f"echo '{MARK} {number}'"
        yield step.command
        port = re.search(r"(?<!\d)\d{5}(?!\d)", step.command)
        if step.command.endswith("&") and port:
            yield LISTENS.format(port=port[0])
