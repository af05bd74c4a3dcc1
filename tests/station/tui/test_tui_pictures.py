"""The pictures of the documentation can be drawn, and those that are there are of the screens that there are."""

import importlib.util
import re
import shutil
import time
from pathlib import Path

import pytest

import dulcet
from dulcet.station.tui import figures, nodes_pane

DOCS = Path(dulcet.__file__).parent / "docs"


@pytest.fixture
def pictures(monkeypatch):
    spec = importlib.util.spec_from_file_location("docs_pictures", DOCS / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for owner, name in ((figures, "time"), (nodes_pane, "time"), (shutil, "disk_usage")):  # the script changes them
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setenv("TZ", "UTC")
    yield module
    monkeypatch.undo()
    time.tzset()


def test_a_picture_is_drawn_and_fetches_nothing(pictures, tmp_path):
    pictures.main(tmp_path, ["queue"])
    drawn = (tmp_path / "tui-queue.svg").read_text()
    assert "PARTNER" in drawn
    assert "font-face" not in drawn


def test_the_page_shows_every_picture(pictures):
    shown = set(re.findall(r"_static/tui-(\w+)\.svg", (DOCS / "tui.md").read_text()))
    there = {path.stem.removeprefix("tui-") for path in (DOCS / "_static").glob("tui-*.svg")}
    assert shown == there == set(pictures.PICTURES)


def test_the_page_names_every_screen(pictures):
    text = (DOCS / "tui.md").read_text()
    assert [title for title in re.findall(r"^## (\w+)$", text, re.M) if title != "Everywhere"] == [
        pane.TITLE for pane in pictures.Workstation.PANES
    ]
