"""What holds for all screens: keys, help, palette, sizes, shades, threads, the end."""

import asyncio
import subprocess
import sys
import threading

import pytest

from dulcet.station.tui import figures
from dulcet.station.tui.application import LIGHT
from dulcet.station.tui.pane import beside

SCREENS = (("1", "Nodes"), ("2", "Query"), ("3", "Queue"), ("4", "Received"), ("5", "Status"))


def test_digits_and_function_keys_go_to_the_screens(desk):
    async def steps(desk):
        await desk.sees("PACS")
        for number, title in SCREENS[2:]:
            await desk.press(number)
            await desk.until(lambda title=title: title == desk.app.front.TITLE, title)
        for number, title in SCREENS:
            await desk.press(f"f{number}")
            await desk.until(lambda title=title: title == desk.app.front.TITLE, title)

    desk().drive(steps)


def test_what_is_typed_into_a_field_is_no_command(desk):
    async def steps(desk):
        await desk.press("f2")
        await desk.press("1", "q", "?")
        assert desk.app.focused.value == "1q?"
        assert desk.app.front.TITLE == "Query"

    desk().drive(steps)


def test_the_help_screen_has_every_key(desk):
    async def steps(desk):
        await desk.press("question_mark")
        await desk.sees("Ask the node whether it is there (C-ECHO)", "Cancel the query", "The log of the job", "q ^q")
        await desk.press("escape")
        await desk.loses("Ask the node")

    desk(size=(100, 60)).drive(steps)


def test_the_palette_goes_to_the_screens(desk):
    async def steps(desk):
        await desk.press("ctrl+p")
        await desk.type("status")
        await desk.sees("Go to the screen Status")
        await desk.press("down", "enter")
        await desk.until(lambda: desk.app.front.TITLE == "Status", "the screen")

    desk(size=(120, 40)).drive(steps)


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 12)])
def test_every_screen_fits_its_terminal(desk, values, size):
    async def steps(desk):
        desk.store.put(1, reason="it has to be tried again")
        desk.shelf.rows.append(values.series(1))
        await desk.sees("PACS")
        for number, title in SCREENS:
            await desk.press(f"f{number}")
            await desk.until(lambda title=title: title == desk.app.front.TITLE, title)
            widgets = desk.app.front.walk_children()
            assert all(widget.region.right <= size[0] for widget in widgets if widget.display)
        assert (len(desk.screen.splitlines()), len(desk.screen.splitlines()[0])) == (size[1], size[0])

    desk(size=size).drive(steps)


def test_at_80_columns_the_footer_has_all_keys_of_every_screen(desk):
    async def steps(desk):
        last = {
            "Nodes": "s Snippet",
            "Query": "Esc Stop",
            "Queue": "n Send",
            "Received": "Del Remove",
            "Status": "? Help",
        }
        for number, title in SCREENS:
            await desk.press(f"f{number}")
            await desk.sees(last[title])
            await desk.until(lambda: "? Help" in desk.screen or desk.app.front.TITLE == "Query", "? Help")

    desk().drive(steps)


def test_light_dark_and_without_colours(desk, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(desk):
        assert desk.app.theme == LIGHT
        await desk.sees("PACS")
        await desk.press("ctrl+t")
        await desk.until(lambda: desk.app.current_theme.dark, "dark")
        picture = desk.app.export_screenshot()
        assert "PACS" in picture

    desk(theme=LIGHT).drive(steps)


def test_the_mouse_works(desk):
    async def steps(desk):
        await desk.sees("CT1")
        await desk.pilot.click("Tab#--content-tab-tab-3")
        await desk.until(lambda: desk.app.front.TITLE == "Queue", "by mouse")

    desk().drive(steps)


def test_q_leaves_and_closes_what_was_opened(desk, monkeypatch):
    monkeypatch.setattr("dulcet.station.tui.application.CLOSE_SECONDS", 60.0)
    station = desk()
    closed = []
    station.store.close = lambda: closed.append("jobs")
    station.shelf.close = lambda: closed.append("vault")
    station.painter.close = lambda: closed.append("pictures")

    async def steps(desk):
        await desk.press("q")

    station.drive(steps)
    assert closed == ["pictures", "vault", "jobs"]
    assert station.script.closed
    assert station.app.return_code == 0


def test_a_store_that_does_not_close_keeps_nobody(desk, monkeypatch):
    monkeypatch.setattr("dulcet.station.tui.application.CLOSE_SECONDS", 0.05)
    station, release = desk(), threading.Event()
    station.store.close = lambda: release.wait(20)

    async def steps(desk):
        await desk.press("q")

    station.drive(steps)
    assert station.script.closed
    release.set()


def test_a_warning_comes_from_any_thread(desk):
    async def steps(desk):
        await asyncio.to_thread(desk.app.warn, "the queue was damaged [red]\x1b")
        await desk.sees("the queue was damaged [red]\\x1b")

    desk().drive(steps)


def test_a_fault_of_ours_ends_it_without_a_traceback(desk, capfd):
    station = desk()
    station.machine.error = ZeroDivisionError("a patient's name")

    async def steps(desk):
        desk.app.action_go(5)  # a pilot would wait for a screen that there isn't any more
        await desk.app._exception_event.wait()

    with pytest.raises(Exception, match="patient"):
        station.drive(lambda desk: asyncio.wait_for(steps(desk), 60))
    assert isinstance(station.app.fault, ZeroDivisionError)
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_ours_is_not_hidden():
    async def main():
        with pytest.raises(ZeroDivisionError):
            await beside(lambda: 1 / 0)

    asyncio.run(main())


def test_what_takes_long_is_left_alone_when_nobody_waits():
    release = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beside(lambda: release.wait(20)), 0.01)

    asyncio.run(main())
    release.set()


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.rate(None), ""),
        (figures.countdown(7500), "2:05:00"),
        (figures.moment(None), ""),
        (len(figures.moment(1_800_000_000, 1_800_000_000)), 8),
        (len(figures.moment(1_800_000_000 - 86400, 1_800_000_000)), 11),
        (len(figures.moment(1_700_000_000, 1_800_000_000)), 10),
        (figures.count(1234, "study", "studies"), "1,234 studies"),
        (figures.bar(1, 3, 4).plain, "█▎░░"),
        (figures.bar(0, 0, 2).plain, "░░"),
        (figures.bar(9, 3, 2).plain, "██"),
    ],
)
def test_figures(shown, expected):
    assert shown == expected


def test_what_is_needed_for_the_first_screen_loads_neither_trio_nor_pydicom():
    program = "import dulcet.station.tui.application, dulcet.station.tui.sources, sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"trio", "pydicom", "numpy"} & set(ended.stdout.split())
