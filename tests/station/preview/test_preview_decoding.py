"""The process that decodes: what an image can do to it, and what that costs."""

import io
import os
import signal
import subprocess
import sys
from itertools import islice

import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.preview import decoding
from dulcet.station.preview.decoding import COMMAND, Decoder, DecoderLimits, previews
from dulcet.station.preview.picture import Image, Picture, PreviewOptions, Problem, ProblemKind
from dulcet.station.preview.wire import READY, GarbageError, Request, encode_answer, read_answer

LIMITS = DecoderLimits(seconds=20, memory_octets=512 << 20)


def run(names, command, limits=LIMITS):
    return list(previews([Image(name) for name in names], limits=limits, command=command))


def test_one_process_serves_a_whole_sheet(faulty_command, monkeypatch):
    monkeypatch.setattr(decoding, "LEAVE_SECONDS", 60.0)
    with Decoder(LIMITS, faulty_command) as decoder:
        first = decoder.preview(Image("good"), PreviewOptions())
        process = decoder._process
        assert isinstance(first, Picture)
        assert isinstance(decoder.preview(Image("good"), PreviewOptions()), Picture)
        assert decoder._process is process
    assert process.poll() == 0, "it ends when nobody asks any more"


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ("crash", ProblemKind.DECODER_ENDED, "this image ended its decoder (signal 11)"),
        ("killed", ProblemKind.DECODER_ENDED, "this image ended its decoder (signal 9)"),
        ("exit", ProblemKind.DECODER_ENDED, "this image ended its decoder (exit code 7)"),
        ("memory", ProblemKind.DECODER_ENDED, "it takes more memory than a decoder may have"),
        ("network", ProblemKind.NOT_SHOWN, "it can't be decoded: PermissionError: a decoder may not use socket."),
        ("program", ProblemKind.NOT_SHOWN, "it can't be decoded: PermissionError: a decoder may not use subprocess."),
    ],
)
def test_a_fault_costs_one_tile(faulty_command, fault, kind, reason):
    before, problem, after = run(["good", fault, "good"], faulty_command)
    assert isinstance(before, Picture)
    assert isinstance(after, Picture)
    assert isinstance(problem, Problem)
    assert problem.kind is kind
    assert problem.reason.startswith(reason)
    assert problem.image == Image(fault)


@pytest.mark.parametrize("fault", ["sleep", "work"])
def test_one_that_does_not_end_is_ended(faulty_command, fault):
    """`work` takes its 2 s of the processor when we are held up meanwhile."""
    with Decoder(DecoderLimits(seconds=2, memory_octets=512 << 20), faulty_command) as decoder:
        problem = decoder.preview(Image(fault), PreviewOptions())
        decoder._limits = LIMITS  # another process, which may be held up
        assert isinstance(decoder.preview(Image("good"), PreviewOptions()), Picture)
    reasons = ["it took more than 2 s to decode"]
    if fault == "work":
        reasons.append("it took more than 2 s of processor time to decode")
    assert problem.reason in reasons


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_CPU")
def test_the_processor_time_is_limited_whatever_the_clock_says(faulty_command):
    answer = subprocess.run(
        [*faulty_command, str(512 << 20)],
        input=Request(Image("work"), PreviewOptions(), 0.2).encode(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == -signal.SIGXCPU


def test_what_a_library_prints_is_no_answer(faulty_command):
    assert all(isinstance(one, Picture) for one in run(["print", "good"], faulty_command))


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE")
def test_it_writes_no_file(faulty_command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (problem,) = run(["write"], faulty_command)
    assert "File too large" in problem.reason
    assert (tmp_path / "written").read_bytes() == b""


def test_it_knows_none_of_our_secrets(faulty_command, monkeypatch):
    monkeypatch.setenv("DULCET_SEND_PASSWORD_FILE", "secret")
    monkeypatch.setenv("PACS_TOKEN", "secret")
    (problem,) = run(["environment"], faulty_command)
    assert "PATH" in problem.reason
    assert "DULCET" not in problem.reason
    assert "TOKEN" not in problem.reason


def good_answer(**changed) -> bytes:
    fields = {"frame": 1, "frames": 1, "width": 2, "height": 2, "channels": 1, "rows": 2, "columns": 2} | changed
    pixels = fields.pop("pixels", bytes(fields["width"] * fields["height"] * fields["channels"]))
    return encode_answer(Picture(image=Image("x"), pixels=pixels, **fields))


GARBAGE = {
    "text": b"Traceback (most recent call last):\n  File decoder.py, line 1, in <module>\n" * 3,
    "another magic": b"PK\3\4" + good_answer()[4:],
    "no such kind": good_answer()[:4] + b"\x09" + good_answer()[5:],
    "two channels": good_answer(channels=2),
    "four channels": good_answer(channels=4),
    "no rows": good_answer(rows=0, height=0),
    "frame 0": good_answer(frame=0),
    "a frame that there isn't": good_answer(frame=2),
    "larger than asked for": good_answer(width=2000, height=2000, rows=2000, columns=2000),
    "another shape": good_answer(width=1),
    "too many octets": good_answer(pixels=bytes(5)),
    "too few octets": good_answer(pixels=bytes(3)),
    "gigabytes": good_answer()[:-8] + b"\xff\xff\xff\xff",
    "a sentence without end": encode_answer(Problem(image=Image("x"), kind=ProblemKind.NOT_SHOWN, reason=""))[:-4]
    + b"\xff\xff\xff\x7f",
    "a window of no size": good_answer()[:22] + b"\x01" + b"\xff" * 16 + good_answer()[39:],
}


@pytest.mark.parametrize("octets", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_no_picture(octets):
    with pytest.raises(GarbageError):
        read_answer(io.BytesIO(octets), Request(Image("x"), PreviewOptions(), 1))


def test_every_answer_that_is_cut_is_none():
    request = Request(Image("x"), PreviewOptions(), 1)
    for whole in (good_answer(), encode_answer(Problem(image=Image("x"), kind=ProblemKind.NO_CODEC, reason="Why."))):
        assert read_answer(io.BytesIO(whole), request) is not None
        for end in range(len(whole)):
            assert read_answer(io.BytesIO(whole[:end]), request) is None


def test_a_sentence_of_a_hostile_decoder_is_safe_to_show():
    octets = encode_answer(
        Problem(image=Image("x"), kind=ProblemKind.NOT_SHOWN, reason="\x1b]0;title\x07\u202e\r\n" * 99)
    )
    answer = read_answer(io.BytesIO(octets), Request(Image("x"), PreviewOptions(), 1))
    assert answer.reason.isascii()
    assert answer.reason.isprintable()
    assert len(answer.reason) <= 400


def test_a_decoder_that_answers_garbage_costs_one_tile(faulty_command):
    for octets in (GARBAGE["text"], GARBAGE["gigabytes"]):
        problem, *_ = run(["x"], [*faulty_command, "raw", octets.hex()])
        assert problem.kind is ProblemKind.DECODER_ENDED
        assert problem.reason == "its decoder answered with something that is no picture"


def test_what_ended_a_decoder_is_known_though_its_end_takes_a_while(monkeypatch):
    """Its output ends before it does: it is not killed meanwhile, which would be told in place of the true reason."""
    monkeypatch.setattr(decoding, "LEAVE_SECONDS", 0.0)
    program = (
        f"import os, sys; os.write(1, {READY!r}); sys.stdin.readline(); os.close(1); sys.stdin.read(); os._exit(7)"
    )
    with Decoder(LIMITS, [sys.executable, "-c", program]) as decoder:
        problem = decoder.preview(Image("x"), PreviewOptions())
    assert problem.reason == "this image ended its decoder (exit code 7)"


def test_a_decoder_that_never_starts_is_a_fault_of_the_installation(faulty_command):
    with pytest.raises(ConfigurationError, match="does not start: exit code"):
        run(["good"], [*faulty_command, "no-greeting"])
    with pytest.raises(ConfigurationError, match="can't be started: No such file"):
        run(["good"], ["/nowhere/python"])


def test_one_that_was_ended_from_outside_is_started_again(faulty_command):
    with Decoder(LIMITS, faulty_command) as decoder:
        assert isinstance(decoder.preview(Image("good"), PreviewOptions()), Picture)
        decoder._process.kill()
        decoder._process.wait()
        assert isinstance(decoder.preview(Image("good"), PreviewOptions()), Picture)


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next(faulty_command, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with Decoder(LIMITS, faulty_command) as decoder:
        with monkeypatch.context() as patch:
            patch.setattr(decoding, "read_answer", interrupted)
            with pytest.raises(KeyboardInterrupt):
                decoder.preview(Image("sleep"), PreviewOptions())
        assert isinstance(decoder.preview(Image("good"), PreviewOptions()), Picture)


def test_leaving_early_ends_the_process(faulty_command):
    results = previews([Image("good"), Image("sleep")], limits=LIMITS, command=faulty_command)
    assert len(list(islice(results, 1))) == 1
    process = results.gi_frame.f_locals["decoder"]._process
    results.close()
    assert process.poll() is not None


def test_a_path_of_any_octets_is_asked_for_as_it_is():
    request = Request(Image(os.fsdecode(b"/tmp/\xff\n\"'.dcm"), 3), PreviewOptions(size=7), 2.5)
    line = request.encode()
    assert line.count(b"\n") == 1
    assert Request.decode(line) == request


def test_the_parent_imports_no_library_that_decodes():
    program = (
        "import sys; import dulcet.commands.series_preview, dulcet.station.preview.decoding;"
        "print(sorted({'pydicom', 'numpy', 'PIL', 'rich', 'trio'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_no_module_of_the_current_folder_is_imported(tmp_path, monkeypatch, bundled):
    (tmp_path / "numpy.py").write_text("raise SystemExit(99)")
    (tmp_path / "zlib.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    (picture,) = previews([bundled / "CT_small.dcm"], command=COMMAND)
    assert isinstance(picture, Picture)
