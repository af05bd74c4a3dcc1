"""The order of system calls as the kernel sees them, and SIGKILL before each operation of a real process.

Promises (see test_storage): acknowledged_means_durable, all_or_nothing, a_resend_never_harms, restart_cleans.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dulcet.services.storage import Durability, OnConflict
from dulcet.services.storing.file_system import FileSystem

PATIENCE = 180.0  # seconds, for what takes five

STORE = """
import os, sys, trio
from pathlib import Path
from dulcet.services.storage import *

CT = "1.2.840.10008.5.1.4.1.1.2"

def data_set(uid, pixels):
    uid = uid.encode() + bytes(len(uid) % 2)
    head = b"\\x08\\0\\x16\\0UI\\x1a\\0" + CT.encode() + b"\\0"
    head += b"\\x08\\0\\x18\\0UI" + len(uid).to_bytes(2, "little") + uid
    return head + b"\\xe0\\x7f\\x10\\0OW\\0\\0" + len(pixels).to_bytes(4, "little") + pixels

async def store(storage, uid, pixels, file=1):
    octets = data_set(uid, pixels)
    incoming = storage.begin(sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid="1.2.840.10008.1.2.1")
    for start in range(0, len(octets), 3000):
        incoming.write(memoryview(octets)[start : start + 3000])
    await incoming.finish()
    os.write(file, f"{uid} {pixels[:1].decode()}\\n".encode())
"""

IN_ORDER = """
async def main(directory, durability):
    storage = Storage(StorageOptions(directory=Path(directory), durability=Durability(durability), min_free_octets=0))
    for number in range(3):
        await store(storage, f"1.2.{number}", b"a" * 10_000)
    await store(storage, "1.2.0", b"b" * 10_000)
    await store(storage, "1.2.0", b"b" * 10_000)
    async with trio.open_nursery() as nursery:
        for number in range(3, 7):
            nursery.start_soon(store, storage, f"1.2.{number}", b"a" * 10_000)
    storage.close()

trio.run(main, *sys.argv[1:])
"""


@pytest.fixture
def traced(tmp_path, system_calls):
    """Run a program under strace: its system calls that have to do with files."""
    strace = system_calls.find_strace()

    def trace(*arguments):
        output = tmp_path / "trace"
        command = [*system_calls.strace_to(strace, output), sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return system_calls.parse(output.read_text())

    return trace


@pytest.mark.parametrize("durability", ["fsync", "batch"])
def test_acknowledged_means_durable_in_the_order_of_system_calls(tmp_path, traced, system_calls, durability):
    """write < fsync of the file < link < fsync of the directories < what the sender is told."""
    directory = tmp_path / "stored"
    calls = traced("-c", STORE + IN_ORDER, str(directory), durability)
    told = [call for call in calls if call.name == "write" and call.text.startswith("write(1<") and "1.2." in call.text]
    assert len(told) == 9
    for answer in told:
        system_calls.check_order(calls, answer, re.search(r"1\.2\.\d+", answer.text)[0], directory)
    is_grouped = durability == "batch" and FileSystem.can_sync_file_system
    assert is_grouped == any(call.name == "syncfs" for call in calls)
    names = [re.search(r'<([^>]*)>, "([^"]*)", 0\b', call.text) for call in calls if call.name == "linkat"]
    assert all(re.fullmatch(r"1\.2\.\d(~[0-9a-f]{12})?\.dcm", name[2]) for name in names)


def test_the_trace_of_a_storage_without_promises_shows_no_fsync_of_objects(tmp_path, traced):
    """So that what is asserted above can fail."""
    calls = traced("-c", STORE + IN_ORDER, str(tmp_path / "stored"), "none")
    assert not [call for call in calls if call.name in ("fsync", "syncfs") and "/stored" in call.text]
    assert [call for call in calls if call.name == "linkat"]


# SIGKILL ------------------------------------------------------------------------------------------------------------

KILLED = """
import importlib.util, signal

spec = importlib.util.spec_from_file_location("watched_file_system", sys.argv[1])
watched = importlib.util.module_from_spec(spec)
spec.loader.exec_module(watched)
base, durability, on_conflict = Path(sys.argv[2]), Durability(sys.argv[3]), OnConflict(sys.argv[4])

class Deadly(watched.FaultyFileSystem):
    def __init__(self, deadly):
        super().__init__()
        self.deadly = deadly
    def before(self, operation, arguments, keywords):
        if self.count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        super().before(operation, arguments, keywords)

async def main(directory, deadly, file):
    options = StorageOptions(directory=directory, durability=durability, on_conflict=on_conflict, min_free_octets=0)
    storage = Storage(options, Deadly(deadly))
    for uid, pixels in (("1.2.1", b"a"), ("1.2.1", b"a"), ("1.2.1", b"b"), ("1.2.2", b"a")):
        await store(storage, uid, pixels * 7000, file)
    storage.close()

for deadly in range(1000):
    directory = base / str(deadly)
    directory.mkdir()
    child = os.fork()
    if not child:
        file = os.open(directory / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        trio.run(main, directory / "stored", deadly, file)
        os._exit(0)
    if not os.waitpid(child, 0)[1]:
        break
"""


@pytest.mark.parametrize(
    ("durability", "on_conflict"),
    [
        (Durability.FSYNC, OnConflict.KEEP_BOTH),
        (Durability.FSYNC, OnConflict.REPLACE),
        (Durability.BATCH, OnConflict.KEEP_BOTH),
        (Durability.NONE, OnConflict.KEEP_BOTH),
    ],
)
def test_all_or_nothing_whenever_it_is_killed(
    tmp_path, open_storage, files, stored_data_set, make_object, durability, on_conflict
):
    """The process dies before its first, second, ... operation; what it told stands, and a start cleans the rest."""
    watched = Path(__file__).with_name("watched_file_system.py")
    arguments = (str(watched), str(tmp_path), durability.value, on_conflict.value)
    subprocess.run([sys.executable, "-c", STORE + KILLED, *arguments], check=True, timeout=PATIENCE)
    runs = sorted(int(path.name) for path in tmp_path.iterdir())
    assert len(runs) > 30
    for run in runs:
        directory = tmp_path / str(run)
        open_storage(directory=directory / "stored").close()
        stored = {name: stored_data_set(directory / "stored" / name)[-7001:] for name in files(directory / "stored")}
        told = [line.split() for line in (directory / "told").read_text().splitlines()]
        for name, octets in stored.items():
            assert not name.startswith(".incoming")
            assert octets[1:] in (b"a" * 7000, b"b" * 7000), "whole"
        for index, (uid, pixels) in enumerate(told):
            is_replaced = on_conflict is OnConflict.REPLACE and (index < 2 <= len(told))
            of_uid = [octets[1:2].decode() for name, octets in stored.items() if f"/{uid}" in name]
            assert pixels in of_uid or (is_replaced and "b" in of_uid)
    assert len((tmp_path / str(runs[-1]) / "told").read_text().splitlines()) == 4
