"""Another object with the UID of one that is stored: both are kept, and the server's log says so.

Promise (see tests/services/storing/test_storage.py): idempotent, never a silent discard.
"""

import os
import shutil
import signal
import subprocess

import pydicom
import pytest
from pydicom.data import get_testdata_file

from dulcet.conformance.peers.ours import DEFAULT_SETTINGS, PROGRAM

SECONDS = 60


@pytest.mark.parametrize(("policy", "is_refused", "count", "said"), [
    ("keep-both", False, 2, "object.conflict"),
    ("replace", False, 1, "object.conflict"),
    ("refuse", True, 1, "object.refused"),
])  # fmt: skip
def test_a_conflict_is_told(tmp_path, policy, is_refused, count, said):
    one, other = tmp_path / "one.dcm", tmp_path / "other.dcm"
    shutil.copy(get_testdata_file("CT_small.dcm"), one)
    data_set = pydicom.dcmread(one)
    data_set.PatientComments = "changed"
    data_set.save_as(other)
    directory = tmp_path / "stored"
    options = ("--port", "0", "--directory", directory, "--on-conflict", policy, "--min-free", "0")
    server = subprocess.Popen(
        [*PROGRAM, "serve", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **DEFAULT_SETTINGS},
    )  # fmt: skip
    try:
        port = server.stdout.readline().partition("127.0.0.1:")[2].partition(",")[0]
        codes = [
            subprocess.run(
                [*PROGRAM, "send", f"DULCET@127.0.0.1:{port}", path], capture_output=True, timeout=SECONDS, check=False
            ).returncode
            for path in (one, one, other, other)
        ]
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=SECONDS)
    finally:
        server.kill()
        server.wait()
    assert [code != 0 for code in codes] == [False, False, is_refused, is_refused]
    assert len(list(directory.rglob("*.dcm"))) == count
    lines = [line for line in log.splitlines() if line.startswith(said)]
    assert len(lines) == (2 if is_refused else 1)
    assert data_set.SOPInstanceUID in lines[0]
