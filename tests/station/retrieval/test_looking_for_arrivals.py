"""What has come to a storage directory is found by looking: whole, durable, and nothing else."""

import fcntl
import os

import pytest
import trio

from dulcet.services.part10 import encode_header
from dulcet.station.archive.vault import path_of
from dulcet.station.retrieval.tally import Tally
from dulcet.station.retrieval.watching import look, look_for, watching

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def put(tmp_path):
    """An object in the directory."""

    def write(uid, data_set=b"12345678", named=None):
        path = path_of(tmp_path, uid)
        path.parent.mkdir(exist_ok=True)
        header = encode_header(
            sop_class_uid=CT, sop_instance_uid=named or uid, transfer_syntax_uid="1.2.840.10008.1.2.1"
        )
        path.write_bytes(header + data_set)
        return path

    return write


def test_what_is_there(tmp_path, put):
    path = put("1.2.3")
    found = look(tmp_path, "1.2.3")
    assert (found.octets, found.path, found.sop_class_uid) == (8, str(path), CT)
    assert look_for(tmp_path, ["1.2.3", "1.2.4"]) == {"1.2.3": found}


def test_what_is_not(tmp_path, put):
    assert look(tmp_path, "1.2.3") is None
    put("1.2.4", named="1.2.5")
    assert look(tmp_path, "1.2.4") is None
    put("1.2.6").write_bytes(b"no object")
    assert look(tmp_path, "1.2.6") is None
    path = put("1.2.7")
    os.rename(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert look(tmp_path, "1.2.7") is None
    path_of(tmp_path, "1.2.8").mkdir(parents=True)
    assert look(tmp_path, "1.2.8") is None


def test_what_its_server_still_holds_is_not_durable(tmp_path, put):
    path = put("1.2.3")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert look(tmp_path, "1.2.3") is None
    assert look(tmp_path, "1.2.3") is not None


async def test_arrivals_are_told_as_they_come_and_once(tmp_path, put, autojump_clock):
    tally = Tally(lambda event: told.append(event.sop_instance_uid))
    told = []
    tally.expected.update({"1.1", "1.2", "1.3"})
    put("1.1")
    put("9.9")  # nobody asked for it
    async with watching(tmp_path, tally, address="here", port=1) as watch:
        await tally.change()
        assert told == ["1.1"]
        put("1.2")
        with trio.fail_after(10):
            await tally.change()
        assert told == ["1.1", "1.2"]
        assert not watch.is_receiving()
        put("1.3")
    assert told == ["1.1", "1.2", "1.3"]  # looked at once more when it ends


async def test_what_is_being_written_is_seen(tmp_path, autojump_clock):
    tally = Tally(lambda _event: None)
    incoming = tmp_path / ".incoming" / "0123456789abcdef"
    incoming.mkdir(parents=True)
    async with watching(tmp_path, tally, address="here", port=1) as watch:
        await watch.look()
        assert not watch.is_receiving()
        (incoming / "1").write_bytes(b"part of an object")
        await watch.look()
        assert watch.is_receiving()
        os.utime(incoming / "1", (1, 1))
        await watch.look()
        assert not watch.is_receiving()


async def test_an_error_leaves_by_itself(tmp_path, autojump_clock):
    async def fail():
        async with watching(tmp_path, Tally(lambda _event: None), address="here", port=1):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await fail()


async def test_many_are_looked_for_in_parts(tmp_path, put, monkeypatch, autojump_clock):
    monkeypatch.setattr("dulcet.station.retrieval.watching.LOOKED_FOR", 2)
    tally = Tally(lambda _event: None)
    tally.expected.update(f"1.2.{number}" for number in range(5))
    put("1.2.4")
    async with watching(tmp_path, tally, address="here", port=1) as watch:
        with trio.fail_after(60):
            while "1.2.4" not in tally.arrived:
                await watch.look()
