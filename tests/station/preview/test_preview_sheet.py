"""Which images a sheet shows, how they are laid out, and what its PNG file and its half blocks are."""

import itertools
import re
import struct
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from dulcet.errors import NoInputError, NotDICOMError
from dulcet.station.preview.font import ADVANCE, GLYPH_HEIGHT, text_rows, wrapped
from dulcet.station.preview.half_blocks import has_true_colour, lines_of
from dulcet.station.preview.picture import Image, Picture
from dulcet.station.preview.raster import Raster
from dulcet.station.preview.selection import SeriesObject, choose, evenly, find_objects, ordered
from dulcet.station.preview.sheet import MIN_WIDTH, STAMP, Tile, contact_sheet, strips


def picture(width, height, channels=1, pixels=None) -> Picture:
    pixels = bytes(range(width * height * channels)) if pixels is None else pixels
    return Picture(
        image=Image("x"),
        frame=1,
        frames=1,
        width=width,
        height=height,
        channels=channels,
        pixels=pixels,
        rows=height,
        columns=width,
    )


def pillow(raster: Raster) -> PillowImage.Image:
    image = PillowImage.open(BytesIO(raster.png()))
    image.load()
    return image


# Which images --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 5000), st.integers(1, 200))
def test_even_choice(count, wanted):
    places = evenly(count, wanted)
    assert len(places) == min(count, wanted)
    assert places == sorted(set(places))
    assert all(0 <= place < count for place in places)
    if wanted > 1 and count > 1:
        assert (places[0], places[-1]) == (0, count - 1)
        steps = {after - before for before, after in itertools.pairwise(places)}
        assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    ("count", "wanted", "places"),
    [(10, 3, [0, 5, 9]), (10, 1, [4]), (3, 5, [0, 1, 2]), (240, 5, [0, 60, 120, 179, 239])],
)
def test_even_choice_by_hand(count, wanted, places):
    assert evenly(count, wanted) == places


def objects(*frames) -> list[SeriesObject]:
    return [SeriesObject(path=f"{place}.dcm", instance_number=place + 1, frames=n) for place, n in enumerate(frames)]


def test_objects_are_in_the_order_of_their_instance_numbers():
    numbers = [10, None, 2, -1, 9]
    found = [SeriesObject(path=str(number), series_instance_uid="1.2", instance_number=number) for number in numbers]
    found.append(SeriesObject(path="other", series_instance_uid="1.1", instance_number=99))
    assert [one.path for one in ordered(found)] == ["other", "-1", "2", "9", "10", "None"]


def test_of_many_objects_one_image_each():
    chosen = choose(objects(*[1] * 100), 3)
    assert [one.caption for one in chosen] == ["IM 1", "IM 51", "IM 100"]
    assert all(one.image.frame is None for one in chosen)


def test_of_one_object_its_frames():
    chosen = choose(objects(30), 4)
    assert [one.image.frame for one in chosen] == [1, 11, 20, 30]
    assert [one.caption for one in chosen] == ["FR 1/30", "FR 11/30", "FR 20/30", "FR 30/30"]


def test_of_a_few_objects_several_frames_of_those_that_have_them():
    chosen = choose(objects(1, 100, 3), 8)
    assert [one.image.frame for one in chosen] == [None, 1, 34, 67, 100, 1, 2, 3]
    assert [one.caption for one in chosen][1] == "IM 2 FR 1/100"


def test_a_frame_that_is_asked_for_of_each_object():
    assert [one.image.frame for one in choose(objects(30, 30), 9, frame=7)] == [7, 7]


def test_a_number_of_frames_that_lies_makes_no_more_images():
    assert len(choose(objects(2**31 - 1, 2**31 - 1), 20)) == 20


def test_files_and_folders(make_file, tmp_path):
    second, first = make_file(InstanceNumber=2), make_file(InstanceNumber=1, NumberOfFrames=3)
    (tmp_path / "notes.txt").write_text("not DICOM")
    found = find_objects([tmp_path])
    assert [one.path for one in found] == [str(first), str(second)]
    assert [(one.instance_number, one.frames) for one in found] == [(1, 3), (2, 1)]
    with pytest.raises(NotDICOMError, match=r"notes\.txt: it is not a DICOM file"):
        find_objects([tmp_path / "notes.txt"])
    with pytest.raises(NoInputError, match="nothing"):
        find_objects([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInputError, match="holds no files"):
        find_objects([tmp_path / "empty"])


def test_numbers_that_are_none_are_passed_over(make_file):
    (one,) = find_objects([make_file(InstanceNumber=None, NumberOfFrames=None)])
    assert (one.instance_number, one.frames) == (None, 1)


# The sheet -----------------------------------------------------------------------------------------------------------


def test_a_sheet_of_grey_pictures_is_grey_and_one_of_a_colour_is_of_colours():
    grey, colour = Tile(caption="a", picture=picture(2, 2)), Tile(caption="b", picture=picture(2, 2, 3))
    assert pillow(contact_sheet([grey], size=16, columns=1, heading=[])).mode == "L"
    assert pillow(contact_sheet([grey, colour], size=16, columns=1, heading=[])).mode == "RGB"


def test_every_pixel_of_a_picture_is_on_the_sheet():
    whole = picture(16, 16, pixels=bytes(range(256)))
    image = pillow(contact_sheet([Tile(caption="", picture=whole)], size=16, columns=5, heading=[]))
    assert image.width == MIN_WIDTH
    found = [
        (left, top)
        for top in range(image.height - 16)
        for left in range(image.width - 16)
        if image.crop((left, top, left + 16, top + 16)).tobytes() == whole.pixels
    ]
    assert len(found) == 1


def test_a_small_picture_is_enlarged_by_a_whole_number():
    raster = Raster(7, 7, 3, 0)
    raster.put(picture(2, 1, 3, bytes([1, 2, 3, 4, 5, 6])), 0, 0, 7, 7)
    row = [(1, 2, 3)] * 3 + [(4, 5, 6)] * 3 + [(0, 0, 0)]
    image = pillow(raster)
    assert [image.getpixel((left, 2)) for left in range(7)] == row
    assert [image.getpixel((0, top)) != (0, 0, 0) for top in range(7)] == [False, False, True, True, True, False, False]


def contains(raster: Raster, text: str, ink: int, paper: int) -> int:
    """How often a line of text stands on a grey surface."""
    rows = text_rows(text, len(text) * ADVANCE - 1, ink, paper)
    count = 0
    for top in range(len(raster.rows) - GLYPH_HEIGHT + 1):
        start = raster.rows[top].find(rows[0])
        while start >= 0:
            count += all(raster.rows[top + n].startswith(row, start) for n, row in enumerate(rows))
            start = raster.rows[top].find(rows[0], start + 1)
    return count


def test_every_tile_is_stamped():
    tiles = [Tile(caption=f"IM {n}", picture=picture(3, 3)) for n in range(1, 8)]
    sheet = contact_sheet(tiles, size=128, columns=3, heading=["7 of 7 objects"])
    assert contains(sheet, STAMP, 0x90, 0x18) == 7
    assert contains(sheet, STAMP, 0xE8, 0x18) == 1
    assert contains(sheet, "7 of 7 objects", 0x90, 0x18) == 1
    assert [contains(sheet, f"IM {n}", 0xE8, 0x18) for n in range(1, 8)] == [1] * 7


def test_a_tile_without_a_picture_has_the_words():
    words = "JPEG-LS Lossless Image Compression needs a codec: pip install 'dulcet[preview]'"
    sheet = contact_sheet([Tile(caption="IM 1", picture=None, words=words)], size=128, columns=1, heading=[])
    for line in wrapped(words, 120, 9):
        assert contains(sheet, line, 0x90, 0x00) == 1


def test_the_png_file_is_as_the_standard_has_it():
    raster = Raster(3, 2, 1, 7)
    octets = raster.png()
    assert octets[:8] == b"\x89PNG\r\n\x1a\n"
    names, position = [], 8
    while position < len(octets):
        (length,) = struct.unpack_from(">I", octets, position)
        body = octets[position + 4 : position + 8 + length]
        assert struct.unpack_from(">I", octets, position + 8 + length)[0] == zlib.crc32(body)
        names.append(body[:4])
        position += 12 + length
    assert names == [b"IHDR", b"IDAT", b"IEND"]
    assert octets == raster.png()


# Letters -------------------------------------------------------------------------------------------------------------


def test_letters_look_like_letters():
    rows = [row.decode() for row in text_rows("A1", 11, ord("#"), ord("."))]
    assert rows == [
        ".###....#..",
        "#...#..##..",
        "#...#...#..",
        "#####...#..",
        "#...#...#..",
        "#...#...#..",
        "#...#..###.",
    ]


def test_all_letters_differ_and_small_ones_are_capitals():
    drawn = {chr(code): text_rows(chr(code), 5, 1, 0) for code in range(0x20, 0x60)}
    assert len(set(drawn.values())) == 64
    assert text_rows("ct", 11, 1, 0) == text_rows("CT", 11, 1, 0)
    assert text_rows("\u00e4\u6f22\x1b", 17, 1, 0) == text_rows("???", 17, 1, 0)[:7]


@given(st.text(max_size=60), st.integers(1, 100))
def test_any_text_fits(text, width):
    rows = text_rows(text, width, 9, 3)
    assert [len(row) for row in rows] == [width] * GLYPH_HEIGHT
    assert set(b"".join(rows)) <= {3, 9}


def test_long_texts_are_wrapped_and_cut():
    lines = wrapped("word " * 100, 120, 3)
    assert len(lines) == 3
    assert all(len(line) <= 20 for line in lines)
    assert lines[-1].endswith("...")


# Terminals -----------------------------------------------------------------------------------------------------------

CODE = re.compile("\x1b\\[([0-9;]*)m|(\u2580)")


def seen(lines) -> list[list[tuple[int, int, int]]]:
    """The pixels that a terminal of 16 million colours shows."""
    rows = []
    for line in lines:
        upper, lower, colours = [], [], {}
        assert CODE.sub("", line) == ""
        for match in CODE.finditer(line):
            if match[2]:
                upper.append(colours["38"])
                lower.append(colours["48"])
            elif match[1] != "0":
                ground, kind, *colour = match[1].split(";")
                assert kind == "2"
                colours[ground] = tuple(map(int, colour))
        rows += [upper, lower]
    return rows


def test_half_blocks_show_every_pixel():
    (strip,), captions = zip(*strips([Tile(caption="x", picture=picture(4, 6, 3))], size=4, columns=1), strict=True)
    rows = seen(lines_of(strip, true_colour=True))
    pixels = bytes(level for row in rows for pixel in row for level in pixel)
    assert pixels == bytes(range(72))
    assert captions == (["x"],)


def test_tiles_stand_beside_one_another():
    tiles = [Tile(caption=str(n), picture=picture(3, 3, 1, bytes([n] * 9))) for n in (1, 2, 3)]
    found = list(strips(tiles, size=3, columns=2))
    assert [captions for _, captions in found] == [["1", "2"], ["3"]]
    assert [row[::3] for row in map(bytes, found[0][0].rows)] == [bytes([1, 1, 1, 0, 2, 2, 2])] * 3 + [bytes(7)]


def test_a_row_without_pictures_has_its_captions():
    ((strip, captions),) = strips([Tile(caption="SR", picture=None, words="no")], size=10, columns=3)
    assert (strip.width, len(strip.rows), captions) == (10, 2, ["SR"])


@pytest.mark.parametrize(
    ("colour", "code"),
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 231),
        ((255, 0, 0), 196),
        ((0, 255, 0), 46),
        ((36, 60, 100), 16 + 6 + 1),
        ((140, 170, 220), 16 + 2 * 36 + 3 * 6 + 4),
        ((128, 128, 128), 244),
        ((8, 8, 8), 232),
        ((238, 238, 238), 255),
    ],
)
def test_the_nearest_of_256_colours(colour, code):
    raster = Raster(1, 2, 3, 0)
    for row in raster.rows:
        row[:] = bytes(colour)
    assert list(lines_of(raster, true_colour=False)) == [f"\x1b[38;5;{code}m\x1b[48;5;{code}m\u2580\x1b[0m"]


def test_what_the_terminal_says_of_its_colours():
    assert has_true_colour({"COLORTERM": "truecolor"})
    assert has_true_colour({"COLORTERM": "24bit"})
    assert not has_true_colour({"COLORTERM": "yes"})
    assert not has_true_colour({})
