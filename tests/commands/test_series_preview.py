"""`dulcet series preview`: files and folders in, a sheet or half blocks out, and the exit code."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pydicom.data
import pytest
from PIL import Image

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
CT, MR, CINE = FOLDER / "CT_small.dcm", FOLDER / "MR_small.dcm", FOLDER / "rtdose.dcm"
NOT_DICOM, REPORT, TRUNCATED = FOLDER / "README.txt", FOLDER / "reportsi.dcm", FOLDER / "MR_truncated.dcm"


@pytest.fixture
def preview(dulcet):
    return lambda *arguments: dulcet("series", "preview", *arguments)


def test_a_sheet_as_a_png_file(preview, tmp_path):
    answer = preview(CT, MR, "--output", tmp_path / "sheet.png")
    assert (answer.code, answer.output, answer.errors) == (0, "", "")
    with Image.open(tmp_path / "sheet.png") as sheet:
        sheet.load()
        assert sheet.mode == "L"
        assert sheet.width == 2 * 132 + 4


def test_one_line_for_each_image(preview, tmp_path):
    answer = preview(CINE, "--images", 3, "--json", "--output", tmp_path / "sheet.png")
    *pictures, summary = map(json.loads, answer.output.splitlines())
    assert [(one["event"], one["frame"], one["frames"]) for one in pictures] == [
        ("preview.picture", number, 15) for number in (1, 8, 15)
    ]
    assert pictures[0]["name"] == str(CINE)
    assert (pictures[0]["rows"], pictures[0]["columns"]) == (10, 10)
    assert re.fullmatch(r"[\d.e+]+/[\d.e+]+", pictures[0]["window"])
    assert summary["counts"] == {"shown": 3, "not-shown": 0}
    assert summary["exit_code"] == answer.code == 0


def test_what_can_not_be_shown_is_said_and_the_rest_is_shown(preview, tmp_path):
    answer = preview(CT, TRUNCATED, MR, "--json", "--output", tmp_path / "sheet.png")
    assert answer.code == 1
    reason = "its pixel data ends early: frame 1 needs 8,192 octets, there are 8,130"
    assert answer.errors == f"dulcet: {TRUNCATED}: {reason}\n"
    events = [json.loads(line) for line in answer.output.splitlines()]
    (problem,) = [one for one in events if one["event"] == "preview.problem"]
    assert (problem["problem"], problem["explanation"]) == ("not-shown", reason)
    assert events[-1]["counts"] == {"shown": 2, "not-shown": 1}


def test_an_object_without_pixels_is_no_failure(preview, tmp_path):
    answer = preview(REPORT, "--output", tmp_path / "sheet.png")
    assert answer.code == 0
    assert answer.errors == f"dulcet: {REPORT}: it has no pixels: Basic Text SR Storage\n"
    assert (tmp_path / "sheet.png").exists()


def test_many_objects_without_pixels_are_one_line(preview, tmp_path):
    folder = tmp_path / "reports"
    folder.mkdir()
    for number in range(20):
        shutil.copy(REPORT, folder / f"{number:02}.dcm")
    answer = preview(folder, "--output", tmp_path / "sheet.png")
    assert answer.code == 0
    assert answer.errors == f"dulcet: {folder / '00.dcm'}, and 19 more: it has no pixels: Basic Text SR Storage\n"


@pytest.mark.parametrize(
    ("source", "octets", "reason"),
    [
        (REPORT, 2000, "it is cut short: the data set ends in the header of an element"),
        (CT, 1000, "it is cut short: the data set ends in"),
        (CT, 6264, "its pixels are missing, though it has rows of them: it is cut short"),
    ],
)
def test_an_object_that_is_cut_short_is_a_failure(preview, tmp_path, source, octets, reason):
    path = tmp_path / "cut.dcm"
    path.write_bytes(source.read_bytes()[:octets])
    answer = preview(path, "--output", tmp_path / "sheet.png")
    assert answer.code == 1
    assert answer.errors.startswith(f"dulcet: {path}: {reason}")


def test_a_sheet_is_a_png_file_and_no_other(preview, tmp_path):
    answer = preview(CT, "--output", tmp_path / "sheet.jpg")
    assert (answer.code, answer.output) == (2, "")
    assert "it has to end in .png" in answer.errors.replace("\n", " ")
    assert not list(tmp_path.iterdir())


def test_a_window_and_a_frame(preview, tmp_path):
    def octets(*options):
        assert preview(CT, "--output", tmp_path / "sheet.png", *options).code == 0
        return (tmp_path / "sheet.png").read_bytes()

    plain, narrow = octets(), octets("--window", "40/80")
    assert plain != narrow
    assert octets() == plain, "the same pictures make the same file"
    answer = preview(CT, "--frame", 2, "--output", tmp_path / "sheet.png")
    assert (answer.code, answer.errors) == (1, f"dulcet: {CT}: it has no frame 2: it has 1\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--window", "40"], 2, "a window is CENTER/WIDTH, as in 40/400"),
        (["--window", "40/0"], 2, "the width of a window is at least 1"),
        (["--frame", "0"], 2, "--frame"),
        (["--size", "5000"], 2, "--size"),
        ([CINE, "--size", "4096", "--output", "/nowhere/sheet.png"], 2, "more than 64 million pixels"),
        (["--json", "--terminal"], 2, "exclude each other"),
        (["--output", "/nowhere/sheet.png"], 78, "/nowhere/sheet.png can't be written: No such file or directory"),
    ],
)
def test_what_makes_no_sense_is_said(preview, arguments, code, words):
    answer = preview(CT, *arguments)
    assert answer.code == code
    assert words in answer.errors


def test_what_is_not_there_and_what_is_not_dicom(preview, tmp_path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    for name, code in (("nothing", 66), ("notes.txt", 65)):
        answer = preview(tmp_path / name, "--output", tmp_path / "sheet.png")
        assert answer.code == code
        assert name in answer.errors
    assert not (tmp_path / "sheet.png").exists()


def test_no_terminal_gets_a_sentence(preview):
    answer = preview(CT)
    assert answer.code == 2
    assert answer.output == ""
    assert "standard output is no terminal: --output FILE.png" in answer.errors


NOT_PLANTED = (0x00080005, 0x00280004)  # without Specific Character Set and Photometric Interpretation, no picture


def planted(path: Path) -> Path:
    """A file with a name in every attribute that can hold one."""
    data_set = pydicom.dcmread(CT)
    for element in data_set:
        if element.VR in ("PN", "LO", "SH", "LT", "ST", "UT", "CS", "AE") and element.tag not in NOT_PLANTED:
            element.value = "CANARY"
    data_set.SeriesDescription = "CANARY"
    data_set.save_as(path)
    return path


def test_no_patient_data_unless_it_is_asked_for(preview, tmp_path):
    from dulcet.station.preview.font import text_rows

    path, sheet = planted(tmp_path / "image.dcm"), tmp_path / "sheet.png"
    drawn = text_rows("CANARY", 35, 0x90, 0x18)[0]

    def is_drawn() -> bool:
        with Image.open(sheet) as image:
            return drawn in image.tobytes()

    answer = preview(path, "--json", "--output", sheet)
    assert "CANARY" not in answer.output + answer.errors
    assert not is_drawn()
    assert b"CANARY" not in sheet.read_bytes()
    answer = preview(path, "--phi", "--output", sheet)
    assert "CANARY" not in answer.output + answer.errors
    assert is_drawn()


# A series of the vault -----------------------------------------------------------------------------------------------


@pytest.fixture
def vault(dulcet, tmp_path) -> Path:
    """Two series of three and one images, indexed."""
    from dulcet.services.storing.storage_directory import shard_of

    directory = tmp_path / "received"
    for series, instances in (("1.2.826.5.1111", 3), ("1.2.826.5.2222", 1)):
        for number in range(instances, 0, -1):
            data_set = pydicom.dcmread(MR)
            data_set.SeriesInstanceUID, data_set.InstanceNumber = series, number
            data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = f"{series}.{9 - number}"
            path = directory / shard_of(data_set.SOPInstanceUID) / f"{data_set.SOPInstanceUID}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            data_set.save_as(path)
    assert dulcet("index", directory).code == 0
    return directory


@pytest.mark.parametrize("word", ["1.2.826.5.1111", "1111", "5.1111"])
def test_a_series_by_its_uid_or_the_end_of_it(preview, vault, tmp_path, word):
    answer = preview(word, "--directory", vault, "--json", "--output", tmp_path / "sheet.png")
    assert answer.code == 0
    names = [Path(json.loads(line)["name"]).name for line in answer.output.splitlines()[:-1]]
    assert names == [f"1.2.826.5.1111.{end}.dcm" for end in (8, 7, 6)], "by instance number"


def test_a_series_that_is_not_there_or_may_be_two(preview, vault):
    answer = preview("1.2.826", "--directory", vault, "--json")
    assert answer.code == 2
    assert "1.2.826 may be any of 2 series in" in answer.errors
    answer = preview("3333", "--directory", vault, "--json")
    assert answer.code == 66
    assert "no file or folder 3333, and no such series in" in answer.errors


# A real terminal -----------------------------------------------------------------------------------------------------


@pytest.fixture
def in_terminal(home):
    """Run the command in a terminal of 80 columns, with these variables; what it wrote, and its exit code."""

    def run(*arguments, **variables) -> tuple[str, int]:
        ours, theirs = pty.openpty()
        environment = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm", **variables}
        environment.pop("NO_COLOR", None) if "NO_COLOR" not in variables else None
        command = [sys.executable, "-m", "dulcet", "series", "preview", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment)
        os.close(theirs)
        written = BytesIO()
        while True:
            try:
                octets = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the last writer has gone
                break
            if not octets:
                break
            written.write(octets)
        os.close(ours)
        errors = process.communicate(timeout=30)[1].decode()
        return written.getvalue().decode() + errors, process.returncode

    return run


def test_two_images_beside_one_another(in_terminal):
    output, code = in_terminal(CT, MR, COLORTERM="truecolor")
    assert code == 0
    lines = output.replace("\r", "").splitlines()
    assert lines[-1] == "Not for diagnosis."
    assert re.fullmatch(r" +IM 1 +IM 1", lines[-2])
    blocks = [line for line in lines if "\u2580" in line]
    assert {line.count("\u2580") for line in blocks} == {79}
    assert len(blocks) == 20
    assert all("38;2;" in line for line in blocks[5:15])


def test_256_colours_when_the_terminal_says_no_more(in_terminal):
    output, code = in_terminal(CT, COLORTERM="")
    assert code == 0
    assert "\x1b[38;5;" in output
    assert "38;2;" not in output


def test_no_colours_no_pictures(in_terminal):
    output, code = in_terminal(CT, NO_COLOR="1")
    assert code == 2
    assert "\u2580" not in output
    assert "NO_COLOR is set" in output
    output, code = in_terminal(CT, TERM="dumb")
    assert code == 2
    assert "no terminal" in output
