"""The screen Received: what came, its picture, and what may be done with it."""

import sqlite3
from pathlib import Path

from dulcet.station.preview.picture import Image, ProblemKind
from dulcet.station.tui.half_blocks import fitted, scaled, strips
from dulcet.station.tui.table import Column, fit


def test_the_newest_series_and_the_picture_of_the_selected(desk, values):
    async def steps(desk):
        desk.shelf.rows = [values.series(2, patient_name="ROE^RICHARD", sources=("CT1", "MR")), values.series(1)]
        await desk.press("f4")
        await desk.sees(
            "ROE^RICHARD", "2026-01-31", "CT1, MR", "DOE^1", "2 series in vault", "▀▀▀▀", "512 x 512", "Not for"
        )
        await desk.press("down")
        await desk.until(lambda: desk.painter.asked[-1:] == ["1.2.1"], "the other picture")
        asked = list(desk.painter.asked)  # the first one twice, when the cursor came to rest late
        await desk.press("up")
        await desk.sees("ROE^RICHARD 2026-01-31 CT 2 axial 12")
        assert desk.painter.asked == asked  # it is kept
        assert set(asked) == {"1.2.2", "1.2.1"}

    desk(size=(160, 24)).drive(steps)


def test_what_comes_is_seen(desk, values):
    async def steps(desk):
        await desk.press("f4")
        await desk.sees("Nothing has been received in vault.")
        desk.shelf.rows.append(values.series(7))
        desk.shelf.changes += 1
        await desk.sees("DOE^7", "1 series in vault")

    desk().drive(steps)


def test_without_a_picture_there_is_a_sentence(desk, values):
    async def steps(desk):
        desk.shelf.rows = [values.series(number) for number in (1, 2, 3)]
        desk.painter.answers["1.2.1"] = values.problem(
            image=Image("x"), kind=ProblemKind.NO_PIXELS, reason="it is a report"
        )
        desk.painter.answers["1.2.2"] = OSError(24, "Too many open files")
        desk.shelf.gone.add("1.2.3")
        await desk.press("f4")
        await desk.sees("it is a report")
        await desk.press("down")
        await desk.sees("Too many open files")
        await desk.press("down")
        await desk.sees("no file of it is there any more")

    desk(size=(160, 24)).drive(steps)


def test_an_index_that_is_locked_is_a_sentence_and_comes_back(desk, values):
    async def steps(desk):
        desk.shelf.rows = [values.series(1)]
        desk.shelf.error = sqlite3.OperationalError("database is locked")
        await desk.press("f4")
        await desk.sees("the database can't be read: database is locked")
        desk.shelf.error = None
        await desk.sees("1 series in vault")

    desk().drive(steps)


def test_view_export_forward_remove(desk, values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def steps(desk):
        desk.shelf.rows = [values.series(1)]
        await desk.press("f4")
        await desk.sees("DOE^1")
        await desk.press("v")
        await desk.until(lambda: len(desk.said) == 1)
        await desk.press("x")
        await desk.sees("a new folder")
        await desk.type("out.zip")
        await desk.press("enter")
        await desk.sees("exported to")
        await desk.press("f")
        await desk.sees("Forward", "choose a node")
        desk.app.screen.query_one("#to").value = "PACS"
        await desk.press("ctrl+s")
        await desk.sees("queued for PACS")
        await desk.press("d")
        await desk.sees("Its files are deleted from vault.")
        await desk.press("n", "d", "y")
        await desk.sees("removed")
        where = ("series", "--directory=vault")
        assert [tuple(word for word in words if word not in where) for words in desk.said] == [
            ("open", "1.2.1"),
            ("export", f"--to={tmp_path}/out.zip", "1.2.1"),
            ("send", "--queue", "--json", "--", "PACS", "/vault/1.2.1.dcm"),
            ("remove", "--yes", "1.2.1"),
        ]

    desk(size=(160, 24)).drive(steps)


def test_a_series_of_many_files_is_forwarded_in_jobs_of_some(desk, values, monkeypatch):
    monkeypatch.setattr("dulcet.station.tui.received_pane.MAX_WORDS", 2)

    async def steps(desk):
        desk.shelf.rows = [values.series(1)]
        desk.shelf.files = lambda uid: [Path(f"/vault/{number}.dcm") for number in range(3)]
        await desk.press("f4")
        await desk.sees("DOE^1")
        await desk.press("f")
        desk.app.screen.query_one("#to").value = "PACS"
        await desk.press("ctrl+s")
        await desk.sees("queued for PACS: 3 files")
        assert [words[5:] for words in desk.said] == [("/vault/0.dcm", "/vault/1.dcm"), ("/vault/2.dcm",)]
        desk.script.on("send", code=75, errors=("dulcet: the queue is locked",))
        await desk.press("f")
        desk.app.screen.query_one("#to").value = "PACS"
        await desk.press("ctrl+s")
        await desk.sees("the queue is locked")
        assert len(desk.said) == 3
        desk.shelf.files = lambda uid: []
        await desk.press("f")
        desk.app.screen.query_one("#to").value = "PACS"
        await desk.press("ctrl+s")
        await desk.sees("no file of it is there any more")

    desk(size=(160, 24)).drive(steps)


def test_the_index_is_brought_up_to_date_when_files_came(desk, values, monkeypatch):
    monkeypatch.setattr("dulcet.station.tui.received_pane.INDEX_SECONDS", 0.0)

    async def steps(desk):
        await desk.press("f4")
        await desk.sees("Nothing has been received")
        assert desk.said == []  # there is no vault
        desk.shelf.shards = (("1f", 1),)
        await desk.until(lambda: desk.said == [("index", "--quiet", "--", "vault")], "once")
        desk.script.on("index", code=78, errors=("dulcet: vault can't be used: it is read-only",))
        desk.shelf.shards = (("1f", 2),)
        await desk.sees("vault can't be used: it is read-only")
        assert len(desk.said) == 2

    desk().drive(steps)


def test_a_picture_fits_its_room_and_keeps_its_shape():
    assert fitted(512, 512, 40, 10) == (20, 20)
    assert fitted(512, 256, 40, 30) == (40, 20)
    assert fitted(1, 4000, 40, 10) == (1, 20)
    assert fitted(512, 512, 0, 10) == (0, 0)


def test_a_pixel_is_the_mean_of_what_falls_into_it(values):
    slope = values.slope(4, 2)
    assert scaled(slope, 2, 1) == [[(42, 42, 42), (212, 212, 212)]]
    assert scaled(slope, 8, 1)[0][:4] == [(0, 0, 0), (0, 0, 0), (85, 85, 85), (85, 85, 85)]
    colour = values.slope(2, 2, channels=3)
    assert scaled(colour, 2, 2) == [[(0, 0, 0), (255, 255, 255)]] * 2
    assert scaled(slope, 0, 0) == []


def test_two_rows_make_a_line_and_an_odd_one_stands_on_black():
    white, black = (255, 255, 255), (0, 0, 0)
    made = strips([[white], [black], [white]])
    assert [strip.text for strip in made] == ["▀", "▀"]
    styles = [next(iter(strip)).style for strip in made]
    assert [style.color.triplet.hex for style in styles] == ["#ffffff", "#ffffff"]
    assert styles[1].bgcolor.triplet.hex == "#000000"


def test_columns_share_the_width_and_some_give_way():
    columns = [Column("a", 10), Column("b", 10, share=1, drop=1), Column("c", 10, share=3, drop=2)]
    assert fit(columns, 36) == [(0, 10), (1, 10), (2, 10)]
    assert fit(columns, 44) == [(0, 10), (1, 12), (2, 16)]
    assert fit(columns, 35) == [(0, 10), (1, 21)]
    assert fit(columns, 5) == [(0, 10)]
