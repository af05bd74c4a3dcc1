"""Commands as child processes: what they say, how they end, and that none is left behind."""

import asyncio
import os
import sys

import pytest

from dulcet.station.tui.children import PROGRAM, Answer, Children, Ended

SECONDS = 60
FAILING = """
import sys
print('{"a": 1}')
print("no")
sys.stderr.write("dulcet: it failed\\n  do this\\n")
sys.exit(69)
"""
WAITING = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(60)"
FOREVER = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + WAITING
"""Also where a shell that started the tests in the background has SIGINT ignored."""
STUBBORN = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + WAITING
TALKING = "import signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: print('x' * 1000, flush=True)"


def run(steps):
    """`steps(children)` with Python in the place of dulcet: a word is a program."""

    async def main():
        children = Children((sys.executable, "-c"))
        try:
            await asyncio.wait_for(steps(children), SECONDS)
        finally:
            await children.close()

    asyncio.run(main())


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_what_a_command_says_and_how_it_ends():
    async def steps(children):
        answer = await children.run(FAILING)
        assert answer == Answer(69, ("dulcet: it failed", "  do this"), ('{"a": 1}', "no"))
        assert (answer.events, answer.sentence, answer.advice) == ([{"a": 1}], "it failed", ("do this",))

    run(steps)


def test_lines_come_as_they_are_said_and_leaving_them_ends_the_command():
    async def steps(children):
        child = await children.start(FOREVER)
        lines = child.lines()
        assert await anext(lines) == "ready"
        await lines.aclose()
        assert (await child.ended()).code in (-2, 1, 130)
        assert is_gone(child.process.pid)

    run(steps)


def test_a_command_that_is_asked_twice_is_killed():
    async def steps(children):
        child = await children.start(STUBBORN)
        assert await anext(child.lines()) == "ready"
        child.interrupt()
        child.interrupt()
        assert (await child.ended()).code == -9
        child.interrupt()  # it is too late, and no harm

    run(steps)


def test_one_that_ends_just_when_it_is_asked_to_keeps_its_exit_code(tmp_path, monkeypatch):
    gate, waitpid, started = tmp_path / "gate", os.waitpid, []
    os.mkfifo(gate)

    def asked_first(pid, options):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        started[0].interrupt()
        return waitpid(pid, options)

    async def steps(children):
        started.append(await children.start(f"import sys; open({str(gate)!r}).read(); sys.exit(7)"))
        gate.open("w").close()
        assert (await started[0].ended()).code == 7

    monkeypatch.setattr(os, "waitpid", asked_first)

    run(steps)


@pytest.mark.parametrize("program", [FOREVER, STUBBORN, TALKING])
def test_closing_leaves_none_behind(program, monkeypatch):
    monkeypatch.setattr("dulcet.station.tui.children.PATIENCE_SECONDS", 0.2)
    pids = []

    async def steps(children):
        started = [await children.start(program) for _ in range(2)]
        for child in started:
            await anext(child.lines())
        pids.extend(child.process.pid for child in started)

    run(steps)
    assert len(pids) == 2
    assert all(map(is_gone, pids))


def test_a_line_that_is_too_long_is_left_out(monkeypatch):
    monkeypatch.setattr("dulcet.station.tui.children.MAX_LINE_OCTETS", 1000)

    async def steps(children):
        answer = await children.run("print('a'); print('x' * 900000); print('b')")
        assert (answer.lines[0], answer.lines[-1]) == ("a", "b")
        assert all(len(line) <= 65536 for line in answer.lines)

    run(steps)


def test_what_is_said_on_standard_error_is_printable_and_bounded():
    async def steps(children):
        answer = await children.run(
            "import sys\nfor n in range(500): sys.stderr.write('\\x1b[2J' + 'y' * 5000 + '\\n')\nsys.exit(1)"
        )
        assert len(answer.errors) == 100
        assert all(line.startswith("\\x1b[2Jyyy") and len(line) < 600 for line in answer.errors)

    run(steps)


def test_what_cannot_be_started_is_an_answer():
    async def main():
        answer = await Children(("/no/such/program",)).run("x")
        assert (
            answer.sentence == "the command can't be started: [Errno 2] No such file or directory: '/no/such/program'"
        )
        assert "can't be started" in (await Children().run("a\0b")).sentence

    asyncio.run(main())


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (Ended(0, ("dulcet: nothing matched.",)), ""),
        (Ended(2, ("Usage: dulcet", "Error: no such option")), "no such option"),
        (Ended(1), "the command ended with exit code 1"),
        (Ended(1, ("Traceback", "x")), "the command ended with exit code 1"),
    ],
)
def test_the_sentence_of_an_end(ended, sentence):
    assert ended.sentence == sentence


def test_the_program_is_dulcet_itself_and_not_what_lies_about(tmp_path, monkeypatch):
    (tmp_path / "click.py").write_text("raise SystemExit('from here')")
    monkeypatch.chdir(tmp_path)

    async def main():
        children = Children()
        assert PROGRAM[0] == sys.executable
        answer = await children.run("--version")
        assert (answer.code, answer.errors) == (0, ())
        assert answer.lines[0].startswith("dulcet")

    asyncio.run(main())
