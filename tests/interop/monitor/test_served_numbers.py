"""A real server: what it tells of itself while it works, alone and with workers."""

import os
import signal
from dataclasses import replace

import pytest
import trio

from dulcet.conformance.kit import command_set
from dulcet.conformance.kit.stimuli import Request, context, message, title
from dulcet.conformance.peers.address import LOOPBACK
from dulcet.dimse.messages import CStoreRQ
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from dulcet.errors import AssociationRejectedError
from dulcet.services.acceptor import Acceptor, Operation
from dulcet.services.admission import Admission
from dulcet.services.data_sets import BytesSource
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.listener import Listener, bind
from dulcet.services.querying.elements import Element, encode_elements, padded
from dulcet.services.requestor import associate
from dulcet.services.store import start_store
from dulcet.station.monitor.process_file import read_processes
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Supported

CT = "1.2.840.10008.5.1.4.1.1.2"
CONTEXTS = (VERIFICATION_CONTEXT, PresentationContextRQ.propose(3, CT, (EXPLICIT_VR_LITTLE_ENDIAN,)))


async def store(association, uid, sop_class=CT):
    """One small object; its status."""
    elements = {
        0x00080016: Element(b"UI", padded(b"UI", sop_class.encode())),
        0x00080018: Element(b"UI", padded(b"UI", uid.encode())),
        0x7FE00010: Element(b"OW", bytes(1000)),
    }
    source = BytesSource(encode_elements(elements, EXPLICIT_VR_LITTLE_ENDIAN))
    pending = await start_store(association, 3, sop_class_uid=CT, sop_instance_uid=uid, data_set=source)
    return (await pending.response()).status


async def test_what_happens_is_in_the_report_while_it_happens_and_in_the_numbers(served, wait_until, prometheus):
    with served("--json") as server:
        async with associate(server.peer, CONTEXTS) as association:
            assert await store(association, "1.2.3") == 0
            assert await store(association, "1.2.4", sop_class="1.2.9") != 0
            await echo(association)
            (row,) = await trio.to_thread.run_sync(
                wait_until,
                lambda: [
                    row for report in server.processes() for row in report.associations if row.service == "C-ECHO"
                ],
            )
            assert (row.direction, row.peer, row.address, row.objects) == ("in", "MODALITY", LOOPBACK, 1)
            assert row.octets > 2000
            shown = await trio.to_thread.run_sync(server.run, "status")
            assert "from MODALITY  127.0.0.1  C-ECHO  1 object," in shown.stdout
        with pytest.raises(AssociationRejectedError):
            async with associate(replace(server.peer, ae_title="OTHER"), CONTEXTS):
                pass
        value = prometheus.value
        rejected = "dulcet_associations_rejected_total"

        def numbers():
            status, text = server.get("/metrics")
            assert status == 200
            found = prometheus.parse(text)
            return found if sum(found[rejected][1].values()) else None

        found = await trio.to_thread.run_sync(wait_until, numbers)
        assert value(found, "dulcet_associations_total", direction="in") == 1
        assert value(found, "dulcet_associations_total", direction="out") == 0
        reason = "rejected-permanent, called-AE-title-not-recognized, by the DICOM UL service-user"
        assert value(found, rejected, reason=reason) == 1
        assert value(found, "dulcet_received_objects_total") == 1
        assert value(found, "dulcet_received_octets_total") > 2000
        assert value(found, "dulcet_store_status_total", status="0000H") == 1
        assert sum(found["dulcet_store_status_total"][1].values()) == 2
        assert value(found, "dulcet_store_seconds", "dulcet_store_seconds_count") == 2
        assert 0 <= value(found, "dulcet_last_object_age_seconds", calling="MODALITY") < 60
        assert value(found, "dulcet_disk_free_octets") > 0
        assert value(found, "dulcet_processes") == 1
        (refused,) = server.events("object.refused")
        (process,) = server.processes()
        assert refused["uid"] == "1.2.4"
        assert wait_until(lambda: server.processes()[0].errors)[0].event == "object.refused"
        assert process.pid == server.running.pid
        os.kill(server.running.pid, signal.SIGTERM)
        wait_until(lambda: not (server.state / "processes").exists() or not os.listdir(server.state / "processes"))


async def test_the_associations_that_an_archive_makes_are_told_of(served, wait_until, prometheus):
    """A C-MOVE to a destination that takes its time; the command that asks for it lasts, so it is told of as well."""
    goes_on, came = trio.Event(), trio.Event()

    async def take_time(association, received):
        came.set()
        await goes_on.wait()
        await association.send(received.context.context_id, received.message.response(status=0))

    (sock,) = bind(LOOPBACK, 0, backlog=1)
    acceptor = Acceptor(
        admission=Admission(ae_title="SLOW"),
        supported=Supported(transfer_syntaxes={CT: {EXPLICIT_VR_LITTLE_ENDIAN}}, max_pdu_length=16384),
        operations={CStoreRQ: Operation(perform=take_time, sop_classes=frozenset({CT}))},
    )
    with sock, served("--query", "--json") as server:
        server.run("node", "add", "SLOW", f"SLOW@{LOOPBACK}:{sock.getsockname()[1]}")
        async with associate(server.peer, CONTEXTS) as association:
            assert await store(association, "1.2.3") == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Listener([sock], acceptor).serve)
            words = ("move", str(server.peer), "--to", "SLOW", "--image", "1.2.3", "--relational", "--no-check")
            asking = await trio.to_thread.run_sync(server.start, *words)
            with trio.fail_after(60):
                await came.wait()
            report, moving = await trio.to_thread.run_sync(wait_until, lambda: both(server))
            (out,) = [row for row in report.associations if row.direction == "out"]
            assert (out.peer, out.address, out.service) == ("SLOW", f"{LOOPBACK}:{sock.getsockname()[1]}", "C-STORE")
            (inward,) = [row for row in report.associations if row.direction == "in"]
            assert (inward.peer, inward.service) == ("DULCET", "C-MOVE")
            assert (moving.command, moving.transfers[0].peer) == ("move", str(server.peer))
            goes_on.set()
            await trio.to_thread.run_sync(asking.communicate)
            assert asking.returncode == 0
            nursery.cancel_scope.cancel()
        found = prometheus.parse((await trio.to_thread.run_sync(server.get, "/metrics"))[1])
        assert prometheus.value(found, "dulcet_sent_objects_total") == 1
        assert prometheus.value(found, "dulcet_associations_total", direction="out") == 1
        assert prometheus.value(found, "dulcet_index_lag_objects") == 0


def both(server):
    """(what the server tells, what the command tells), once both tell of it."""
    found = {report.command: report for report in read_processes(server.state / "processes")}
    serving = found.get("serve")
    if "move" not in found or serving is None or len(serving.associations) < 2:
        return None
    is_told = all(row.service for row in serving.associations) and found["move"].transfers
    return (serving, found["move"]) if is_told else None


# Several processes ----------------------------------------------------------------------------------------------------


async def test_the_numbers_of_all_workers_are_added_up(served, wait_until, prometheus):
    with served("--workers", "3", "--max-per-address", "60", "--max-associations", "60") as server:
        wait_until(lambda: len(server.processes()) == 3)
        pids = {report.pid for report in server.processes()}
        assert {report.family for report in server.processes()} == {server.running.pid}
        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(_send_two, server, number)

        def numbers():
            found = prometheus.parse(server.get("/metrics")[1])
            is_whole = prometheus.value(found, "dulcet_received_objects_total") == 24
            return found if is_whole else None

        found = await trio.to_thread.run_sync(wait_until, numbers)
        value = prometheus.value
        assert value(found, "dulcet_processes") == 3
        assert value(found, "dulcet_associations_total", direction="in") == 12
        assert value(found, "dulcet_store_status_total", status="0000H") == 24
        assert value(found, "dulcet_store_seconds", "dulcet_store_seconds_count") == 24
        assert (await trio.to_thread.run_sync(server.health))[1]["processes"] == 3
        shown = server.run("status").stdout
        assert all(f"serve {pid}" in shown for pid in pids)


async def _send_two(server, number):
    async with associate(server.peer, CONTEXTS) as association:
        for each in (1, 2):
            assert await store(association, f"1.2.{number + 1}.{each}") == 0


# Health ---------------------------------------------------------------------------------------------------------------


def test_it_is_well(served):
    with served() as server:
        status, found = server.health()
        assert (status, found["status"], found["reasons"]) == (200, "ok", [])
        assert server.get("/healthz", "HEAD") == (200, "")
        assert server.get("/")[0] == 404


def test_a_disk_below_its_watermark_is_not(served):
    with served("--min-free", "900T") as server:
        status, found = server.health()
        assert status == 503
        assert found["status"] == "failing"
        assert found["reasons"] == ["less than 900,000,000,000,000 octets are free on the disk"]
        told = "no object can be stored now, each is refused with A700H: less than 900,000,000,000,000 octets are free"
        assert told in server.log()


def test_the_watermark_may_be_a_share_of_the_disk(served):
    with served("--min-free", "99.999%") as server:
        assert server.health()[0] == 503
    with served("--min-free", "0%") as server:
        assert server.health()[0] == 200
        assert "no object can be stored" not in server.log()


async def test_a_server_that_is_stopping_is_not(served, wait_until):
    with served("--grace", "30", "--json") as server:
        stream = await trio.open_tcp_stream(LOOPBACK, server.running.address.port)
        await begin_an_object(stream, server)
        os.kill(server.running.pid, signal.SIGTERM)
        await trio.to_thread.run_sync(wait_until, lambda: server.events("server.stopping"))
        status, found = await trio.to_thread.run_sync(server.health)
        assert (status, found["reasons"]) == (503, ["it is stopping"])
        await stream.aclose()


async def begin_an_object(stream, server):
    """An association with half of a C-STORE on it."""
    request = Request(called=title("DULCET"), calling=title("HALF"), contexts=(context(1, CT),))
    await stream.send_all(request.encode())
    assert (await stream.receive_some(6))[0] == 2
    command = {0x0002: CT, 0x0100: 0x0001, 0x0110: 1, 0x0700: 0, 0x0800: 1, 0x1000: "1.2.3"}
    await stream.send_all(message(1, command_set.encode(command), bytes(1000))[:-100])
