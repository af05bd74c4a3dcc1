"""The order of system calls of a whole server: an object is on the disk before its C-STORE-RSP is sent.

Promise (see tests/services/storing/test_storage.py): acknowledged_means_durable.
"""

import importlib.util
import os
import signal
import subprocess
from pathlib import Path

import pytest

from dulcet.conformance.peers.ours import DEFAULT_SETTINGS, PROGRAM

SECONDS = 60
CT = "1.2.840.10008.5.1.4.1.1.2"


def load_system_calls():
    """The module beside the tests of the storage: tests are no package."""
    path = Path(__file__).parents[1] / "services" / "storing" / "system_calls.py"
    spec = importlib.util.spec_from_file_location("system_calls", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def element(tag, vr, value):
    value += b"\0" * (len(value) % 2)
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr
    return head + len(value).to_bytes(2, "little") + value


def write_object(path, uid):
    group = b"".join(
        element(tag, b"UI", text.encode())
        for tag, text in ((0x00020002, CT), (0x00020003, uid), (0x00020010, "1.2.840.10008.1.2.1"))
    )
    data_set = element(0x00080016, b"UI", CT.encode()) + element(0x00080018, b"UI", uid.encode())
    path.write_bytes(bytes(128) + b"DICM" + group + data_set + element(0x00100010, b"PN", b"A^B"))


@pytest.mark.parametrize("durability", ["fsync", "batch"])
def test_acknowledged_means_durable_before_the_response_is_sent(tmp_path, durability):
    system_calls = load_system_calls()
    uids = [f"2.25.7{number}" for number in range(4)]
    (tmp_path / "sent").mkdir()
    for uid in uids:
        write_object(tmp_path / "sent" / uid, uid)
    directory, trace = tmp_path / "stored", tmp_path / "trace"
    server = subprocess.Popen(
        [*system_calls.strace_to(system_calls.find_strace(), trace), *PROGRAM, "serve", "--port", "0",
         "--directory", directory, "--durability", durability, "--min-free", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **DEFAULT_SETTINGS},
    )  # fmt: skip
    try:
        with server.stdout:
            port = server.stdout.readline().partition("127.0.0.1:")[2].partition(",")[0]
            command = [*PROGRAM, "send", "--jobs", "2", f"DULCET@127.0.0.1:{port}", tmp_path / "sent"]
            sent = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            assert sent.returncode == 0, sent.stderr
            (traced,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            os.kill(int(traced), signal.SIGTERM)
            assert server.wait(SECONDS) == 0
    finally:
        server.kill()
        server.wait()
    calls = system_calls.parse(trace.read_text())
    for uid in uids:
        (answer,) = (call for call in calls if call.name in ("sendmsg", "sendto") and uid in call.text)
        system_calls.check_order(calls, answer, uid, directory)
