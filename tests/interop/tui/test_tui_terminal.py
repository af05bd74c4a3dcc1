"""`dulcet tui` in a real terminal, tmux, against a real archive: what is typed, and what is on the screen."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

SECONDS = 40  # for what is awaited: some seconds on a busy machine


class Terminal:
    """A terminal of 80 x 24, or of another size."""

    def __init__(self, command, environment, columns=80, lines=24):
        self._server = f"dulcet-{environment['DULCET_PEER_OF_TUI_TEST']}"
        settings = [f"{name}={value}" for name, value in environment.items()]
        line = shlex.join(["env", *settings, "TERM=screen-256color", "LANG=C.UTF-8", *command])
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), f"{line}; echo EXIT $?; cat"
        )

    def _tmux(self, *words):
        return subprocess.run(["tmux", "-u", "-L", self._server, *words], capture_output=True, text=True, check=True)

    def close(self):
        subprocess.run(["tmux", "-L", self._server, "kill-server"], capture_output=True, check=False)

    @property
    def screen(self):
        return self._tmux("capture-pane", "-p").stdout

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def type(self, text):
        self._tmux("send-keys", "-l", text)

    def sees(self, *texts):
        """Wait until all of the texts are on the screen."""
        self.until(lambda screen: all(text in screen for text in texts), f"never on the screen: {texts}")

    def leaves(self, text):
        """Escape, and wait until what it leaves is gone: an escape with a letter behind it is another key."""
        self.press("Escape")
        self.until(lambda screen: text not in screen, f"still on the screen: {text}")

    def until(self, is_so, otherwise):
        deadline = time.monotonic() + SECONDS
        while not is_so(self.screen):
            if time.monotonic() > deadline:
                pytest.fail(f"{otherwise}\n{self.screen}")
            time.sleep(0.05)


@pytest.fixture
def terminal(station, need):
    need("tmux")
    command = [sys.executable, "-m", "dulcet", "tui", "--directory", str(station.vault)]
    opened = Terminal(command, station.settings)
    yield opened
    opened.close()


def test_the_whole_way_through_the_workstation(station, archive_port, terminal):
    terminal.sees("1 Nodes", "GONE", "1 node")
    terminal.press("a")
    terminal.sees("New node")
    for text in ("ARCHIVE", "ARCHIVE", "127.0.0.1"):
        terminal.type(text)
        terminal.press("Enter")
    terminal.type(str(archive_port))
    terminal.press("C-s")
    terminal.sees(f"ARCHIVE is ARCHIVE@127.0.0.1:{archive_port}")

    terminal.press("e")
    terminal.sees("ARCHIVE is there:", "●")

    terminal.press("F2")
    terminal.sees("Choose a node")
    terminal.type("*CT1*")
    terminal.press("Enter")
    terminal.sees("CompressedSamples^CT1", "1 study of 1 patient")
    terminal.press("Down", "Enter")
    terminal.sees("1 series")
    terminal.press("r")
    terminal.sees("queued")

    terminal.press("F3")
    terminal.sees("from ARCHIVE", "● done", "1/1")
    terminal.press("l")
    terminal.sees("Log of job 1", "job.taken", "job.left")
    terminal.leaves("Log of job 1")

    terminal.press("n")
    terminal.sees("Tab Complete")
    terminal.type(str(station.image.parent / "CT_smal"))
    terminal.sees("CT_small.dcm")
    terminal.press("Tab", "Enter", "Enter")
    terminal.sees("▲")
    terminal.type("GONE")
    terminal.press("Enter")
    terminal.sees("To      GONE", "▼")
    terminal.press("C-s")
    terminal.sees("to GONE", "◷ waiting")
    terminal.press("c")
    terminal.sees("Cancel job 2?")
    terminal.press("y")
    terminal.sees("⊘ cancelled")

    terminal.press("F4")
    terminal.sees("CompressedS", "2004-01-19", "▀▀▀▀▀▀", "Not for diagnosis.")
    terminal.press("F5")
    terminal.sees("queue run", "Queue: 1 done, 1 cancelled", "free of")
    terminal.press("?")
    terminal.sees("Keys", "Ask every node")
    terminal.leaves("Ask every node")
    terminal.press("q")
    terminal.sees("EXIT 0")
    assert station.processes() == {}


@pytest.mark.parametrize("how", ["q", signal.SIGTERM])
def test_leaving_ends_what_still_runs(station, terminal, how):
    terminal.sees("GONE")
    terminal.press("a")
    terminal.sees("New node")
    for text in ("SILENT", "SILENT", "127.0.0.1"):
        terminal.type(text)
        terminal.press("Enter")
    terminal.type(str(station.silent_port))
    terminal.press("C-s")
    terminal.sees("SILENT is SILENT@127.0.0.1")
    terminal.press("e")
    terminal.sees("… asking")
    terminal.until(lambda _: any("dulcet echo" in each for each in station.processes().values()), "it does not ask")
    running = station.processes()
    if how == "q":
        terminal.press("q")
        terminal.sees("EXIT 0")
    else:
        os.kill(next(pid for pid, command in running.items() if "dulcet tui" in command), how)
        terminal.sees(f"EXIT {128 + how}")
    assert station.processes() == {}
