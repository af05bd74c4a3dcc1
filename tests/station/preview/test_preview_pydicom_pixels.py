"""A picture in full size is what pydicom's own pixels are, mapped to 8 bits: of every file that comes with pydicom.

The expected octets are made with numpy, and by none of our code: `pixel_array`, `apply_modality_lut`, `apply_voi_lut`,
`apply_color_lut`. A difference of 1 is allowed where both round: the same real number, worked out in another order, may
lie on either side of a half.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

from dulcet.station.preview.decoding import COMMAND, previews
from dulcet.station.preview.dicom_file import UnshowableError
from dulcet.station.preview.picture import Image, Picture, PreviewOptions
from dulcet.station.preview.pixels import INSTALL_PREVIEW
from dulcet.station.preview.rendering import render

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
FULL_SIZE = PreviewOptions(size=4096)

pytestmark = pytest.mark.filterwarnings("ignore")


def files_with_pixels() -> list[str]:
    found = []
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file() and path.suffix in ("", ".dcm"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    data_set = dcmread(path)
                except Exception:
                    continue
            if {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & set(data_set.dir()):
                found.append(path.relative_to(FOLDER).as_posix())
    return found


FILES = files_with_pixels()
UNREADABLE = {
    "JPEG-lossy.dcm": "of more than 8 bits needs pylibjpeg-libjpeg",
    "JPEG2000-embedded-sequence-delimiter.dcm": "JPEG 2000 Image Compression: ",
    "JPGExtended.dcm": "of more than 8 bits needs pylibjpeg-libjpeg",
    "MR_truncated.dcm": "ends early",
    "badVR.dcm": "Number of Frames is 1A",
    "meta_missing_tsyntax.dcm": "which it does not say",
    "nested_priv_SQ.dcm": "Bits Allocated is missing",
}
"""Those that pydicom, with the same codecs, has no pixels of either; and what is said of them."""


def test_there_are_many():
    assert len(FILES) > 90
    assert set(FILES) >= set(UNREADABLE)


def frames_of(data_set) -> list[int]:
    count = int(data_set.get("NumberOfFrames") or 1)
    return [1] if count == 1 else [1, (count + 1) // 2, count]


@pytest.mark.parametrize("name", [name for name in FILES if name not in UNREADABLE])
def test_the_pixels_are_those_of_pydicom(name):
    data_set = dcmread(FOLDER / name)
    for frame in frames_of(data_set):
        picture = render(Image(FOLDER / name, frame), FULL_SIZE)
        expected = expected_octets(data_set, frame - 1)
        shape = (picture.height, picture.width, picture.channels)
        pixels = np.frombuffer(picture.pixels, "u1").reshape(shape).astype(int)
        assert expected.shape == (shape[:2] if picture.channels == 1 else shape)
        difference = np.abs(pixels.reshape(expected.shape) - expected)
        assert difference.max() <= 1
        assert (difference != 0).mean() < 0.02, "rounding is rare"


def expected_octets(data_set, index: int):
    values = pixel_array(data_set, index=index)
    kind = data_set.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(values, data_set)
        return (colours >> 8 if colours.dtype.itemsize == 2 else colours).astype(int)
    if data_set.SamplesPerPixel == 3:
        return rounded(values.astype(float) * 255 / np.iinfo(values.dtype).max)
    values = apply_modality_lut(values, data_set)
    if "VOILUTSequence" in data_set:
        low, high = 0, (1 << data_set.VOILUTSequence[0].LUTDescriptor[2]) - 1
        shown = apply_voi_lut(values, data_set)
    elif "WindowCenter" in data_set:
        low, high = range_of(data_set)
        shown = apply_voi_lut(values, data_set)
    else:
        low, high = shown_range(values, data_set)
        shown = np.clip(values, low, high)
    shown = (shown.astype(float) - low) / (high - low) * 255
    return rounded(255 - shown if kind == "MONOCHROME1" else shown)


def range_of(data_set) -> tuple[float, float]:
    """Of what `apply_voi_lut` gives, with a window: that of the stored values, rescaled."""
    bits, is_signed = data_set.BitsStored, data_set.PixelRepresentation
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    slope, intercept = float(data_set.get("RescaleSlope", 1)), float(data_set.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def shown_range(values, data_set) -> tuple[float, float]:
    """Without a window: all of 8 bits and less, else the first to the last hundredth of what is no padding."""
    if data_set.BitsStored <= 8:
        return range_of(data_set)
    if "PixelPaddingValue" in data_set:
        padding = apply_modality_lut(np.array([data_set.PixelPaddingValue]), data_set)[0]
        values = values[values != padding]
    return np.percentile(values, 1, method="lower"), np.percentile(values, 99, method="higher")


def rounded(values):
    return np.floor(values + 0.5).astype(int)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_pydicom_has_no_pixels_of_gets_a_sentence(name):
    with pytest.raises(UnshowableError, match=UNREADABLE[name]):
        render(Image(FOLDER / name), FULL_SIZE)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever pydicom raises
        pixel_array(FOLDER / name, index=0)


WITHOUT_NUMPY = (
    sys.executable,
    "-c",
    "import sys; sys.modules.update(dict.fromkeys(['numpy', 'PIL', 'pylibjpeg', 'openjpeg', 'gdcm', 'jpeg_ls']));"
    "from dulcet.station.preview.decoder import main; main()",
)
"""The decoder of an installation that has nothing but what dulcet needs."""


def test_the_bare_installation_makes_the_same_pictures():
    paths = [FOLDER / name for name in FILES]
    bare = list(previews(paths, PreviewOptions(size=96), command=WITHOUT_NUMPY))
    full = list(previews(paths, PreviewOptions(size=96), command=COMMAND))
    compressed = 0
    for with_codecs, without in zip(full, bare, strict=True):
        if isinstance(without, Picture):
            assert without == with_codecs
        elif isinstance(with_codecs, Picture):
            assert without.reason.endswith(f"needs a codec: {INSTALL_PREVIEW}")
            compressed += 1
        else:
            assert without.kind is with_codecs.kind or without.reason.endswith(INSTALL_PREVIEW)
    assert sum(isinstance(one, Picture) for one in bare) > 60
    assert compressed > 20
