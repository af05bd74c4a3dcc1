"""What the data set says of how its values are to look: LUTs, windows, palettes (PS3.3 C.7.6.3, C.7.6.16, C.11)."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pydicom.dataset import Dataset

from dulcet.escape import quote
from dulcet.station.preview.colours import MAX_ENTRIES, Palette, expand_segments
from dulcet.station.preview.dicom_file import DICOMFile, UnshowableError
from dulcet.station.preview.frame import cells_of
from dulcet.station.preview.greys import VOI_LUT_FUNCTIONS, GreyScale, Mapping, StoredValues, linear, lookup
from dulcet.station.preview.picture import Window

COLOURS = ("Red", "Green", "Blue")


def grey_scale(
    file: DICOMFile, index: int, stored: StoredValues, window: Window | None, monochrome1: bool
) -> GreyScale:
    """Of frame `index`, counted from 0; `window` in place of the VOI LUT of the file."""
    data_set = file.data_set
    said = list(_said_of(data_set, index))
    voi, window = _voi(said, file) if window is None else (linear(window), window)
    return GreyScale(
        stored=stored,
        modality=_modality(said, file),
        voi=voi,
        window=window,
        padding=_padding(data_set),
        is_inverted=monochrome1 or data_set.get("PresentationLUTShape") == "INVERSE",
    )


def _said_of(data_set: Dataset, index: int) -> Iterator[Dataset]:
    """Where a modality or VOI LUT may stand: for the frame, for all of them (PS3.3 C.7.6.16.2), at the first level."""
    for groups, place in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        with suppress(IndexError):
            group = (data_set.get(groups) or [])[place]
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                yield from (group.get(macro) or [])[:1]
    yield data_set


def _modality(said: Sequence[Dataset], file: DICOMFile) -> Mapping:
    """Modality LUT, C.11.1: a table, or slope and intercept, or the stored value itself."""
    for data_set in said:
        for item in (data_set.get("ModalityLUTSequence") or [])[:1]:
            table, first, _ = _lut(item, file)
            return lookup(table, first)
        slope, intercept = _numbers(data_set, "RescaleSlope"), _numbers(data_set, "RescaleIntercept")
        if slope and intercept:
            return _rescale(slope[0], intercept[0])
    return _rescale(1, 0)


def _rescale(slope: float, intercept: float) -> Mapping:
    return lambda value: value * slope + intercept


def _voi(said: Sequence[Dataset], file: DICOMFile) -> tuple[Mapping | None, Window | None]:
    """VOI LUT, C.11.2: a table before a window; the first of several."""
    for data_set in said:
        for item in (data_set.get("VOILUTSequence") or [])[:1]:
            return _voi_table(*_lut(item, file)), None
        center, width = _numbers(data_set, "WindowCenter"), _numbers(data_set, "WindowWidth")
        if center and width and width[0] >= (1 if _function(data_set) == "LINEAR" else math.ulp(0)):
            window = Window(center[0], width[0])
            return VOI_LUT_FUNCTIONS[_function(data_set)](window), window
    return None, None


def _voi_table(table: Sequence[int], first: int, bits: int) -> Mapping:
    entry, highest = lookup(table, first), (1 << bits) - 1
    return lambda value: min(1.0, entry(value) / highest)


def _function(data_set: Dataset) -> str:
    name = str(data_set.get("VOILUTFunction") or "LINEAR").upper()
    if name not in VOI_LUT_FUNCTIONS:
        raise UnshowableError(f"its VOI LUT Function is {quote(name, 16)}, which is none of PS3.3 C.11.2.1.3")
    return name


def _numbers(data_set: Dataset, keyword: str) -> list[float]:
    """The finite values of a DS; none where it is missing, or no number."""
    value: Any = data_set.get(keyword)
    if value is None:
        return []
    try:
        numbers = [
            float(each) for each in (value if isinstance(value, Sequence) and not isinstance(value, str) else [value])
        ]
    except (TypeError, ValueError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _padding(data_set: Dataset) -> tuple[float, float] | None:
    value = data_set.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = data_set.get("PixelPaddingRangeLimit")
    other = limit if isinstance(limit, int) else value
    return min(value, other), max(value, other)


def _lut(item: Dataset, file: DICOMFile) -> tuple[Sequence[int], int, int]:
    """The table of an item, the value that is mapped first, and the bits of an entry (PS3.3 C.11.1.1.1)."""
    if "LUTDescriptor" not in item or "LUTData" not in item:
        raise UnshowableError("its look-up table is not complete")
    count, first, bits = map(int, item["LUTDescriptor"].value)
    value = item["LUTData"].value
    table = list(_words(value, file)) if isinstance(value, bytes) else list(map(int, value))
    table = table[: count or MAX_ENTRIES]
    if not table or not 1 <= bits <= 16:
        raise UnshowableError("its look-up table has no entries that can be used")
    return table, first, bits


def _words(octets: bytes, file: DICOMFile) -> Sequence[int]:
    cells: Any = cells_of(octets, 16, is_little=file.transfer_syntax.little_endian)
    return cells  # type: ignore[no-any-return]


def palette(file: DICOMFile, stored: StoredValues) -> Palette:
    """Palette Color Lookup Tables, C.7.6.3.1.5 and C.7.9: in 8 bits. UnshowableError when they can't be used."""
    count, first, bits = map(int, file.data_set["RedPaletteColorLookupTableDescriptor"].value)
    tables = [_palette_table(file, colour, count or MAX_ENTRIES, bits) for colour in COLOURS]
    shortest = min(map(len, tables))
    if not shortest:
        raise UnshowableError("its palette is empty")
    red, green, blue = (table[:shortest] for table in tables)
    return Palette(tables=(red, green, blue), first=first, stored=stored)


def _palette_table(file: DICOMFile, colour: str, count: int, bits: int) -> bytes:
    data_set = file.data_set
    element = data_set.get(f"{colour}PaletteColorLookupTableData")
    is_segmented = element is None
    if is_segmented:
        element = data_set.get(f"Segmented{colour}PaletteColorLookupTableData")
    if not isinstance(element, bytes):
        raise UnshowableError("it has no palette")
    is_wide = bits > 8 if is_segmented else len(element) >= 2 * count  # entries of 8 bits, but each in a word
    entries: Sequence[int] = _words(element, file) if is_wide else element
    if is_segmented:
        try:
            entries = expand_segments(entries, file.transfer_syntax.little_endian, is_wide)
        except (ValueError, IndexError) as error:
            raise UnshowableError("its palette is damaged") from error
    shift = 8 if is_wide and bits > 8 else 0
    return bytes([min(entry >> shift, 255) for entry in entries[:count]])
