import io
import re
import subprocess
import sys
import threading

import pytest
import trio

from dulcet.station.sending import progress
from dulcet.station.sending.progress import PaceMeter, Transfer, describe, show_progress
from dulcet.station.terminal import has_colour, moves_cursor


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _ordinary_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def transfer(**done):
    return Transfer(total_objects=2000, total_octets=1_050_000_000, **done)


async def shown(output, seconds, work=lambda transfer: None, **options):
    """What is on `output` when work lasts `seconds`, counted once a second by `work`."""
    counted = transfer()
    async with trio.open_nursery() as nursery:

        async def show():
            await show_progress(counted, output, **options)

        nursery.start_soon(show)
        for _ in range(int(seconds)):
            await trio.sleep(1)
            work(counted)
        await trio.sleep(seconds - int(seconds))
        nursery.cancel_scope.cancel()
    return output.getvalue()


def ten_a_second(counted):
    counted.objects += 10
    counted.octets += 5_000_000


# Pace ---------------------------------------------------------------------------------------------------------------


def test_pace_is_measured_over_the_last_ten_seconds():
    counted = transfer()
    meter = PaceMeter(counted)
    assert meter.measure(100.0).seconds_left is None
    counted.octets, counted.objects = 50_000_000, 100
    pace = meter.measure(105.0)
    assert (pace.octets_per_second, pace.objects_per_second, pace.seconds_left) == (10_000_000, 20, 100.0)
    for second in range(106, 131):  # it stalls
        pace = meter.measure(float(second))
    assert (pace.octets_per_second, pace.objects_per_second, pace.seconds_left) == (0, 0, None)
    counted.octets += 100_000_000
    assert meter.measure(131.0).octets_per_second == 10_000_000


def test_the_same_instant_twice_gives_no_pace():
    meter = PaceMeter(transfer())
    meter.measure(1.0)
    assert meter.measure(1.0).octets_per_second == 0


def test_what_is_left_is_counted_in_objects_when_all_octets_are_out():
    counted = Transfer(total_objects=10, total_octets=100)
    meter = PaceMeter(counted)
    meter.measure(0.0)
    counted.octets, counted.objects = 100, 5
    assert meter.measure(1.0).seconds_left == 1.0
    counted.objects = 10
    assert meter.measure(2.0).seconds_left == 0.0


def test_samples_are_bounded():
    counted = transfer()
    meter = PaceMeter(counted)
    for tick in range(10_000):
        meter.measure(tick / 10)
    assert len(meter._samples) <= 102


def test_the_line_says_everything():
    counted = transfer(objects=120, octets=61_400_000, failed=3)
    meter = PaceMeter(transfer())
    meter.measure(0.0)
    meter._transfer = counted
    assert describe(counted, meter.measure(1.0)) == (
        "120 of 2,000 objects, 61.4 MB of 1.1 GB, 61.4 MB/s, 120 objects/s, 16 s left, 3 failed"
    )


# Not a terminal -----------------------------------------------------------------------------------------------------


async def test_lines_come_every_ten_seconds(autojump_clock):
    assert await shown(io.StringIO(), 9.9, ten_a_second) == ""
    lines = (await shown(io.StringIO(), 35, ten_a_second)).splitlines()
    assert len(lines) == 3
    assert all(re.match(r"\d+ of 2,000 objects, .* MB/s, (9|10|11) objects/s, .* left$", line) for line in lines)


async def test_a_dumb_terminal_gets_lines(autojump_clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    text = await shown(Terminal(), 25, ten_a_second)
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


def test_which_terminal_moves_its_cursor():
    assert moves_cursor(Terminal(), {"TERM": "xterm"})
    assert moves_cursor(Terminal(), {})
    assert not moves_cursor(Terminal(), {"TERM": "dumb"})
    assert not moves_cursor(io.StringIO(), {"TERM": "xterm"})


def test_which_terminal_has_colours():
    assert has_colour(Terminal(), {"TERM": "xterm"})
    assert not has_colour(Terminal(), {"TERM": "xterm", "NO_COLOR": ""})
    assert not has_colour(Terminal(), {"TERM": "dumb"})
    assert not has_colour(io.StringIO(), {"TERM": "xterm"})


@pytest.mark.parametrize("output", [Terminal, io.StringIO])
async def test_quiet_is_quiet(autojump_clock, output):
    assert await shown(output(), 60, ten_a_second, quiet=True) == ""


# A terminal ---------------------------------------------------------------------------------------------------------


async def test_work_of_less_than_a_second_shows_nothing(autojump_clock):
    assert await shown(Terminal(), 0.9) == ""


async def test_a_bar_shows_rate_and_time_left_and_is_wiped_away(autojump_clock):
    text = await shown(Terminal(), 5, ten_a_second)
    assert "MB/s" in text
    assert "10 objects/s" in text
    assert re.search(r"\d min \d\d s left", text)
    assert text.endswith("\x1b[2K")


async def test_a_bar_is_refreshed_at_most_ten_times_a_second(autojump_clock, monkeypatch):
    refreshes = []
    make = progress._bar

    def counting(output):
        bar = make(output)
        refresh = bar.refresh
        bar.refresh = lambda: (refreshes.append(trio.current_time()), refresh())
        return bar

    monkeypatch.setattr(progress, "_bar", counting)
    await shown(Terminal(), 5)
    refreshes.sort()
    assert 35 <= len(refreshes) <= 42  # four seconds of it; one more at the start and at the end
    assert max(refreshes) - min(refreshes) <= 4.01


async def test_a_bar_starts_no_thread_and_leaves_the_streams_alone(autojump_clock, monkeypatch):
    threads, streams = set(threading.enumerate()), (sys.stdout, sys.stderr)
    begun, seen = set(), []

    def look(counted):
        ten_a_second(counted)
        begun.update(set(threading.enumerate()) - threads)  # those of earlier tests may end
        seen.append((sys.stdout, sys.stderr))

    await shown(Terminal(), 3, look)
    assert begun == set()
    assert set(seen) == {streams}


COLOUR = re.compile(r"\x1b\[[\d;]*m")


@pytest.mark.parametrize(("setting", "coloured"), [(None, True), ("1", False)])
async def test_no_color_is_respected(autojump_clock, monkeypatch, setting, coloured):
    if setting:
        monkeypatch.setenv("NO_COLOR", setting)
    codes = set(COLOUR.findall(await shown(Terminal(), 3, ten_a_second)))
    assert any(re.search(r"[34]\d|38", code) for code in codes) == coloured


async def test_a_narrow_terminal_gets_one_line(autojump_clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = await shown(Terminal(), 3, ten_a_second)
    assert "\n" not in COLOUR.sub("", text).split("\x1b[?25h")[0].replace("\x1b[?25l", "").rstrip("\n")


def test_rich_is_imported_only_for_a_bar():
    program = "import sys; import dulcet.station.sending.progress; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
