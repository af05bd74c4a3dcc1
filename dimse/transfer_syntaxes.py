"""The transfer syntaxes of PS3.6 Table A-1: their names, and how their data sets are encoded (PS3.5 Annex A)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One transfer syntax."""

    uid: str
    name: str
    explicit_vr: bool = True
    little_endian: bool = True
    deflated: bool = False
    """The whole data set is compressed (PS3.5 A.5)."""
    encapsulated: bool = True
    """Pixel Data, if any, is a sequence of fragments (PS3.5 A.4)."""


IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_ALL = (
    TransferSyntax(IMPLICIT_VR_LITTLE_ENDIAN, "Implicit VR Little Endian", explicit_vr=False, encapsulated=False),
    TransferSyntax(EXPLICIT_VR_LITTLE_ENDIAN, "Explicit VR Little Endian", encapsulated=False),
    TransferSyntax(
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "Deflated Explicit VR Little Endian", deflated=True, encapsulated=False
    ),
    TransferSyntax(EXPLICIT_VR_BIG_ENDIAN, "Explicit VR Big Endian", little_endian=False, encapsulated=False),
    TransferSyntax("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian"),
    TransferSyntax("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)"),
    TransferSyntax("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)"),
    TransferSyntax("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)"),
    TransferSyntax("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)"),
    TransferSyntax("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)"),
    TransferSyntax("1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)"),
    TransferSyntax("1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)"),
    TransferSyntax("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)"),
    TransferSyntax("1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)"),
    TransferSyntax("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)"),
    TransferSyntax("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)"),
    TransferSyntax("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)"),
    TransferSyntax("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)"),
    TransferSyntax("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)"),
    TransferSyntax("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)"),
    TransferSyntax("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)"),
    TransferSyntax("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)"),
    TransferSyntax(
        "1.2.840.10008.1.2.4.70",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
    ),
    TransferSyntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression"),
    TransferSyntax("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression"),
    TransferSyntax("1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)"),
    TransferSyntax("1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression"),
    TransferSyntax("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)"),
    TransferSyntax("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression"),
    TransferSyntax("1.2.840.10008.1.2.4.94", "JPIP Referenced", encapsulated=False),
    TransferSyntax("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", deflated=True, encapsulated=False),
    TransferSyntax("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level"),
    TransferSyntax("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level"),
    TransferSyntax("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level"),
    TransferSyntax("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level"),
    TransferSyntax("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    TransferSyntax("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    TransferSyntax("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    TransferSyntax("1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    TransferSyntax("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    TransferSyntax("1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    TransferSyntax("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    TransferSyntax("1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    TransferSyntax("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
    TransferSyntax("1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
    TransferSyntax("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1"),
    TransferSyntax("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1"),
    TransferSyntax("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)"),
    TransferSyntax(
        "1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)"
    ),
    TransferSyntax("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression"),
    TransferSyntax("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", encapsulated=False),
    TransferSyntax("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", deflated=True, encapsulated=False),
    TransferSyntax("1.2.840.10008.1.2.5", "RLE Lossless"),
    TransferSyntax("1.2.840.10008.1.2.6.1", "RFC 2557 MIME encapsulation"),
    TransferSyntax("1.2.840.10008.1.2.6.2", "XML Encoding"),
    TransferSyntax("1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video"),
    TransferSyntax("1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video"),
    TransferSyntax("1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio"),
    TransferSyntax("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", explicit_vr=False, encapsulated=False),
)

TRANSFER_SYNTAXES: dict[str, TransferSyntax] = {syntax.uid: syntax for syntax in _ALL}
"""By UID, retired ones too."""

UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
"""The uncompressed transfer syntaxes, the one to prefer first: explicit keeps every VR, Big Endian is retired."""


def convertible(transfer_syntax_uid: str) -> tuple[str, ...]:
    """The transfer syntaxes that a data set in `transfer_syntax_uid` can be converted to, the best first.

    Empty for compressed pixel data and for transfer syntaxes that are not known.
    """
    if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        return UNCOMPRESSED
    if transfer_syntax_uid in UNCOMPRESSED:
        return tuple(uid for uid in UNCOMPRESSED if uid != transfer_syntax_uid)
    return ()
