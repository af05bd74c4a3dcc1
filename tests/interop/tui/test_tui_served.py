"""The workstation driven by its harness, with real commands, a real archive, a real queue, a real vault."""

import asyncio
import time

import pytest
from textual.events import Paste
from textual.widgets import Input

from dulcet.station.tui.application import Workstation
from dulcet.station.tui.children import Children
from dulcet.station.tui.sources import (
    BookNodes,
    DecodedPictures,
    IndexVault,
    QueueJobs,
    ReportedProcesses,
    Sources,
)

SECONDS = 40


class Driver:
    """A workstation in front of a station."""

    def __init__(self, station):
        self.warnings = []
        self.app = Workstation(
            Sources(
                commands=Children(environment=station.environment),
                nodes=BookNodes(station.nodes),
                jobs=QueueJobs(station.state, self.warnings.append),
                processes=ReportedProcesses(station.state / "processes"),
                vault=IndexVault(station.vault),
                pictures=DecodedPictures(),
                directory=station.vault,
            )
        )
        self.app.animation_level = "none"
        self.pilot = None
        self.field = None

    def drive(self, steps):
        async def run():
            async with self.app.run_test(size=(160, 40)) as self.pilot:
                await steps(self)

        asyncio.run(run())

    async def press(self, *keys):
        await self.pilot.press(*keys)

    async def type(self, text):
        """Into a field that has the focus now, and is not the one before."""
        await self.until(lambda: isinstance(self.app.focused, Input) and self.app.focused is not self.field)
        self.field = self.app.focused
        self.field.post_message(Paste(text))
        await self.until(lambda: text in self.field.value)

    async def opens(self, *keys):
        """Press, and wait for the screen that comes."""
        depth = len(self.app.screen_stack)
        await self.press(*keys)
        await self.until(lambda: len(self.app.screen_stack) > depth)

    async def leaves(self):
        """Escape, and wait until the screen is gone: a second one is for the screen below."""
        depth = len(self.app.screen_stack)
        await self.press("escape")
        await self.until(lambda: len(self.app.screen_stack) < depth)

    @property
    def screen(self):
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def sees(self, *texts):
        await self.until(lambda: all(text in self.screen for text in texts), f"never on the screen: {texts}")

    async def until(self, is_so, otherwise="it did not come to that"):
        deadline = time.monotonic() + SECONDS
        while not is_so():
            if time.monotonic() > deadline:
                pytest.fail(f"{otherwise}\n{self.screen}")
            await self.pilot.pause(0.05)


def test_nodes_query_queue_log_and_preview(station, archive_port):
    async def steps(driver):
        await driver.sees("GONE")
        await driver.opens("a")
        for text in ("ARCHIVE", "ARCHIVE", "127.0.0.1", str(archive_port)):
            await driver.type(text)
            await driver.press("enter")
        await driver.press("ctrl+s")
        await driver.sees(f"ARCHIVE is ARCHIVE@127.0.0.1:{archive_port}")
        await driver.press("E")
        await driver.sees("1 of 2 answered", "● ", "✗ no")
        await driver.press("o")
        await driver.sees("Doctor: ARCHIVE", "It answers C-ECHO")
        await driver.leaves()
        await driver.press("f2")
        await driver.until(lambda: isinstance(driver.app.focused, Input))
        await driver.press("enter")
        await driver.sees("CompressedSamples^CT1", "CompressedSamples^MR1", "2 studies of 2 patients")
        await driver.press("r")
        await driver.sees("queued")
        await driver.press("f3")
        await driver.sees("from ARCHIVE", "● done", "1/1")
        await driver.press("enter")
        await driver.sees("Job 1", "1 instance: 1 done")
        await driver.press("l")
        await driver.sees("Log of job 1", "job.taken", "job.left")
        await driver.leaves()
        await driver.leaves()
        await driver.press("f4")
        await driver.sees("2004-01-19", "▀▀▀▀▀▀", "128 x 128", "Not for diagnosis.")
        await driver.opens("d")
        await driver.press("y")
        await driver.sees("Nothing has been received in")
        await driver.press("f5")
        await driver.sees("queue run", "Queue: 1 done")

    driver = Driver(station)
    driver.drive(steps)
    assert driver.warnings == []
    assert list(station.vault.rglob("*.dcm")) == []
    assert station.processes() == {}


def test_errors_of_peers_are_sentences(station):
    async def steps(driver):
        await driver.sees("GONE")
        await driver.press("e")
        await driver.sees("refused the connection", "✗ no")
        await driver.press("f2")
        await driver.type("DOE*")
        await driver.press("down", "down")
        await driver.type("soon")
        await driver.press("enter")
        await driver.sees("'soon' is no date")

    Driver(station).drive(steps)
