"""What arrives is counted against what the archive lists; when something is missing, whose fault it is is said."""

import csv
import json

import pytest
import trio

from dulcet.errors import NoAcceptedContextError, PeerUnavailableError
from dulcet.services.querying.query_models import Level
from dulcet.services.storage import Durability, Storage, StorageOptions
from dulcet.services.storage_scp import storage_operation
from dulcet.station.query.asking import Conversation, QuerySettings
from dulcet.station.query.plan import Asked
from dulcet.station.retrieval.events import Arrival
from dulcet.station.retrieval.faults import faults
from dulcet.station.retrieval.report import RetrieveReport
from dulcet.station.retrieval.retriever import RetrieveOptions, Retriever
from dulcet.station.retrieval.tally import Tally

SECONDS = 60  # for what takes one


@pytest.fixture
def retrieve(tmp_path, port):
    """Retrieve studies from an archive; the report, when it is over."""

    async def run(archive, *studies, level=Level.STUDY, **options):
        events = []
        storage = Storage(StorageOptions(directory=tmp_path / "here", durability=Durability.NONE, min_free_octets=0))
        tally = Tally(events.append)
        how = RetrieveOptions(**{"port": port, "host": "127.0.0.1", "grace": 0.3, **options})
        retriever = Retriever(
            archive.peer,
            how,
            Conversation(timeout=SECONDS),
            QuerySettings(),
            store=storage_operation(storage, observe=tally),
            tally=tally,
            report=events.append,
        )
        try:
            with trio.fail_after(SECONDS):
                await retriever.retrieve(Asked(level=level, study=tuple(study.uid for study in studies)))
        finally:
            storage.close()
        return Outcome(retriever, RetrieveReport(retriever, "ARCHIVE"), faults(retriever, archive.peer, port), events)

    return run


class Outcome:
    def __init__(self, retriever, report, faults, events):
        self.retriever, self.report, self.events = retriever, report, events
        self.said = "\n".join(faults)

    @property
    def counts(self):
        return {outcome.value: count for outcome, count in self.report.counts.items() if count}

    @property
    def ways(self):
        return [attempt.way for attempt in self.retriever.attempts]


async def test_everything_arrives_by_move(archive, study, retrieve, port):
    one, two = study(number=1, series=2), study(number=2)
    there = await archive(one, two, destinations={"DULCET": port})
    outcome = await retrieve(there, one, two)
    assert (outcome.counts, outcome.report.exit_code, outcome.said) == ({"arrived": 15}, 0, "")
    assert sorted(outcome.retriever.tally.arrived) == sorted(one.instance_uids + two.instance_uids)
    assert outcome.ways == ["C-MOVE", "C-MOVE"]
    names = [event.EVENT for event in outcome.events]
    assert names[:2] == ["retrieve.found", "receiver.ready"]
    assert (names.count("receive.result"), names.count("move.ended")) == (15, 2)
    assert names.count("move.progress") == 15
    found = outcome.events[0]
    assert (found.studies, found.requests, found.instances) == (2, 2, 15)


async def test_everything_arrives_by_get(archive, study, retrieve):
    one = study(number=1, series=3)
    there = await archive(one)
    outcome = await retrieve(there, one, via="get")
    assert (outcome.counts, outcome.report.exit_code, outcome.ways) == ({"arrived": 15}, 0, ["C-GET"])


async def test_jobs_share_the_work(archive, study, retrieve, port):
    studies = [study(number=number, instances=3) for number in range(1, 9)]
    there = await archive(*studies, destinations={"DULCET": port})
    outcome = await retrieve(there, *studies, jobs=3, via="move")
    assert (outcome.counts, outcome.ways) == ({"arrived": 24}, ["C-MOVE"] * 8)


async def test_an_archive_that_answers_before_it_sends(archive, study, retrieve, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, final_first=0.1)
    outcome = await retrieve(there, one, via="move", grace=60.0)
    assert (outcome.counts, outcome.report.exit_code) == ({"arrived": 5}, 0)


async def test_the_grace_ends_when_nothing_comes(archive, study, retrieve, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, final_first=3600, claims=5)
    outcome = await retrieve(there, one, via="move", grace=0.3)  # and not after the hour
    assert (outcome.counts, outcome.report.exit_code) == ({"missing": 5}, 75)
    assert "never connected to us" in outcome.said


async def test_a_destination_that_is_not_known_is_explained_and_get_is_tried(archive, study, retrieve, port):
    one, two = study(number=1), study(number=2)
    there = await archive(one, two)
    outcome = await retrieve(there, one, two)
    assert outcome.ways == ["C-MOVE", "C-MOVE", "C-GET", "C-GET"]
    assert (outcome.counts, outcome.report.exit_code) == ({"arrived": 10}, 0)
    assert len([request for request in there.requests if request.NAME == "C-MOVE-RQ"]) == 1  # once is enough


async def test_a_destination_that_is_not_known_and_nothing_else(archive, study, retrieve, port):
    one = study(number=1)
    there = await archive(one)
    outcome = await retrieve(there, one, via="move")
    assert (outcome.counts, outcome.report.exit_code) == ({"missing": 5}, 77)
    assert "does not know the move destination 'DULCET' (A801H)" in outcome.said
    for needed in ("AE title   DULCET", "Address    127.0.0.1", f"Port       {port}"):
        assert needed in outcome.said


async def test_an_archive_that_can_not_connect_back(archive, study, retrieve, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, status=0xA702)
    outcome = await retrieve(there, one, via="move")
    assert (outcome.counts, outcome.report.exit_code) == ({"missing": 5}, 75)
    assert f"never connected to us on port {port}" in outcome.said
    assert "A702H" in outcome.said


async def test_an_archive_that_calls_itself_something_else_is_known_by_its_address(archive, study, retrieve, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, calling="SOMEBODY")
    outcome = await retrieve(there, one, via="move")
    assert outcome.counts == {"arrived": 5}


async def test_some_did_not_arrive_though_the_archive_counts_them(archive, study, retrieve, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, sends=lambda objects: objects[:3], claims=5)
    outcome = await retrieve(there, one)
    assert (outcome.counts, outcome.report.exit_code) == ({"arrived": 3, "missing": 2}, 1)
    assert "the archive counts 5 as sent, 3 arrived" in outcome.said
    assert outcome.ways == ["C-MOVE"]  # the way works, another one would not help
    missing = [result.sop_instance_uid for result in outcome.report.results() if result.outcome is Arrival.MISSING]
    assert missing == one.instance_uids[3:]


async def test_an_archive_that_listed_more_than_it_sends_is_not_waited_for(archive, study, retrieve, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, sends=lambda objects: objects[:4])
    outcome = await retrieve(there, one, grace=3600.0)
    assert outcome.counts == {"arrived": 4, "missing": 1}
    assert "the archive listed 5, but sent 4" in outcome.said


async def test_an_archive_that_vanishes_in_the_middle(archive, study, retrieve, port):
    one, two = study(number=1), study(number=2)
    there = await archive(one, two, destinations={"DULCET": port}, dies_after=2)
    outcome = await retrieve(there, one, two, via="move")
    assert outcome.report.exit_code == 1
    assert outcome.counts["arrived"] >= 2
    assert "the peer aborted the association" in outcome.said


async def test_an_archive_that_does_not_list_images_is_taken_by_its_counts(archive, study, retrieve, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, lists_images=False, final_first=0.1, claims=0)
    outcome = await retrieve(there, one, via="move", grace=3.0)
    assert (outcome.counts, outcome.report.exit_code, outcome.said) == ({"arrived": 5}, 0, "")
    assert outcome.retriever.targets[0].instances is None


async def test_an_archive_without_move_is_asked_by_get(archive, study, retrieve):
    one = study(number=1)
    there = await archive(one, has_move=False)
    outcome = await retrieve(there, one)
    assert (outcome.counts, outcome.ways) == ({"arrived": 5}, ["C-MOVE", "C-GET"])
    assert isinstance(outcome.retriever.attempts[0].error, NoAcceptedContextError)


async def test_an_archive_without_either(archive, study, retrieve):
    one = study(number=1)
    there = await archive(one, has_move=False, has_get=False)
    outcome = await retrieve(there, one)
    assert (outcome.counts, outcome.report.exit_code) == ({"missing": 5}, 76)
    assert "does not offer this service to us" in outcome.said


async def test_a_port_that_is_taken_is_explained_and_get_is_tried(archive, study, retrieve):
    one = study(number=1)
    there = await archive(one)
    outcome = await retrieve(there, one, port=there.port)
    assert (outcome.counts, outcome.ways) == ({"arrived": 5}, ["C-MOVE", "C-GET"])
    assert "another program listens there" in str(outcome.retriever.not_received)
    outcome = await retrieve(there, study(number=1), port=there.port, via="move")
    assert outcome.report.exit_code == 78 or outcome.counts == {"arrived": 5}


async def test_nothing_to_retrieve(archive, study, retrieve):
    there = await archive(study(number=1))
    outcome = await retrieve(there, study(number=7))
    assert (outcome.retriever.targets, outcome.report.exit_code, outcome.ways) == ([], 66, [])


async def test_an_archive_that_is_not_there(archive, study, retrieve, port):
    there = await archive(study(number=1))
    there.port = port
    with pytest.raises(PeerUnavailableError):
        await retrieve(there, study(number=1))


async def test_objects_that_can_not_be_stored_here(archive, study, retrieve, port, monkeypatch):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port})
    monkeypatch.setattr("dulcet.services.storing.disk_space.DiskSpace.begin", refuse)
    outcome = await retrieve(there, one, via="move")
    assert outcome.counts == {"refused": 5}
    assert "5 objects came and could not be stored here: the disk is full" in outcome.said


def refuse(_self):
    from dulcet.errors import StorageError

    raise StorageError("the disk is full", status=0xA700)


async def test_the_report_as_files(archive, study, retrieve, port, tmp_path):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, sends=lambda objects: objects[:4])
    outcome = await retrieve(there, one)
    outcome.report.write(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())
    assert (document["counts"], document["exit_code"]) == ({"missing": 1, "arrived": 4}, 1)
    assert [row["outcome"] for row in document["instances"]] == ["missing"] + ["arrived"] * 4
    outcome.report.write(tmp_path / "report.csv")
    with (tmp_path / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["sop_instance_uid"] == one.instance_uids[4]
    assert "1 instance missing:" in outcome.report.text(1.0)
    assert "4 of 5 instances retrieved from ARCHIVE" in outcome.report.text(1.0)
