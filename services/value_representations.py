"""Value Representations (PS3.5 6.2): what readers and writers of elements have to know, and what implicit ones have.

The Data Dictionary (PS3.6) is pydicom's, imported at the first question that can't be answered without it, so that who
reads an explicit transfer syntax never pays for the import.
"""

from functools import cache

UNDEFINED_LENGTH = 0xFFFFFFFF

SPECIFIC_CHARACTER_SET = 0x00080005
PIXEL_DATA = 0x7FE00010
PIXEL_REPRESENTATION = 0x00280103
LENGTH_TO_END = 0x00080001  # retired: counts the octets up to the end of the data set
ITEM = 0xFFFEE000
ITEM_DELIMITATION = 0xFFFEE00D
SEQUENCE_DELIMITATION = 0xFFFEE0DD

MAX_SEQUENCE_DEPTH = 64  # real data sets stay below 10; the bound keeps a hostile one off the interpreter's stack

US_OR_SS = b"US or SS"
"""What `vr_of_implicit` answers where Pixel Representation (0028,0103) decides."""

VRS_WITH_16_BIT_LENGTH = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
)  # PS3.5 7.1.2: all others, known or not, have two reserved octets and a 32-bit length

VRS_WITH_32_BIT_LENGTH = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

KNOWN_VRS = VRS_WITH_16_BIT_LENGTH | VRS_WITH_32_BIT_LENGTH

VRS_IN_CHARACTER_SET = frozenset(b"LO LT PN SH ST UC UT".split())
"""Those that Specific Character Set applies to (PS3.5 6.1.2.3); other text is ASCII."""

SINGLE_TEXT_VRS = frozenset(b"LT ST UT UR".split())
"""Those of one value (PS3.5 6.2): a backslash is a character of the text."""

OCTETS_PER_NUMBER = {
    b"AT": 2,  # a pair of 16-bit numbers, PS3.5 Table 6.2-1
    b"OW": 2,
    b"SS": 2,
    b"US": 2,
    b"FL": 4,
    b"OF": 4,
    b"OL": 4,
    b"SL": 4,
    b"UL": 4,
    b"FD": 8,
    b"OD": 8,
    b"OV": 8,
    b"SV": 8,
    b"UV": 8,
}
"""The VRs whose values depend on the byte ordering. All others do not: text, OB, and UN, which shall not be
byte-swapped (PS3.5 6.2.2)."""


def tag_text(tag: int) -> str:
    """`(gggg,eeee)` as the standard writes it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@cache
def vr_of_implicit(tag: int) -> bytes:
    """The VR that an element of an Implicit VR Little Endian data set gets in an explicit one (PS3.5 6.2.2, Annex A).

    Private elements get UN, since only their maker knows better, private creators LO; elements that the dictionary does
    not have get UN. `OB or OW` is OW, which Annex A.1 says they are in implicit VR; so is `US or OW`.
    """
    group, element = tag >> 16, tag & 0xFFFF
    if group & 1:
        return b"LO" if 0x10 <= element <= 0xFF else b"UN"
    from pydicom.datadict import dictionary_VR

    try:
        known = dictionary_VR(tag)
    except KeyError:
        return b"UN"
    if "OW" in known:
        return b"OW"
    if known == "US or SS":
        return US_OR_SS
    vr = known.encode("ascii")
    return vr if vr in KNOWN_VRS else b"UN"
