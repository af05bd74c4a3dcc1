"""A retrieval while `dulcet serve` has the port: the server receives, and what came is found in its directory."""

import json

import pytest

from dulcet.conformance.peers.ours import dulcet_serve
from dulcet.station.archive.vault import path_of

pytestmark = pytest.mark.usefixtures("no_process_files")


@pytest.fixture
def no_process_files(tmp_path, monkeypatch):
    """The server's of other tests are none of ours."""
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "state"))


@pytest.fixture
def through(command, tmp_path):
    """`dulcet retrieve` of studies while a server listens; its answer."""

    def run(server, archive, study, *options, directory=None):
        return command(
            "retrieve",
            f"ARCHIVE@127.0.0.1:{archive.port}",
            "--study",
            study.uid,
            "--port",
            server.address.port,
            "--bind",
            "127.0.0.1",
            "--directory",
            directory or server.storage,
            "--via",
            "move",
            "--grace",
            "3",
            *options,
        )

    return run


def test_the_server_receives_and_what_came_is_counted(archive_thread, study, through):
    one = study(number=1, series=2)
    with dulcet_serve() as server:
        there = archive_thread(one, destinations={"DULCET": server.address.port})
        answer = through(server, there, one, "--json")
        assert answer.code == 0, answer.errors
        events = [json.loads(line) for line in answer.output.splitlines()]
        came = {event["sop_instance_uid"] for event in events if event["event"] == "receive.result"}
        assert came == set(one.instance_uids)
        assert events[-1]["counts"] == {"arrived": 10}
        assert all(path_of(server.storage, uid).is_file() for uid in one.instance_uids)
        assert (
            f'"{server.address.port}' in answer.output or f'"port":{server.address.port}' in answer.output
        )  # told who listens


def test_an_archive_that_sends_late(archive_thread, study, through):
    one = study(number=1)
    with dulcet_serve() as server:
        there = archive_thread(one, destinations={"DULCET": server.address.port}, final_first=0.3, claims=5)
        answer = through(server, there, one, "--grace", "60")
        assert (answer.code, answer.errors) == (0, "")
        assert "5 of 5 instances retrieved" in answer.output


def test_what_the_archive_did_not_send(archive_thread, study, through):
    one = study(number=1)
    with dulcet_serve() as server:
        there = archive_thread(
            one, destinations={"DULCET": server.address.port}, sends=lambda objects: objects[:3], claims=5
        )
        answer = through(server, there, one)
    assert answer.code == 1
    assert "3 of 5 instances retrieved" in answer.output
    assert f"our own server on port {server.address.port} receives" in answer.errors


def test_an_archive_that_lists_no_images_is_believed(archive_thread, study, through):
    one = study(number=1)
    with dulcet_serve() as server:
        there = archive_thread(one, destinations={"DULCET": server.address.port}, lists_images=False)
        answer = through(server, there, one)
        assert answer.code == 0, answer.errors
        assert "was counted by the archive alone" in answer.output
        assert all(path_of(server.storage, uid).is_file() for uid in one.instance_uids)


def test_a_server_that_is_called_otherwise(archive_thread, study, through):
    one = study(number=1)
    with dulcet_serve(ae_title="OTHER") as server:
        there = archive_thread(one, destinations={"DULCET": server.address.port})
        answer = through(server, there, one)
    assert answer.code == 78
    assert "another program listens there" in answer.errors or "answers to 'OTHER'" in answer.errors


def test_somebody_else_on_the_port_is_no_server_of_ours(archive_thread, study, through, command, tmp_path):
    one = study(number=1)
    there = archive_thread(one)
    answer = command(
        *("retrieve", f"ARCHIVE@127.0.0.1:{there.port}", "--study", one.uid, "--port", there.port),
        *("--bind", "127.0.0.1", "--directory", tmp_path / "here", "--via", "move"),
    )
    assert answer.code == 78
    assert "another program listens there" in answer.errors
