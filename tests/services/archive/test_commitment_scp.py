"""Storage commitment as SCP: the files are the truth, and the report goes out until it is heard (PS3.4 Annex J).

By the mock clock: an association is kept open for KEPT_OPEN_SECONDS when its peer does nothing, however slow we are.
"""

import os
from dataclasses import replace

import pytest
import trio
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from dulcet.dimse.messages import NActionRQ, NEventReportRQ
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
)
from dulcet.services import commitment
from dulcet.services.part10 import encode_header
from dulcet.services.querying.identifiers import encode_identifier
from dulcet.station.archive import commitments as module
from dulcet.station.archive.commitments import Commitments
from dulcet.station.archive.destinations import Destinations
from dulcet.station.archive.vault import path_of
from dulcet.ul.items import PresentationContextRQ, RoleSelection
from dulcet.ul.negotiation import Supported
from dulcet.ul.pdu import AAssociateAC, AReleaseRP, AReleaseRQ

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
TRANSACTION, SEQUENCE, CLASS, INSTANCE = 0x00081195, 0x00081199, 0x00081150, 0x00081155
DATA_SET = (
    b"\x08\x00\x16\x00UI\x1a\0"
    + CT.encode()
    + b"\0"
    + b"\x08\x00\x18\x00UI\x06\0"
    + b"1.9.%d\0"
    + b"\xe0\x7f\x10\x00OW\0\0\x04\0\0\0\1\2\3\4"
)


class Log(list):
    def __init__(self):
        super().__init__()
        self.waiting = trio.lowlevel.ParkingLot()

    def __call__(self, event, about=None, **values):
        self.append((event, values))
        self.waiting.unpark_all()

    async def wait(self, event):
        while not any(each == event for each, _ in self):
            await self.waiting.park()
        return next(values for each, values in self if each == event)


@pytest.fixture
def vault(tmp_path):
    """Three objects, 1.9.1 to 1.9.3."""
    directory = tmp_path / "vault"
    for number in (1, 2, 3):
        path = path_of(directory, f"1.9.{number}")
        path.parent.mkdir(parents=True, exist_ok=True)
        header = encode_header(
            sop_class_uid=CT, sop_instance_uid=f"1.9.{number}", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN
        )
        path.write_bytes(header + DATA_SET % number)
    return directory


@pytest.fixture
def book(tmp_path):
    """The peer is a node: what `network` listens for."""
    path = tmp_path / "nodes.toml"
    path.write_text('[P]\nae_title = "PEER"\nhost = "pacs.example"\nport = 11112\n')
    return path


class Asking:
    """A peer that asks for commitment."""

    def __init__(self, served, octets, commitments, log):
        self.served, self.peer, self.octets = served, served.peer, octets
        self.commitments, self.log = commitments, log

    async def action(self, keys, action_type=1, instance=STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE, message_id=1):
        request = NActionRQ(
            requested_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
            message_id=message_id,
            has_data_set=keys is not None,
            requested_sop_instance_uid=instance,
            action_type_id=action_type,
        )
        data = b""
        if keys is not None:
            information = keys if isinstance(keys, bytes) else encode_identifier(keys, IMPLICIT_VR_LITTLE_ENDIAN)
            data = self.octets.data(information, context_id=1)
        await self.peer.send(self.octets.message(request, context_id=1) + data)

    async def answer(self):
        response = await self.peer.message()
        assert response.NAME == "N-ACTION-RSP"
        return response

    async def report(self, peer=None, status=0):
        """The N-EVENT-REPORT-RQ, answered, and its data set."""
        peer = peer or self.peer
        request, octets = await peer.whole_message()
        assert isinstance(request, NEventReportRQ), request
        assert request.affected_sop_instance_uid == STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
        await peer.send(self.octets.message(request.response(status=status), context_id=1))
        return request, read_dataset(DicomBytesIO(octets), True, True)


@pytest.fixture
def ask(scp, octets, vault, book, nursery):
    """A peer of ours, associated."""
    peers = []

    async def make(commitments=None, *, roles=(), known=True, **options):
        log = Log()
        if commitments is None:
            destinations = Destinations(book if known else None, "ARCHIVE")
            commitments = Commitments(vault, destinations, "ARCHIVE", log, **options)
            nursery.start_soon(commitments.run)
        served = scp()
        served.acceptor = replace(
            served.acceptor,
            operations={NActionRQ: commitments.operation()},
            supported=Supported(
                transfer_syntaxes={STORAGE_COMMITMENT_PUSH_MODEL: (IMPLICIT_VR_LITTLE_ENDIAN,)}, max_pdu_length=16384
            ),
        )
        context = PresentationContextRQ.propose(1, STORAGE_COMMITMENT_PUSH_MODEL, (IMPLICIT_VR_LITTLE_ENDIAN,))
        await served.peer.send(octets.request(context, items=roles))
        assert isinstance(await served.peer.pdu(), AAssociateAC)
        peers.append(served.peer)
        return Asking(served, octets, commitments, log)

    yield make
    for peer in peers:
        peer.close()
    nursery.cancel_scope.cancel()


def request_for(*numbers, sop_class=CT, transaction="2.25.77"):
    items = [{CLASS: sop_class, INSTANCE: f"1.9.{number}"} for number in numbers]
    return {TRANSACTION: transaction, SEQUENCE: items}


def failures(data_set):
    return {str(item.ReferencedSOPInstanceUID): item.FailureReason for item in data_set.get("FailedSOPSequence", ())}


def committed(data_set):
    return [str(item.ReferencedSOPInstanceUID) for item in data_set.get("ReferencedSOPSequence", ())]


async def test_what_is_stored_is_committed_on_the_same_association(ask, autojump_clock):
    asking = await ask()
    await asking.action(request_for(1, 3), message_id=5)
    answer = await asking.answer()
    assert (answer.status, answer.message_id, answer.action_type_id) == (0, 5, 1)
    assert answer.affected_sop_instance_uid == STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
    request, data_set = await asking.report()
    assert request.event_type_id == 1
    assert str(data_set.TransactionUID) == "2.25.77"
    assert data_set.RetrieveAETitle == "ARCHIVE"
    assert committed(data_set) == ["1.9.1", "1.9.3"]
    assert "FailedSOPSequence" not in data_set
    assert (await asking.log.wait("commitment.reported"))["committed"] == 2
    await asking.peer.send(AReleaseRQ())
    assert isinstance(await asking.peer.pdu(), AReleaseRP)


async def test_what_is_not_is_named_with_its_reason(ask, vault, autojump_clock):
    os.truncate(path_of(vault, "1.9.2"), 390)
    path_of(vault, "1.9.3").write_bytes(path_of(vault, "1.9.1").read_bytes())
    asking = await ask()
    keys = request_for(1, 2, 3, 4)
    keys[SEQUENCE].append({CLASS: MR, INSTANCE: "1.9.1"})
    await asking.action(keys)
    assert (await asking.answer()).status == 0
    request, data_set = await asking.report()
    assert request.event_type_id == 2
    assert committed(data_set) == ["1.9.1"]
    items = [(str(item.ReferencedSOPInstanceUID), item.FailureReason) for item in data_set.FailedSOPSequence]
    assert items == [("1.9.2", 0x0110), ("1.9.3", 0x0110), ("1.9.4", 0x0112), ("1.9.1", 0x0119)]


async def test_nothing_at_all_is_stored(ask, autojump_clock):
    asking = await ask()
    await asking.action(request_for(8, 9))
    assert (await asking.answer()).status == 0
    request, data_set = await asking.report()
    assert request.event_type_id == 2
    assert "ReferencedSOPSequence" not in data_set
    assert failures(data_set) == {"1.9.8": 0x0112, "1.9.9": 0x0112}


@pytest.mark.parametrize(
    ("keys", "options", "status"),
    [
        (request_for(1), {"action_type": 999}, 0x0123),
        (request_for(1), {"action_type": 0}, 0x0123),
        (request_for(1), {"instance": "1.2.3"}, 0x0112),
        (None, {}, 0x0120),
        ({TRANSACTION: "2.25.1"}, {}, 0x0120),
        ({SEQUENCE: [{CLASS: CT, INSTANCE: "1.9.1"}]}, {}, 0x0120),
        ({TRANSACTION: "", SEQUENCE: [{CLASS: CT, INSTANCE: "1.9.1"}]}, {}, 0x0121),
        ({TRANSACTION: "2.25.1", SEQUENCE: []}, {}, 0x0121),
        ({TRANSACTION: "../../etc", SEQUENCE: [{CLASS: CT, INSTANCE: "1.9.1"}]}, {}, 0x0106),
        ({TRANSACTION: "2.25.1", SEQUENCE: [{CLASS: CT}]}, {}, 0x0120),
        ({TRANSACTION: "2.25.1", SEQUENCE: [{CLASS: CT, INSTANCE: "../x"}]}, {}, 0x0106),
        (b"\x08\x00\x95\x11\xff\xff\xff\x0f1.2", {}, 0xC000),
    ],
)
async def test_a_request_that_is_refused(ask, keys, options, status, autojump_clock):
    asking = await ask()
    await asking.action(keys, **options)
    answer = await asking.answer()
    assert answer.status == status
    assert answer.error_comment
    await asking.action(request_for(1))  # and the next one is performed
    assert (await asking.answer()).status == 0
    await asking.report()


async def test_more_references_than_are_taken(ask, monkeypatch, autojump_clock):
    monkeypatch.setattr(commitment, "MAX_REFERENCES", 2)
    asking = await ask()
    await asking.action(request_for(1, 2, 3))
    assert (await asking.answer()).status == 0x0213


async def test_more_requests_than_can_wait(ask, monkeypatch, autojump_clock):
    monkeypatch.setattr(module, "MAX_PENDING", 0)
    asking = await ask()
    await asking.action(request_for(1))
    assert (await asking.answer()).status == 0x0213


async def test_two_requests_one_after_the_other(ask, autojump_clock):
    """The second comes while the first waits to be reported: a request does not have to wait for a report."""
    asking = await ask()
    await asking.action(request_for(1, transaction="2.25.1"), message_id=1)
    await asking.action(request_for(2, transaction="2.25.2"), message_id=2)
    assert (await asking.answer()).message_id == 1
    _, first = await asking.report()
    assert (await asking.answer()).message_id == 2
    _, second = await asking.report()
    assert (committed(first), committed(second)) == (["1.9.1"], ["1.9.2"])


async def test_a_request_that_is_repeated_on_another_association_is_reported_on_both(ask, vault, autojump_clock):
    first = await ask()
    again = await ask(first.commitments)
    reports = []
    for asking in (first, again):
        await asking.action(request_for(1))
        assert (await asking.answer()).status == 0
        report, _ = await asking.peer.whole_message()
        reports.append(report)
    for asking, report in zip((first, again), reports, strict=True):
        await asking.peer.send(asking.octets.message(report.response(status=0), context_id=1))
        await asking.peer.send(AReleaseRQ())
        assert isinstance(await asking.peer.pdu(), AReleaseRP)
    assert not Commitments(vault, Destinations(None, "ARCHIVE"), "ARCHIVE", first.log)._pending


# On another association ---------------------------------------------------------------------------------------------


class Listening:
    """The requestor's own SCP, which takes reports."""

    def __init__(self, octets, roles=True):
        self.octets, self.roles = octets, roles
        self.request = self.report = self.data_set = None
        self.statuses = [0]
        self.heard = trio.Event()

    async def __call__(self, peer):
        self.request = await peer.pdu()
        roles = self.request.role_selections if self.roles is True else self.roles
        await peer.send(self.octets.accept(self.request, items=tuple(roles)))
        try:
            self.report, octets = await peer.whole_message()
        except AssertionError:  # released without a report
            await peer.send(AReleaseRP())
            return
        self.data_set = read_dataset(DicomBytesIO(octets), False, True)
        status = self.statuses.pop(0)
        await peer.send(self.octets.message(self.report.response(status=status), context_id=1))
        await peer.pdu()
        await peer.send(AReleaseRP())
        self.heard.set()


@pytest.fixture
def listening(network, octets):
    """At the other end of `network`."""
    made = Listening(octets)
    network.script = made
    return made


async def release(asking):
    await asking.peer.send(AReleaseRQ())
    assert isinstance(await asking.peer.pdu(), AReleaseRP)
    asking.peer.close()


async def test_who_releases_gets_the_report_on_another_association(ask, listening, autojump_clock):
    asking = await ask()
    await asking.action(request_for(1, 4))
    assert (await asking.answer()).status == 0
    await release(asking)
    await listening.heard.wait()
    assert (listening.request.called_ae_title, listening.request.calling_ae_title) == ("PEER", "ARCHIVE")
    (role,) = listening.request.role_selections
    assert (role.scu_role, role.scp_role) == (0, 1)
    assert listening.report.event_type_id == 2
    assert committed(listening.data_set) == ["1.9.1"]
    await asking.log.wait("commitment.reported")


@pytest.mark.parametrize("release_first", [False, True])
async def test_who_releases_while_the_report_is_under_way(ask, listening, release_first, autojump_clock):
    asking = await ask()
    await asking.action(request_for(1))
    if release_first:
        await asking.peer.send(AReleaseRQ())  # in one go with the request
    assert (await asking.answer()).status == 0
    if not release_first:
        await asking.peer.whole_message()  # the report, which stays unanswered
        await asking.peer.send(AReleaseRQ())
    assert isinstance(await asking.peer.pdu(), AReleaseRP)
    asking.peer.close()
    await listening.heard.wait()
    assert committed(listening.data_set) == ["1.9.1"]


async def test_who_goes_away_gets_the_report_on_another_association(ask, listening, autojump_clock):
    asking = await ask()
    await asking.action(request_for(1))
    asking.peer.close()
    await listening.heard.wait()
    assert committed(listening.data_set) == ["1.9.1"]


async def test_a_peer_that_knows_no_role_selection_is_reported_to(ask, listening, autojump_clock):
    listening.roles = ()
    asking = await ask()
    await asking.action(request_for(1))
    await asking.answer()
    await release(asking)
    await listening.heard.wait()


async def test_a_peer_that_does_not_let_us_be_the_scp(ask, listening, autojump_clock):
    listening.roles = (RoleSelection(sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL, scu_role=0, scp_role=0),)
    asking = await ask()
    await asking.action(request_for(1))
    await asking.answer()
    await release(asking)
    told = await asking.log.wait("commitment.undelivered")
    assert told["reason"] == "it does not let us be the SCP"
    assert listening.report is None


async def test_a_report_that_fails_is_tried_again(ask, listening, network, autojump_clock):
    listening.statuses = [0x0110, 0]
    asking = await ask()
    await asking.action(request_for(1))
    await asking.answer()
    await release(asking)
    assert (await asking.log.wait("commitment.undelivered"))["reason"] == "it answered 0110H"
    await asking.log.wait("commitment.reported")
    await network.finished()


async def test_a_requestor_that_is_in_no_book_is_given_up_at_last(ask, vault, autojump_clock):
    asking = await ask(known=False)
    await asking.action(request_for(1))
    await asking.answer()
    await release(asking)
    released_at = trio.current_time()
    while not any(values.get("given_up") for _, values in asking.log):
        await asking.log.waiting.park()
    assert [event for event, _ in asking.log] == ["commitment.undelivered"] * (1 + len(module.PAUSES))
    assert trio.current_time() == pytest.approx(released_at + sum(module.PAUSES))
    destinations = Destinations(None, "ARCHIVE")
    assert not Commitments(vault, destinations, "ARCHIVE", asking.log)._pending


async def test_a_request_survives_the_process(ask, vault, book, listening, nursery, autojump_clock):
    """Taken on, then everything ends before the report: the next life sends it."""
    asking = await ask(known=False)
    await asking.action(request_for(1))
    assert (await asking.answer()).status == 0
    await release(asking)
    await asking.log.wait("commitment.undelivered")
    log = Log()
    of_another_process = Commitments(vault, Destinations(book, "ARCHIVE"), "ARCHIVE", log, takes_up_pending=False)
    assert not of_another_process._pending
    again = Commitments(vault, Destinations(book, "ARCHIVE"), "ARCHIVE", log)
    nursery.start_soon(again.run)
    await listening.heard.wait()
    assert (str(listening.data_set.TransactionUID), committed(listening.data_set)) == ("2.25.77", ["1.9.1"])
    await log.wait("commitment.reported")
    assert not Commitments(vault, Destinations(book, "ARCHIVE"), "ARCHIVE", log)._pending


@pytest.mark.parametrize("is_durable", [False, True])
async def test_what_is_committed_is_durable(ask, monkeypatch, is_durable, autojump_clock):
    synced = []
    monkeypatch.setattr(module.os, "fsync", synced.append)
    asking = await ask(is_durable=is_durable)
    await asking.action(request_for(1, 9))
    assert (await asking.answer()).status == 0
    _, data_set = await asking.report()
    assert committed(data_set) == ["1.9.1"]
    assert len(synced) == (0 if is_durable else 3)  # the file, its directory, the directory of that


async def test_a_disk_that_cannot_be_written_refuses_the_request(ask, vault, monkeypatch, autojump_clock):
    asking = await ask()
    (vault / module.FILE_NAME).write_bytes(b"no database" * 100)
    await asking.action(request_for(1))
    assert (await asking.answer()).status == 0x0110


async def test_a_fault_of_ours_ends_no_other_report(ask, listening, network, monkeypatch, autojump_clock):
    """Whatever goes wrong with one is a reason to try it again; the service goes on."""
    asking = await ask()
    judge, failures = asking.commitments._judge, [RuntimeError("a fault")]

    async def fail_once(request):
        if failures:
            raise failures.pop()
        return await judge(request)

    monkeypatch.setattr(asking.commitments, "_judge", fail_once)
    await asking.action(request_for(1))
    assert (await asking.answer()).status == 0
    asking.peer.close()
    assert (await asking.log.wait("commitment.undelivered"))["reason"] == "RuntimeError: a fault"
    await asking.log.wait("commitment.reported")
    await network.finished()
