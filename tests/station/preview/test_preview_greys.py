"""From stored values to 8 bits, case by case: the numbers are worked out by hand from the formulas of the standard."""

import struct

import pytest

from dulcet.station.preview.colours import expand_segments
from dulcet.station.preview.dicom_file import UnshowableError
from dulcet.station.preview.greys import linear, linear_exact, sigmoid
from dulcet.station.preview.picture import Image, PreviewOptions, ProblemKind, Window
from dulcet.station.preview.rendering import render


def shown(path, *, frame=None, size=64, window=None):
    return render(Image(path, frame), PreviewOptions(size=size, window=window))


def octets(path, **options):
    return list(shown(path, **options).pixels)


# Windows: PS3.3 C.11.2.1.2 and C.11.2.1.3 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-1, 0), (0, 0), (1, 1 / 255), (127, 127 / 255), (128, 128 / 255), (254, 254 / 255), (255, 1), (256, 1)],
)
def test_linear_shows_256_values_with_a_width_of_256(value, expected):
    assert linear(Window(128, 256))(value) == pytest.approx(expected)


@pytest.mark.parametrize(("value", "expected"), [(9, 0), (10, 1)])
def test_the_narrowest_linear_window_is_a_threshold(value, expected):
    assert linear(Window(10, 1))(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(-64, 0), (-63, 1 / 128), (0, 0.5), (64, 1), (65, 1)])
def test_linear_exact_is_what_its_name_says(value, expected):
    assert linear_exact(Window(0, 128))(value) == pytest.approx(expected)


@pytest.mark.parametrize(("value", "expected"), [(40, 0.5), (140, 0.880797), (-60, 0.119203), (1e6, 1), (-1e6, 0)])
def test_sigmoid_has_its_slope_in_the_middle(value, expected):
    assert sigmoid(Window(40, 200))(value) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ["", "40", "40/", "a/b", "40/400/1", "nan/400", "40/inf", "40/0", "40/-400"])
def test_what_is_no_window_is_refused(text):
    with pytest.raises(ValueError, match="window"):
        Window.parse(text)


def test_a_window_reads_as_it_is_written():
    assert Window.parse("-600/1500.5") == Window(-600, 1500.5)
    assert str(Window.parse("40/400")) == "40/400"


# Grey images ---------------------------------------------------------------------------------------------------------

SIXTEEN = {"BitsAllocated": 16, "BitsStored": 16, "PixelRepresentation": 1}


def test_eight_bits_without_a_window_are_shown_as_they_are(make_file):
    assert octets(make_file(b"\x00\x01\x7f\xff")) == [0, 1, 127, 255]


def test_six_bits_fill_the_range(make_file):
    assert octets(make_file(b"\x00\x15\x2a\x3f", BitsStored=6)) == [0, 85, 170, 255]


def test_the_first_window_of_the_file_is_taken(make_file, words):
    pixels = words(-100, 0, 100, 200)
    path = make_file(pixels, **SIXTEEN, WindowCenter=[50.5, 1000], WindowWidth=[101, 1])
    assert octets(path) == [0, 0, 255, 255]
    assert shown(path).window == Window(50.5, 101)


def test_a_window_of_the_command_line_goes_before(make_file, words):
    path = make_file(words(0, 50, 100, 150), **SIXTEEN, WindowCenter=0, WindowWidth=1)
    assert octets(path, window=Window(50.5, 101)) == [0, 128, 255, 255]


def test_rescale_comes_before_the_window(make_file, words):
    scale = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    path = make_file(words(450, 500, 550, 600), **SIXTEEN, **scale, WindowCenter=0.5, WindowWidth=201)
    assert octets(path) == [0, 128, 255, 255]


@pytest.mark.parametrize(("function", "middle"), [("LINEAR", 128), ("LINEAR_EXACT", 126), ("SIGMOID", 126)])
def test_the_voi_lut_function_is_obeyed(make_file, words, function, middle):
    window = {"WindowCenter": 50.5, "WindowWidth": 101, "VOILUTFunction": function}
    assert octets(make_file(words(0, 50, 100, 150), **SIXTEEN, **window))[1] == middle


def test_a_function_that_is_not_known_gets_a_sentence(make_file, words):
    path = make_file(words(0, 0, 0, 0), **SIXTEEN, WindowCenter=1, WindowWidth=2, VOILUTFunction="CUBIC")
    with pytest.raises(UnshowableError, match="VOI LUT Function is CUBIC"):
        shown(path)


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_a_window_that_can_not_be_is_passed_over(make_file, width):
    assert octets(make_file(WindowCenter=40, WindowWidth=width)) == [0, 0x55, 0xAA, 255]


@pytest.mark.parametrize(
    "inverted", [{"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}]
)
def test_the_lowest_value_may_be_white(make_file, inverted):
    assert octets(make_file(**inverted)) == [255, 0xAA, 0x55, 0]


def test_monochrome1_with_its_inverse_shape_is_inverted_once(make_file):
    path = make_file(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert octets(path) == [255, 0xAA, 0x55, 0]


def lut(first, *entries, bits=8):
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.add_new("LUTData", "US", list(entries))
    return [item]


def test_a_voi_lut_goes_before_a_window(make_file):
    path = make_file(b"\x09\x0a\x0b\xff", VOILUTSequence=lut(10, 255, 128, 0), WindowCenter=0, WindowWidth=1)
    assert octets(path) == [255, 255, 128, 0]


def test_a_voi_lut_of_twelve_bits(make_file):
    assert octets(make_file(b"\0\1\2\3", VOILUTSequence=lut(0, 0, 1365, 2730, 4095, bits=12))) == [0, 85, 170, 255]


def test_a_modality_lut_comes_first(make_file):
    path = make_file(b"\0\1\2\3", ModalityLUTSequence=lut(0, 30, 20, 10, 0, bits=16), WindowCenter=15.5, WindowWidth=31)
    assert octets(path) == [255, 170, 85, 0]


def test_a_lut_in_octets_is_read_in_the_byte_order_of_the_file(make_file):
    item = lut(0, 0, 255)[0]
    item.add_new("LUTData", "OW", b"\x00\x00\xff\x00")
    assert octets(make_file(b"\0\1\0\1", VOILUTSequence=[item])) == [0, 255, 0, 255]


def test_without_a_window_the_hundredth_at_both_ends_is_left_out(make_file, words):
    pixels = words(-30000, *range(1000, 1198), 30000)
    picture = shown(make_file(pixels, Rows=10, Columns=20, **SIXTEEN))
    assert picture.window == Window((1000 + 1197) / 2, 197)
    assert (picture.pixels[0], picture.pixels[1], picture.pixels[-2], picture.pixels[-1]) == (0, 0, 255, 255)


def test_padding_is_no_part_of_the_automatic_window(make_file, words):
    pixels = words(*[-2000] * 100, *range(100))
    padded = make_file(pixels, Rows=10, Columns=20, **SIXTEEN, PixelPaddingValue=-2000)
    assert shown(padded).window == Window(49.5, 99)
    ranged = make_file(pixels, Rows=10, Columns=20, **SIXTEEN, PixelPaddingValue=-3000, PixelPaddingRangeLimit=-1)
    assert shown(ranged).window == Window(49.5, 99)
    assert shown(make_file(pixels, Rows=10, Columns=20, **SIXTEEN)).window.center < 0


def test_an_image_of_one_value_is_black(make_file, words):
    assert octets(make_file(words(7, 7, 7, 7), **SIXTEEN)) == [0, 0, 0, 0]


def test_what_stands_above_the_bits_stored_is_not_looked_at(make_file):
    pixels = struct.pack("<4H", 0xF000, 0xF7FF, 0x0800, 0x7FFF)
    path = make_file(pixels, BitsAllocated=16, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    assert octets(path) == [0, 127, 128, 255]
    signed = make_file(pixels, BitsAllocated=16, BitsStored=12, PixelRepresentation=1, WindowCenter=0, WindowWidth=4096)
    assert octets(signed) == [128, 255, 0, 127]


@pytest.mark.parametrize(("keyword", "code", "bits"), [("FloatPixelData", "f", 32), ("DoubleFloatPixelData", "d", 64)])
def test_floating_point_pixels(make_file, keyword, code, bits):
    pixels = struct.pack(f"<4{code}", 0.25, 0.5, 0.75, float("nan"))
    attributes = {keyword: pixels, "BitsAllocated": bits, "BitsStored": None, "PixelRepresentation": None}
    path = make_file(None, **attributes, HighBit=None)
    assert octets(path) == [0, 128, 255, 0]


def test_pixels_of_thirty_two_bits(make_file):
    pixels = struct.pack("<4I", 0, 1_000_000, 2_000_000, 4_000_000_000)
    path = make_file(pixels, BitsAllocated=32, BitsStored=32, WindowCenter=1_000_000.5, WindowWidth=2_000_001)
    assert octets(path) == [0, 128, 255, 255]


def test_pixels_of_twenty_four_bits_get_a_sentence(make_file):
    with pytest.raises(UnshowableError, match="24 bits allocated"):
        shown(make_file(bytes(12), BitsAllocated=24, BitsStored=24))


def test_a_bit_for_a_pixel_and_frames_that_begin_within_an_octet(make_file):
    attributes = {"BitsAllocated": 1, "BitsStored": 1, "Rows": 3, "Columns": 3, "NumberOfFrames": 2}
    pixels = 0b111111111_000000001.to_bytes(3, "little")
    path = make_file(pixels, **attributes)
    assert octets(path, frame=1) == [255] + [0] * 8
    assert octets(path, frame=2) == [255] * 9


def test_frames_are_counted_from_one_and_the_middle_is_shown(make_file):
    path = make_file(bytes([0] * 4 + [1] * 4 + [2] * 4), NumberOfFrames=3)
    assert [octets(path, frame=number)[0] for number in (1, 2, 3)] == [0, 1, 2]
    picture = shown(path)
    assert (picture.frame, picture.frames, picture.pixels[0]) == (2, 3, 1)
    with pytest.raises(UnshowableError, match="it has no frame 4: it has 3"):
        shown(path, frame=4)


def test_a_frame_has_its_own_window_and_rescale(make_file, words):
    from pydicom.dataset import Dataset

    def group(slope=None, center=None):
        item = Dataset()
        if slope is not None:
            item.PixelValueTransformationSequence = [Dataset()]
            item.PixelValueTransformationSequence[0].RescaleSlope = slope
            item.PixelValueTransformationSequence[0].RescaleIntercept = 0
        if center is not None:
            item.FrameVOILUTSequence = [Dataset()]
            item.FrameVOILUTSequence[0].WindowCenter = center
            item.FrameVOILUTSequence[0].WindowWidth = 101
        return item

    path = make_file(
        words(*[0, 50, 100, 150] * 2),
        **SIXTEEN,
        NumberOfFrames=2,
        PerFrameFunctionalGroupsSequence=[group(slope=1, center=50.5), group(slope=2)],
        SharedFunctionalGroupsSequence=[group(center=100.5)],
    )
    assert octets(path, frame=1) == [0, 128, 255, 255]
    assert octets(path, frame=2) == [0, 128, 255, 255]


# Sizes ---------------------------------------------------------------------------------------------------------------


def test_a_pixel_of_the_picture_is_the_mean_of_those_below_it(make_file):
    rows = [[0, 10, 20, 30], [40, 50, 60, 70], [80, 90, 100, 110], [120, 130, 140, 150]]
    path = make_file(bytes([cell for row in rows for cell in row]), Rows=4, Columns=4)
    assert octets(path, size=2) == [25, 45, 105, 125]
    assert octets(path, size=1) == [83], "columns and rows 0, 2 and 3: at most nine for a pixel"


@pytest.mark.parametrize(
    ("rows", "columns", "size", "expected"),
    [
        (100, 50, 10, (5, 10)),
        (50, 100, 10, (10, 5)),
        (1000, 1, 10, (1, 10)),
        (7, 5, 10, (5, 7)),
        (10, 10, 10, (10, 10)),
    ],
)
def test_the_longer_side_has_the_size(make_file, rows, columns, size, expected):
    picture = shown(make_file(bytes(rows * columns + rows * columns % 2), Rows=rows, Columns=columns), size=size)
    assert (picture.width, picture.height) == expected


# Colours -------------------------------------------------------------------------------------------------------------

RGB = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "Rows": 1, "Columns": 2}


def test_red_green_and_blue_pixel_by_pixel_and_plane_by_plane(make_file):
    assert octets(make_file(bytes([1, 2, 3, 4, 5, 6]), **RGB)) == [1, 2, 3, 4, 5, 6]
    assert octets(make_file(bytes([1, 4, 2, 5, 3, 6]), **{**RGB, "PlanarConfiguration": 1})) == [1, 2, 3, 4, 5, 6]


def test_colours_of_sixteen_bits(make_file):
    pixels = struct.pack("<6H", 0, 0x8000, 0xFFFF, 0x0100, 0x7F00, 0xFE00)
    assert octets(make_file(pixels, **RGB, BitsAllocated=16, BitsStored=16)) == [0, 127, 255, 0, 126, 253]


YBR = [  # PS3.3 C.7.6.3.1.2: red, green, blue, white, black, grey of 100 %
    ((76, 85, 255), (254, 0, 0)),
    ((150, 44, 21), (0, 255, 1)),
    ((29, 255, 107), (0, 0, 254)),
    ((255, 128, 128), (255, 255, 255)),
    ((0, 128, 128), (0, 0, 0)),
    ((128, 128, 128), (128, 128, 128)),
    ((255, 255, 255), (255, 121, 255)),
    ((0, 0, 0), (0, 135, 0)),
]


@pytest.mark.parametrize(("ybr", "rgb"), YBR)
def test_ybr_full(make_file, ybr, rgb):
    path = make_file(bytes([*ybr, *ybr]), **{**RGB, "PhotometricInterpretation": "YBR_FULL"})
    assert octets(path)[:3] == pytest.approx(list(rgb), abs=1)


def test_two_pixels_share_their_colour_in_ybr_full_422(make_file):
    attributes = {**RGB, "PhotometricInterpretation": "YBR_FULL_422", "Columns": 4}
    pixels = bytes([76, 0, 85, 255, 128, 255, 128, 128])
    assert octets(make_file(pixels, **attributes))[::3] == [254, 178, 128, 255]
    with pytest.raises(UnshowableError, match="even number of columns"):
        shown(make_file(bytes(6), **{**attributes, "Columns": 3}))


def palette(count, first, bits, **tables):
    names = {colour: f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")}
    descriptors = {f"{name}Descriptor": [count, first, bits] for name in names.values()}
    return {"PhotometricInterpretation": "PALETTE COLOR", **descriptors} | {
        f"{'Segmented' if segmented else ''}{names[colour]}Data": table for colour, (table, segmented) in tables.items()
    }


def test_a_palette_of_sixteen_bits(make_file):
    tables = {
        colour: (struct.pack("<3H", *values), False)
        for colour, values in {
            "Red": (0, 0x8000, 0xFFFF),
            "Green": (0xFFFF, 0, 0),
            "Blue": (0x0100, 0x0200, 0x0300),
        }.items()
    }
    path = make_file(b"\0\1\2\3", **palette(3, 1, 16, **tables))
    assert octets(path) == [0, 255, 1, 0, 255, 1, 128, 0, 2, 255, 0, 3], "what is below the first has the first"


def test_a_palette_of_eight_bits_in_octets_and_in_words(make_file):
    in_octets = {colour: (bytes([10, 20, 30, 40]), False) for colour in ("Red", "Green", "Blue")}
    in_words = {colour: (struct.pack("<4H", 10, 20, 30, 40), False) for colour in ("Red", "Green", "Blue")}
    for tables in (in_octets, in_words):
        assert octets(make_file(b"\0\1\2\3", **palette(4, 0, 8, **tables)))[::3] == [10, 20, 30, 40]


def test_a_segmented_palette(make_file):
    segments = struct.pack("<9H", 0, 1, 0, 1, 4, 0x4000, 2, 1, 3) + struct.pack("<H", 0)
    tables = dict.fromkeys(("Red", "Green", "Blue"), (segments, True))
    path = make_file(b"\0\1\4\x08", **palette(9, 0, 16, **tables))
    assert octets(path)[::3] == [0, 0x10, 0x40, 0x40]


def test_segments_discrete_linear_and_indirect():
    assert expand_segments([0, 2, 5, 10, 1, 5, 20], True, True) == [5, 10, 12, 14, 16, 18, 20]
    assert expand_segments([0, 2, 5, 9, 1, 2, 5, 2, 1, 4, 0], True, True) == [5, 9, 7, 5, 5, 5]
    assert expand_segments([0, 2, 5, 9, 2, 1, 0, 0, 0, 0], True, False) == [5, 9, 5, 9]
    for damaged in ([1, 2, 3], [2, 1, 0, 0], [7, 1, 1], [0, 1, 5, 2, 1, 3, 0, 0]):
        with pytest.raises((ValueError, IndexError)):
            expand_segments(damaged, True, True)


def test_a_palette_that_would_not_end(make_file):
    segments = struct.pack("<5H", 0, 1, 5, 1, 0xFFFF) + struct.pack("<3H", 9, 1, 0xFFFF) + struct.pack("<2H", 7, 0)
    tables = dict.fromkeys(("Red", "Green", "Blue"), (segments, True))
    with pytest.raises(UnshowableError, match="palette is damaged"):
        shown(make_file(b"\0\1\2\3", **palette(0, 0, 16, **tables)))
    with pytest.raises(UnshowableError, match="it has no palette"):
        shown(make_file(**palette(4, 0, 16)))


@pytest.mark.parametrize("kind", ["HSV", "ARGB", "YBR_PARTIAL_420", "PALETTE COLOR"])
def test_other_colour_spaces_get_a_sentence(make_file, kind):
    with pytest.raises(UnshowableError, match=f"Photometric Interpretation {kind} with 3 samples is not shown"):
        shown(make_file(bytes(6), **{**RGB, "PhotometricInterpretation": kind}))


# Transfer syntaxes ---------------------------------------------------------------------------------------------------


def test_big_endian_words_and_octets_in_words(make_file, bundled):
    assert shown(bundled / "MR_small_bigendian.dcm").pixels == shown(bundled / "MR_small.dcm").pixels
    assert shown(bundled / "SC_rgb_small_odd_big_endian.dcm").pixels == shown(bundled / "SC_rgb_small_odd.dcm").pixels


def test_deflated(make_file, bundled):
    assert shown(bundled / "image_dfl.dcm").columns == 512


def test_an_object_without_pixels_is_named(bundled):
    with pytest.raises(UnshowableError, match="it has no pixels: Basic Text SR Storage") as caught:
        shown(bundled / "reportsi.dcm")
    assert caught.value.kind is ProblemKind.NO_PIXELS


def test_video_is_named(make_file):
    from pydicom.encaps import encapsulate

    path = make_file(encapsulate([bytes(64)]), syntax="1.2.840.10008.1.2.4.102", **RGB)
    with pytest.raises(UnshowableError, match=r"H\.264 High Profile.* is video") as caught:
        shown(path)
    assert caught.value.kind is ProblemKind.NO_CODEC
