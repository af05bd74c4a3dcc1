"""No value of a data set leaves by a way that is not meant to show it.

Every attribute that the dictionary knows has a canary as its value, in every depth; objects, queries, identities and
worklists with it go through the server, the commands and the queue. Then all that they said is searched: logs in both
formats with all there is of -v, process files, the pages for monitors, the queue's lists and logs, status.
"""

import base64
import json
import re
import shutil
import socket
import threading
import time

import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.sequence import Sequence

from dulcet.conformance.kit.stimuli import Request, context, title, user_identity
from dulcet.station import events
from dulcet.station.queue import queue_events
from dulcet.station.retrieval import events as retrieval
from dulcet.station.server_log import EVENTS

CT, WORKLIST = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.31"
CANARY, DATE, TIME, NUMBER = "QZXWCANARY", "19470723", "031415.926535", "8642097531"
UID_ROOT = "1.2.826.0.1.3680043.9.7.77"
TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
VALUES = {
    **dict.fromkeys(TEXTS, CANARY),
    "DA": DATE,
    "TM": TIME,
    "DT": DATE + TIME,
    "IS": NUMBER[:9],
    "DS": NUMBER,
    "AS": "086Y",
    "OB": CANARY.encode() + b"\0\0",
    "OW": CANARY.encode() + b"\0\0",
    "UN": CANARY.encode() + b"\0\0",
}
KEPT = {"SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PixelData"}
OTHER_FORMS = (CANARY.encode().hex(), base64.b64encode(CANARY.encode()).decode()[:12], CANARY.encode("utf-16-le").hex())
SEARCHED = (CANARY.lower(), DATE, TIME, NUMBER[:9], *(form.lower() for form in OTHER_FORMS))
OBJECTS = 3
STREAM = {
    kind.EVENT
    for module in (events, retrieval, queue_events)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, events.Event)
}


def planted(number, depth=2):
    """A data set with a canary in all attributes that may have one."""
    found = pydicom.Dataset()
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if tag >> 16 in (0, 2) or retired or not keyword or keyword in KEPT or tag >> 16 >= 0x7FE0:
            continue
        vr = vr.split(" ")[0]
        if vr in VALUES:
            found.add_new(tag, vr, VALUES[vr])
        elif vr == "SQ" and depth and keyword.startswith(("Referenced", "Request", "Scheduled", "Procedure", "Person")):
            found.add_new(tag, vr, Sequence([small(number, depth - 1)]))
    block = found.private_block(0x0019, "QZXWCANARY PRIVATE", create=True)
    block.add_new(1, "LO", CANARY)
    block.add_new(2, "SQ", Sequence([small(number, 0)]))
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID, found.SOPInstanceUID = CT, f"{UID_ROOT}.{number}.1.1"
    found.StudyInstanceUID, found.SeriesInstanceUID = f"{UID_ROOT}.{number}", f"{UID_ROOT}.{number}.1"
    found.ScheduledProcedureStepSequence = Sequence([small(number, 0)])
    return found


def small(number, depth):
    item = pydicom.Dataset()
    item.PatientName = item.PatientID = item.Modality = item.StudyDescription = item.ScheduledStationAETitle = CANARY
    item.PatientBirthDate = item.ScheduledProcedureStepStartDate = DATE
    item.ScheduledProcedureStepStartTime = TIME
    if depth:
        item.ReferencedStudySequence = Sequence([small(number, depth - 1)])
    return item


def save(data_set, path, sop_class=CT):
    data_set.SOPClassUID = sop_class
    data_set.file_meta = pydicom.dataset.FileMetaDataset()
    data_set.file_meta.MediaStorageSOPClassUID = sop_class
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    data_set.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    with pydicom.config.disable_value_validation():
        data_set.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Objects, some of them damaged in ways that are only found out later, and worklist files."""
    directory = tmp_path_factory.mktemp("planted")
    objects, damaged, worklist = directory / "objects", directory / "damaged", directory / "worklist"
    for each in (objects, damaged, worklist):
        each.mkdir()
    with pydicom.config.disable_value_validation():
        for number in range(1, OBJECTS + 1):
            save(planted(number), objects / f"{number}.dcm")
        save(planted(8), worklist / "good.wl", WORKLIST)
        save(planted(9), damaged / "9.dcm")
    whole = (objects / "1.dcm").read_bytes()
    other = f"{UID_ROOT}.5.1.1".encode()
    renamed = whole.replace(f"{UID_ROOT}.1.1.1".encode(), other)
    places = [match.start() for match in re.finditer(CANARY.encode(), renamed)]
    for number, place in enumerate(places[:: len(places) // 12]):
        uid = f"{UID_ROOT}.5{number % 10}1.1".encode()[: len(other)]
        octets = renamed.replace(other, uid)
        (damaged / f"cut{number}.dcm").write_bytes(octets[: place + 5])
        (damaged / f"length{number}.dcm").write_bytes(octets[: place - 2] + b"\xff\xff" + octets[place:])
        (damaged / f"vr{number}.dcm").write_bytes(octets[: place - 4] + b"ZZ" + octets[place - 2 :])
    (worklist / "cut.wl").write_bytes((worklist / "good.wl").read_bytes()[:2000])
    (worklist / "bad.wl").write_bytes(CANARY.encode() * 100)
    return directory


class Heard:
    """All that was said, by who said it."""

    def __init__(self):
        self.said = {}

    def add(self, who, text):
        self.said[who] = self.said.get(who, "") + text

    def run(self, server, *words, shown=False):
        """A command; `shown`: its standard output is there to show what was found."""
        with server.start(*words) as process:
            output, errors = process.communicate(timeout=120)
        who = " ".join(map(str, words))
        self.add(who, errors if shown else output + errors)
        return output


def listen(server, heard, stopping):
    """What is told of the server while it works, again and again."""
    while not stopping.wait(0.2):
        for path in (server.state / "processes").glob("*.json"):
            try:
                heard.add("process file", path.read_text())
            except OSError:
                continue
        for page in ("/metrics", "/healthz"):
            heard.add(page, server.get(page)[1])


def in_short(server, folder, heard):
    """What makes the server talk."""
    peer = str(server.peer)
    heard.run(server, "send", peer, folder / "objects", folder / "damaged", "--retries", "0", "-vv")
    assert CANARY in heard.run(server, "find", peer, "studies", "--patient", f"{CANARY}*", "-vv", shown=True)
    assert CANARY in heard.run(server, "find", peer, "worklist", "--patient", f"{CANARY}*", "-vv", shown=True)
    heard.run(server, "move", peer, "--patient-id", CANARY, "--to", "NOBODY", "-vv")
    heard.run(server, "send", "--queue", "PEER", folder / "objects", folder / "damaged")
    heard.run(server, "queue", "wait", "all")
    identify(server, heard)


def at_length(server, folder, heard):
    """What people do at a station besides."""
    peer, got = str(server.peer), folder / "got"
    heard.run(server, "send", peer, folder / "objects", folder / "damaged", "--json", "--report", folder / "report.csv")
    heard.add("report", (folder / "report.csv").read_text())
    keys = ("-k", f"PatientName={CANARY}", "-k", f"StudyDate={DATE}")
    heard.run(server, "find", peer, "images", *keys, "--json", "-vv", shown=True)
    heard.run(server, "retrieve", peer, "--patient-id", CANARY, "--via", "get", "--directory", got, "-vv")
    heard.run(server, "retrieve", peer, "--patient", f"{CANARY}*", "--via", "get", "--directory", got, "--json")
    heard.run(server, "get", peer, "--patient-id", CANARY, "--directory", got, "-vv")
    heard.run(server, "get", peer, "--patient-id", CANARY, "--directory", got, "--json")
    heard.run(server, "retrieve", "--queue", "PEER", "--study", f"{UID_ROOT}.1", "--directory", got, "--via", "get")
    heard.run(server, "queue", "wait", "all")
    for words in ("list --all", "list --all --json", "show 1", "log 1", "log 1 --json", "log 2"):
        heard.run(server, "queue", *words.split())
    heard.run(server, "status")
    heard.run(server, "status", "--json")
    heard.run(server, "echo", peer, "--user", CANARY, "-vv")


def identify(server, heard):
    """A user identity (PS3.7 D.3.3.7), with an association that is refused, and one that is seen in the reports."""
    deadline = time.monotonic() + 60
    for called in ("OTHER", "DULCET"):
        request = Request(called=title(called), calling=title("IDENTITY"), contexts=(context(1, CT),))
        request = request.with_user(user_identity(2, CANARY.encode(), CANARY.encode()))
        with socket.create_connection((server.peer.host, server.peer.port)) as sock:
            sock.sendall(request.encode())
            sock.recv(1000)
            while called == "DULCET" and "IDENTITY" not in heard.said.get("process file", ""):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            sock.sendall(CANARY.encode() * 10)
            sock.recv(1000)


@pytest.fixture(scope="module", params=["text", "json"])
def heard(request, folder, served_in, tmp_path_factory, wait_until):
    """The server's log in one of its formats; with that for people, all that people see."""
    heard = Heard()
    directory = tmp_path_factory.mktemp(request.param)
    own = directory / "planted"
    shutil.copytree(folder, own)
    manner = ["--json"] if request.param == "json" else []
    stopping = threading.Event()
    with served_in(directory, "--query", "--worklist", str(own / "worklist"), "-vv", *manner) as server:
        server.run("node", "add", "PEER", str(server.peer))
        listener = threading.Thread(target=listen, args=(server, heard, stopping))
        listener.start()
        try:
            in_short(server, own, heard)
            if not manner:
                at_length(server, own, heard)
            wait_until(lambda: {"process file", "/metrics", "/healthz"} <= heard.said.keys())
        finally:
            stopping.set()
            listener.join()
        server.hang_up()
        wait_until(lambda: "settings.read" in server.log())
    heard.add("serve", (directory / "log.txt").read_text())
    return heard


def where(needle, text):
    """Where it is; digits as a number or a word of their own, for they may stand in another number by chance."""
    if not needle[0].isdigit():
        return text.lower().find(needle)
    match = re.search(rf"(?<![\d.]){re.escape(needle)}(?!\d)", text.lower())
    return match.start() if match else -1


@pytest.mark.parametrize("text", ["a={}", '"{}"', "{}", "x {} y", "[{}]", "={}^"])
def test_a_leak_would_be_found(text):
    for needle in SEARCHED:
        assert where(needle, text.format(needle.upper())) == text.index("{"), needle


def test_nothing_is_told_of_a_patient(heard):
    leaks = [
        f"{who}: ...{text[max(0, at - 100) : at + 60]}..."
        for who, text in heard.said.items()
        for needle in SEARCHED
        if (at := where(needle, text)) >= 0
    ]
    assert leaks == []


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("serve", ["association.established", "association.ended", "association.rejected", "object.stored"]),
        ("serve", ["object.refused", "request.done", "worklist.file", "index.ready", "queue.started", "settings.read"]),
        ("serve", ["job.taken", "assoc.accepted", "store.result"]),
        ("/metrics", ["dulcet_received_objects_total", "dulcet_queue_jobs"]),
        ("/healthz", ["ok"]),
        ("process file", ['"associations":[{', '"errors":[{', '"command":"queue run"']),
        ("report", ["not-sent"]),
        ("status", ["PROCESSES", "QUEUE", "LAST ERRORS"]),
        ("status --json", ['"processes": [{']),
        ("queue list --all", ["PEER"]),
    ],
)
def test_something_was_told_at_all(who, words, heard):
    """Or the test above would be worth nothing."""
    if who not in heard.said:
        assert who.split()[0] in ("report", "status", "queue")  # the server with the other format
        return
    assert [word for word in words if word not in heard.said[who]] == []


def test_every_line_of_the_server_is_an_event_that_is_known(heard):
    """Its own, or one of the stream of events of the process that runs the queue."""
    names = set()
    for line in heard.said["serve"].splitlines():
        if line.startswith("{"):
            names.add(json.loads(line)["event"])
        elif not line.startswith(("dulcet: ", "DULCET is ready on ")):
            name, _, rest = line.partition(" ")
            assert re.fullmatch(r"(\w+=.*)?", rest), line
            names.add(name)
    assert names - EVENTS.keys() - STREAM == set()
    assert len(names & EVENTS.keys()) > 8
