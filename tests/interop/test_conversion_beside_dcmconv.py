"""Our conversions beside those of DCMTK's dcmconv: dcmdump reads the same elements out of both."""

import re
import subprocess
import tempfile
from pathlib import Path

import pydicom
import pytest

from dulcet.conformance.peers.process import executable
from dulcet.dimse.transfer_syntaxes import UNCOMPRESSED, convertible
from dulcet.dimse.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dulcet.services.conversion import convert
from dulcet.services.part10 import Part10Header

TEST_DATA = Path(pydicom.__file__).parent / "data"
TRUNCATED = {"MR_truncated.dcm", "rtplan_truncated.dcm"}
DCMCONV_OPTIONS = {IMPLICIT_VR_LITTLE_ENDIAN: "+ti", EXPLICIT_VR_LITTLE_ENDIAN: "+te", EXPLICIT_VR_BIG_ENDIAN: "+tb"}


def transfer_syntax_and_offset(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        try:
            pydicom.filereader.read_preamble(file, force=False)
            meta = pydicom.filereader._read_file_meta_info(file)
        except Exception:
            return "", 0
        return str(meta.get("TransferSyntaxUID", "")), file.tell()


TEST_FILES = [
    pytest.param(path, id=path.name)
    for path in sorted((*TEST_DATA.glob("test_files/*.dcm"), *TEST_DATA.glob("charset_files/*.dcm")))
    if path.name not in TRUNCATED and transfer_syntax_and_offset(path)[0] in UNCOMPRESSED
]


@pytest.fixture(autouse=True)
def _needs_dcmtk(need):
    need("dcmconv")


def dumped(path: Path) -> list[bytes]:
    """What dcmdump prints of each element but the lengths, and without the items that end something."""
    done = subprocess.run([executable("dcmdump"), "+L", path], capture_output=True, check=True)
    lines = (re.sub(rb"\s+#.*", b"", line).strip() for line in done.stdout.splitlines())
    lines = (re.sub(rb"with (explicit|undefined) length", b"", line) for line in lines)
    return [line for line in lines if not re.match(rb"\(fffe,e0[0d]d", line)]


def converted(path: Path, target: str) -> bytes:
    source, offset = transfer_syntax_and_offset(path)
    header = Part10Header(
        sop_class_uid="1.2",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=source,
        data_set_offset=offset,
        file_size=path.stat().st_size,
    )
    with path.open("rb") as file, convert(file.fileno(), header, target) as result:
        result.file.seek(result.offset)
        return result.file.read()


@pytest.mark.parametrize("path", TEST_FILES)
def test_dcmdump_reads_the_same_out_of_both(path):
    for target in convertible(transfer_syntax_and_offset(path)[0]):
        with tempfile.TemporaryDirectory() as directory:
            theirs, ours = Path(directory, "theirs"), Path(directory, "ours")
            # -g: without group lengths, as PS3.5 7.2 recommends and we do
            command = [executable("dcmconv"), "-g", DCMCONV_OPTIONS[target], path, theirs]
            subprocess.run(command, capture_output=True, check=True)
            meta = theirs.read_bytes()[: transfer_syntax_and_offset(theirs)[1]]
            ours.write_bytes(meta + converted(path, target))
            assert dumped(ours) == dumped(theirs)
