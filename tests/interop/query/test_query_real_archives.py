"""find, move, get and retrieve with dcmqrscp, Orthanc and our own archive: every level, counters right at each step."""

import json
from contextlib import contextmanager

import pytest

from dulcet.conformance.peers.address import PeerAddress
from dulcet.conformance.peers.ours import PROGRAM, SAYS_READY, dulcet_serve
from dulcet.conformance.peers.process import running_peer
from dulcet.dimse.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET
from dulcet.services.find import find, find_contexts
from dulcet.services.get import get, get_contexts
from dulcet.services.requestor import Peer, associate
from dulcet.services.storage import Durability, Storage, StorageOptions
from dulcet.services.storage_scp import storage_operation

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
MANY = 5000
TRIALS = 5  # of what is void when the machine stood still


@pytest.fixture(scope="module")
def studies(study):
    """Three that differ, and one of five hundred objects."""
    return (
        study(number=1, series=2, instances=3),
        study(number=2, name="DOE^JANE", date="20260228", sop_class=MR),
        study(number=3, name="MÜLLER^J", character_set="ISO_IR 100", date="20251231"),
        study(number=4, name="BIG^STUDY", series=5, instances=100),
    )


@pytest.fixture(scope="module")
def folder(studies, tmp_path_factory):
    made = tmp_path_factory.mktemp("studies")
    for each in studies:
        each.write(made)
    return made


@pytest.fixture(scope="module")
def loaded(dcmqrscp, orthanc, folder, dulcet):
    """Both archives with the studies in them."""
    archives = {"dcmqrscp": dcmqrscp.address, "orthanc": orthanc.address}
    for address in archives.values():
        ran = dulcet("send", address, folder)
        assert ran.returncode == 0, ran.stderr
    return archives


@pytest.fixture(params=["dcmqrscp", "orthanc"])
def archive_address(request, loaded):
    return loaded[request.param]


def matches(answer):
    """The identifiers of the matches of `find --json`."""
    assert answer.code == 0, answer.errors
    events = [json.loads(line) for line in answer.output.splitlines()]
    assert (events[-2]["event"], events[-1]["event"]) == ("find.ended", "summary")
    found = [event["identifier"] for event in events if event["event"] == "find.match"]
    assert events[-2]["matches"] == len(found) == events[-1]["counts"]["matches"]
    return found


def values(found, tag):
    return sorted(identifier[tag].get("Value", [""])[0] for identifier in found)


def events_of(answer):
    return [json.loads(line) for line in answer.output.splitlines()]


# C-FIND -------------------------------------------------------------------------------------------------------------


def test_find_at_every_level(archive_address, studies, command):
    one = studies[0]
    found = matches(command("find", archive_address, "patients", "--json"))
    assert values(found, "00100020") == ["P1", "P2", "P3", "P4"]
    found = matches(command("find", archive_address, "--json"))
    assert values(found, "0020000D") == sorted(each.uid for each in studies)
    found = matches(command("find", archive_address, "series", "--study", one.uid, "--json"))
    assert values(found, "0020000E") == [f"{one.uid}.1", f"{one.uid}.2"]
    found = matches(
        command("find", archive_address, "images", "--study", one.uid, "--series", f"{one.uid}.2", "--json")
    )
    assert values(found, "00080018") == one.instance_uids[3:]
    found = matches(command("find", archive_address, "--root", "patient", "--patient-id", "P2", "--json"))
    assert values(found, "0020000D") == [studies[1].uid]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--patient", "DOE*"], [1, 2]),
        (["--date", "2026-01-01..2026-02-28"], [1, 2, 4]),
        (["--date", "-20251231"], [3]),
        (["--accession", "A4"], [4]),
        (["--patient", "NOBODY"], []),
        (["--study", "1.2.826.0.1.3680043.9.7.2", "--study", "1.2.826.0.1.3680043.9.7.3"], [2, 3]),
        (["-k", "PatientName=?OE^J*", "-k", "0008,0020=20260228"], [2]),
    ],
)
def test_find_by_keys(archive_address, studies, command, options, numbers):
    found = matches(command("find", archive_address, "--json", *options))
    assert values(found, "0020000D") == sorted(studies[number - 1].uid for number in numbers)


def test_no_match_gets_a_hint(archive_address, command):
    answer = command("find", archive_address, "--patient", "DOE")
    assert (answer.code, answer.output) == (0, "")
    assert "nothing matched" in answer.errors
    assert "'DOE*' finds what begins so" in answer.errors


def test_a_table(archive_address, studies, command):
    answer = command("find", archive_address, "--patient", "DOE*")
    lines = answer.output.splitlines()
    assert len(lines) == 3
    assert {line.split()[-1] for line in lines[1:]} == {studies[0].uid, studies[1].uid}
    assert "2 studies" in answer.errors


def test_a_name_that_is_not_ascii_comes_in(archive_address, command):
    found = matches(command("find", archive_address, "--patient-id", "P3", "--json"))
    assert values(found, "00100010") == [{"Alphabetic": "MÜLLER^J"}]


def test_a_name_that_is_not_ascii_goes_out(archive_address, command):
    answer = command("find", archive_address, "--patient", "MÜLLER*", "--charset", "ISO_IR 100", "--json")
    assert values(matches(answer), "00100020") == ["P3"]


def test_the_limit_cancels(archive_address, studies, command):
    big = studies[3]
    answer = command(
        "find", archive_address, "images", "--study", big.uid, "--series", f"{big.uid}.1", "--limit", 3, "--json"
    )
    assert len(matches(answer)) == 3
    assert events_of(answer)[-2]["cancelled"]


def test_a_file_for_each_match(archive_address, studies, command, tmp_path):
    answer = command("find", archive_address, "--dcm", tmp_path / "found")
    assert (answer.code, len(list((tmp_path / "found").iterdir()))) == (0, 4)


async def test_the_association_goes_on_after_a_cancelled_query(loaded, studies):
    """Each archive ends as it likes: FE00H, or 0000H when it was faster."""
    big = studies[3]
    keys = {0x00080052: "IMAGE", 0x0020000D: big.uid, 0x0020000E: f"{big.uid}.1", 0x00080018: ""}
    for address in loaded.values():
        peer = Peer(host=address.host, port=address.port, ae_title=address.ae_title)
        async with associate(peer, find_contexts([STUDY_ROOT_FIND])) as association:
            for _ in range(3):
                async with find(association, STUDY_ROOT_FIND, keys) as found:
                    async for _ in found:
                        break
                assert found.final.status in (0, 0xFE00)
            assert len([match async for match in find(association, STUDY_ROOT_FIND, keys)]) == 100


@pytest.mark.parametrize(
    "words", [["series"], ["-k", "Modality=CT"], ["--study", "1.2.*"], ["worklist", "--root", "study"]]
)
def test_what_the_archive_would_not_understand_is_told_before(archive_address, command, words):
    answer = command("find", archive_address, *words)
    if words[0] == "worklist":
        assert answer.code == 76  # it takes no worklist queries
    else:
        assert answer.code == 2
        assert "--no-check sends it all the same" in answer.errors


# C-GET --------------------------------------------------------------------------------------------------------------


def test_get_a_study_of_five_hundred(archive_address, studies, command, tmp_path):
    big = studies[3]
    answer = command(
        "get", archive_address, "--study", big.uid, "--directory", tmp_path, "--durability", "none", "--json"
    )
    events = events_of(answer)
    assert answer.code == 0, answer.errors
    progress = [event for event in events if event["event"] == "move.progress"]
    for event in progress:
        assert event["completed"] + event["failed"] + event["warning"] + event["remaining"] == 500
        assert event["here"] == event["completed"]
    assert [event["completed"] for event in progress] == sorted(event["completed"] for event in progress)
    (ended,) = [event for event in events if event["event"] == "move.ended"]
    assert (ended["status"], ended["failed"]) == ("0000H", 0)
    assert {event["sop_instance_uid"] for event in events if event["event"] == "receive.result"} == set(
        big.instance_uids
    )
    assert len(list(tmp_path.rglob("*.dcm"))) == 500


def test_get_images_by_name(archive_address, studies, command, tmp_path):
    one = studies[0]
    wanted = one.instance_uids[1:3]
    answer = command(
        "get",
        archive_address,
        *("--study", one.uid, "--series", f"{one.uid}.1", "--image", wanted[0], "--image", wanted[1]),
        *("--directory", tmp_path),
    )
    assert answer.code == 0, answer.errors
    assert "2 objects are in" in answer.output
    assert len(list(tmp_path.rglob("*.dcm"))) == 2


def test_get_without_a_context_for_the_class(archive_address, studies, command, tmp_path):
    answer = command(
        "get", archive_address, "--study", studies[0].uid, "--sop-class", "MR Image", "--directory", tmp_path
    )
    assert answer.code in (1, 75, 76)
    assert list(tmp_path.rglob("*.dcm")) == []


async def test_cancel_a_get(loaded, studies, tmp_path):
    big = studies[3]
    keys = {0x00080052: "STUDY", 0x0020000D: big.uid}
    contexts, roles = get_contexts([STUDY_ROOT_GET], [CT])
    for name, address in loaded.items():
        storage = Storage(StorageOptions(directory=tmp_path / name, durability=Durability.NONE))
        stored = []
        store = storage_operation(storage, observe=lambda *outcome, kept=stored: kept.append(outcome))
        peer = Peer(host=address.host, port=address.port, ae_title=address.ae_title)
        async with associate(peer, contexts, user_items=roles) as association:
            retrieval = get(association, STUDY_ROOT_GET, keys, store)
            async for counts in retrieval:
                if counts.completed == 5:
                    await retrieval.cancel()
            assert len(stored) - 1 <= retrieval.sub_operations.completed <= len(stored)  # one may be on its way
        storage.close()
        assert 5 <= len(stored) <= 500
        assert retrieval.final.status in (0, 0xFE00)


# C-MOVE -------------------------------------------------------------------------------------------------------------


@contextmanager
def receiving(port, folder, *options):
    """Our own receiver as the move destination."""
    address = PeerAddress(ae_title="DULCET", host="127.0.0.1", port=port)
    words = [*PROGRAM, "serve", "--aet", "DULCET", "--port", str(port), "--directory", str(folder / "got"), *options]
    with running_peer(words, address=address, directory=folder, storage=folder / "got", says=SAYS_READY) as peer:
        yield peer


def test_move_a_study_of_five_hundred(archive_address, studies, move_destination, command, tmp_path):
    big = studies[3]
    with receiving(move_destination.port, tmp_path, "--durability", "none") as destination:
        answer = command("move", archive_address, "--to", "DULCET", "--study", big.uid, "--json")
        assert answer.code == 0, answer.errors
        assert len([path for path in destination.stored_files() if path.suffix == ".dcm"]) == 500
    events = events_of(answer)
    progress = [event for event in events if event["event"] == "move.progress"]
    for event in progress:
        assert event["completed"] + event["failed"] + event["warning"] + event["remaining"] == 500
    (ended,) = [event for event in events if event["event"] == "move.ended"]
    assert (ended["status"], ended["completed"] or 500, ended["failed"]) == ("0000H", 500, 0)


def test_move_to_nobody(archive_address, studies, command):
    answer = command("move", archive_address, "--to", "NOBODY", "--study", studies[0].uid)
    assert answer.code in (76, 77)  # Orthanc answers C000H, dcmqrscp A801H
    assert "C-MOVE" in answer.errors


def test_move_to_a_destination_that_is_not_there(archive_address, studies, command):
    answer = command("move", archive_address, "--to", "DULCET", "--study", studies[0].uid)
    assert answer.code in (75, 76)


def test_move_to_a_destination_that_refuses(archive_address, studies, move_destination, command, tmp_path):
    with receiving(move_destination.port, tmp_path, "--allow", "SOMEBODY-ELSE"):
        answer = command("move", archive_address, "--to", "DULCET", "--study", studies[0].uid)
    assert answer.code in (75, 76)


def test_move_something_that_is_not_there(archive_address, command):
    answer = command("move", archive_address, "--to", "DULCET", "--study", "1.2.3")
    assert answer.code in (66, 76, 75)
    assert answer.errors


# retrieve -----------------------------------------------------------------------------------------------------------


def retrieved(answer):
    events = events_of(answer)
    return {event["sop_instance_uid"] for event in events if event["event"] == "receive.result" and "path" in event}


@pytest.mark.parametrize("via", ["move", "get"])
def test_retrieve_a_study_of_five_hundred(archive_address, studies, move_destination, command, tmp_path, via):
    big = studies[3]
    answer = command(
        "retrieve",
        archive_address,
        *("--study", big.uid, "--directory", tmp_path, "--durability", "none", "--via", via, "--json"),
        *("--port", move_destination.port, "--bind", "127.0.0.1", "--report", tmp_path / "report.json"),
    )
    assert answer.code == 0, answer.errors
    assert retrieved(answer) == set(big.instance_uids)
    assert len(list(tmp_path.rglob("*.dcm"))) == 500
    assert json.loads((tmp_path / "report.json").read_text())["counts"] == {"arrived": 500}


def test_retrieve_what_a_query_finds(archive_address, studies, move_destination, command, tmp_path):
    answer = command(
        "retrieve",
        archive_address,
        *("--patient", "DOE*", "--directory", tmp_path, "--port", move_destination.port, "--bind", "127.0.0.1"),
        *("--jobs", 2, "--json"),
    )
    assert answer.code == 0, answer.errors
    assert retrieved(answer) == set(studies[0].instance_uids + studies[1].instance_uids)


def test_retrieve_a_series_by_its_uid_alone(archive_address, studies, command, tmp_path):
    one = studies[0]
    answer = command(
        "retrieve", archive_address, "--series", f"{one.uid}.2", "--directory", tmp_path, "--via", "get", "--json"
    )
    assert answer.code == 0, answer.errors
    assert retrieved(answer) == set(one.instance_uids[3:])


def test_retrieve_falls_back_to_get(archive_address, studies, command, tmp_path, port):
    """The archive knows no OTHER: dcmqrscp says A801H, Orthanc C000H."""
    answer = command(
        "retrieve",
        archive_address,
        *("--study", studies[1].uid, "--directory", tmp_path, "--aet", "OTHER", "--port", port, "--grace", 1),
    )
    assert answer.code == 0, answer.errors
    assert "5 of 5 instances retrieved" in answer.output
    assert "so C-GET was used" in answer.errors


def test_retrieve_says_what_the_other_administrator_has_to_enter(archive_address, studies, command, tmp_path, port):
    answer = command(
        "retrieve",
        archive_address,
        *("--study", studies[1].uid, "--directory", tmp_path, "--aet", "OTHER", "--port", port),
        *("--grace", 1, "--via", "move"),
    )
    assert answer.code in (76, 77)
    for needed in ("AE title   OTHER", "Address    127.0.0.1", f"Port       {port}"):
        assert needed in answer.errors


# Five thousand ------------------------------------------------------------------------------------------------------


def test_five_thousand_matches_from_our_own_archive(study, dulcet, command, tmp_path):
    many = study(number=9, instances=MANY)
    many.write(tmp_path / "many")
    nodes = tmp_path / "nodes.toml"
    nodes.write_text("")
    with dulcet_serve("--query", "--durability", "none", "--nodes", str(nodes), ae_title="ARCHIVE") as peer:
        sent = dulcet("send", peer.address, tmp_path / "many", "--quiet")
        assert sent.returncode == 0, sent.stderr
        words = ["find", peer.address, "images", "--study", many.uid, "--series", f"{many.uid}.1"]
        found = matches(command(*words, "--json"))
        assert len(found) == MANY
        assert set(values(found, "00080018")) == set(many.instance_uids)
        assert command(*words).output.count("\n") == MANY + 1
        for _ in range(TRIALS):
            limited = command(*words, "--limit", 10, "--json")
            assert len(matches(limited)) == 10
            (ended,) = [event for event in events_of(limited) if event["event"] == "find.ended"]
            if ended["status"] != "0000H":  # all was sent before we said anything: one of us was held up
                break
        assert ended["status"] == "FE00H"


# A worklist ---------------------------------------------------------------------------------------------------------


def worklist_item(folder, number, modality, day, name):
    import pydicom

    step = pydicom.Dataset()
    step.Modality = modality
    step.ScheduledStationAETitle = f"{modality}1"
    step.ScheduledProcedureStepStartDate = day
    step.ScheduledProcedureStepStartTime = "0930"
    step.ScheduledProcedureStepID = str(number)
    item = pydicom.Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    item.PatientName = name
    item.PatientID = f"P{number}"
    item.AccessionNumber = f"A{number}"
    item.StudyInstanceUID = f"1.2.3.{number}"
    item.ScheduledProcedureStepSequence = [step]
    item.file_meta = pydicom.dataset.FileMetaDataset()
    item.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.31"
    item.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{number}"
    item.save_as(folder / f"{number}.wl", enforce_file_format=True)


def test_a_worklist(command, tmp_path):
    folder = tmp_path / "worklist"
    folder.mkdir()
    worklist_item(folder, 1, "CT", "20260131", "Müller^Jörg")
    worklist_item(folder, 2, "MR", "20260131", "DOE^JOHN")
    worklist_item(folder, 3, "MR", "20260201", "DOE^JANE")
    with dulcet_serve("--worklist", str(folder), ae_title="RIS") as peer:
        words = ("find", peer.address, "worklist")
        assert values(matches(command(*words, "--json")), "00100020") == ["P1", "P2", "P3"]
        found = matches(command(*words, "--date", "2026-01-31", "--modality", "MR", "--json"))
        assert values(found, "00100020") == ["P2"]
        assert found[0]["00400100"]["Value"][0]["00400001"]["Value"] == ["MR1"]
        key = "ScheduledProcedureStepSequence.ScheduledStationAETitle=CT1"
        answer = command(*words, "-k", key, "--csv")
        head, line = answer.output.splitlines()
        assert head.startswith("ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate,")
        assert "Müller^Jörg" in line
        assert values(matches(command(*words, "--patient", "Müller*", "--json")), "00100020") == ["P1"]


def test_what_a_node_prefers(command, archive_thread, study, tmp_path, monkeypatch):
    archive = archive_thread(study(number=1))
    nodes = tmp_path / "nodes.toml"
    nodes.write_text(
        f'[PACS]\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = {archive.port}\nretrieve = "get"\n'
        'query_root = "patient"\ncharacter_set = "ISO_IR 100"\n'
    )
    monkeypatch.setenv("DULCET_NODES", str(nodes))
    answer = command("find", "PACS", "--patient-id", "P1", "-v", "--json")
    assert answer.code == 0, answer.errors
    assert archive.requests[-1].affected_sop_class_uid == "1.2.840.10008.5.1.4.1.2.1.1"
    answer = command(
        "retrieve", "PACS", "--root", "study", "--study", study(number=1).uid, "--directory", tmp_path / "a"
    )
    assert answer.code == 0, answer.errors
    assert {request.NAME for request in archive.requests} == {"C-FIND-RQ", "C-GET-RQ"}
