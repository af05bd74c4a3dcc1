"""Jobs that retrieve from dcmqrscp and from Orthanc: by our receiver, our server, C-GET; then what was missing."""

import os
from contextlib import contextmanager

import pytest

from dulcet.conformance.peers.address import PeerAddress
from dulcet.conformance.peers.ours import PROGRAM, SAYS_READY
from dulcet.conformance.peers.process import running_peer
from dulcet.station.archive.vault import path_of
from dulcet.station.queue.jobs import JobState
from dulcet.station.queue.sqlite_store import open_queue


@pytest.fixture(scope="module")
def one(study):
    return study(number=1, series=3, instances=20)


@pytest.fixture(scope="module")
def loaded(dcmqrscp, orthanc, one, dulcet, tmp_path_factory):
    """Both archives with the study in them."""
    folder = tmp_path_factory.mktemp("study")
    one.write(folder)
    archives = {"dcmqrscp": dcmqrscp.address, "orthanc": orthanc.address}
    for address in archives.values():
        ran = dulcet("send", address, folder)
        assert ran.returncode == 0, ran.stderr
    return archives


@pytest.fixture(params=["dcmqrscp", "orthanc"])
def archive(request, loaded):
    return loaded[request.param]


@pytest.fixture
def run(command, monkeypatch, tmp_path, one, archive, move_destination):
    """Order the study, run the queue, and answer the job."""
    state = tmp_path / "state"
    monkeypatch.setenv("DULCET_STATE", str(state))
    monkeypatch.setenv("DULCET_CONFIG", os.devnull)
    monkeypatch.setenv("DULCET_NODES", os.devnull)

    def call(directory, via="move"):
        answer = command(
            *("retrieve", archive, "--study", one.uid, "--queue", "--via", via, "--directory", directory),
            *("--port", move_destination.port, "--bind", "127.0.0.1"),
        )
        assert answer.code == 0, answer.errors
        answer = command("queue", "run", "--once")
        assert answer.code == 0, answer.errors
        return open_queue(state).jobs()[0]

    return call


@contextmanager
def serving(address: PeerAddress, directory, storage):
    """`dulcet serve` where the archives send to."""
    directory.mkdir()
    words = ["serve", "--aet", address.ae_title, "--port", str(address.port), "--directory", str(storage), "--no-queue"]
    environment = {"DULCET_CONFIG": os.devnull}
    with running_peer(
        [*PROGRAM, *words],
        address=address,
        directory=directory,
        storage=storage,
        environment=environment,
        says=SAYS_READY,
    ) as peer:
        yield peer


def is_all_there(directory, study):
    return all(path_of(directory, uid).is_file() for uid in study.instance_uids)


@pytest.mark.parametrize("via", ["move", "get"])
def test_all_of_it_then_only_what_is_missing(run, one, tmp_path, via):
    here = tmp_path / "here"
    job = run(here, via)
    assert (job.state, job.counts.done, job.counts.instances) == (JobState.DONE, 60, 60), job
    assert is_all_there(here, one)
    kept = {path: path.stat().st_ino for path in here.glob("??/*.dcm")}
    gone = [*one.instance_uids[:20], *one.instance_uids[25:30]]  # a series, and five images of another
    for uid in gone:
        path_of(here, uid).unlink()
    job = run(here, via)
    assert (job.state, job.counts.done) == (JobState.DONE, 60), job
    assert is_all_there(here, one)
    untouched = [path for path in kept if path.stem not in gone]
    assert all(path.stat().st_ino == kept[path] for path in untouched)
    assert job.counts.octets_done > 0


def test_through_our_server(run, one, tmp_path, move_destination):
    here = tmp_path / "here"
    with serving(move_destination, tmp_path / "server", here):
        job = run(here)
        assert (job.state, job.counts.done, job.reason) == (JobState.DONE, 60, ""), job
        assert is_all_there(here, one)


def test_our_server_stores_elsewhere(run, one, tmp_path, move_destination):
    with serving(move_destination, tmp_path / "server", tmp_path / "elsewhere") as server:
        job = run(tmp_path / "here")
    assert job.state is JobState.FAILED
    assert f"our own server has port {move_destination.port} and stores in {server.storage}" in job.reason
