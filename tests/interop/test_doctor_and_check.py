"""`dulcet doctor` and `dulcet check`: where it stops, why, and what a monitor makes of it."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from dulcet.conformance.peers.address import LOOPBACK, free_port
from dulcet.conformance.peers.ours import dulcet_serve


def stages(ran):
    return [(line["stage"], line["ok"]) for line in map(json.loads, ran.stdout.splitlines())]


def test_a_peer_that_is_well(dulcet, orthanc):
    ran = dulcet("doctor", "--json", orthanc.address)
    assert ran.returncode == 0, ran.stderr
    assert stages(ran) == [("name", True), ("tcp", True), ("association", True), ("contexts", True), ("echo", True)]
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert any("OFFIS_DCMTK" in found for found in lines[2]["found"])
    assert any(
        found.startswith("Study Root Query/Retrieve Information Model - FIND: yes") for found in lines[3]["found"]
    )


@pytest.mark.parametrize(
    ("peer", "expected", "code"),
    [
        ("X@no-such-host.invalid:104", [("name", False)], 68),
        ("X@127.0.0.1:{closed}", [("name", True), ("tcp", False)], 69),
        ("WRONG@127.0.0.1:{orthanc}", [("name", True), ("tcp", True), ("association", False)], 77),
    ],
)
def test_the_first_stage_that_fails_is_the_last(peer, expected, code, dulcet, orthanc):
    ran = dulcet("doctor", "--json", peer.format(closed=free_port(), orthanc=orthanc.address.port))
    assert stages(ran) == expected
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr


def test_tls_is_a_stage_of_its_own(dulcet, storescp_tls, certificates):
    options = ("--tls", "--tls-ca", certificates.authority)
    ours = ("--tls-cert", certificates.our_certificate, "--tls-key", certificates.our_key)
    ran = dulcet("doctor", *options, *ours, storescp_tls.address)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"TLSv1\.[23], ", ran.stdout)
    assert re.search(r"valid until \d{4}-\d\d-\d\d \d\d:\d\d UTC, [\d,]+ days from now", ran.stdout)
    assert "the certificate is trusted" in ran.stdout
    distrusted = dulcet("doctor", "--json", "--tls", storescp_tls.address)
    assert distrusted.returncode == 77
    assert stages(distrusted)[-1] == ("tls", False)


PERFORMANCE = re.compile(r"total=\d+\.\d+s;30;60;0 tcp=\d+\.\d+s assoc=\d+\.\d+s echo=\d+\.\d+s$")


def test_ok_with_performance_data(dulcet, orthanc):
    ran = dulcet("check", orthanc.address, "-w", 30, "-c", 60)
    assert ran.returncode == 0
    (line,) = ran.stdout.splitlines()
    assert line.startswith(f"DICOM OK - {orthanc.address} C-ECHO 0000H in ")
    assert PERFORMANCE.search(line.partition(" | ")[2])


@pytest.mark.parametrize(
    ("options", "code", "word"), [(("-w", "0"), 1, "WARNING"), (("-w", "0", "-c", "0"), 2, "CRITICAL")]
)
def test_slower_than_asked_for(options, code, word, dulcet, orthanc):
    ran = dulcet("check", orthanc.address, *options)
    assert ran.returncode == code
    assert ran.stdout.startswith(f"DICOM {word} - ")


def test_a_peer_that_is_not_there_is_critical(dulcet, orthanc):
    for peer in (f"X@127.0.0.1:{free_port()}", "X@no-such-host.invalid:104", f"WRONG@127.0.0.1:{orthanc.address.port}"):
        ran = dulcet("check", peer)
        assert ran.returncode == 2
        assert ran.stdout.startswith(f"DICOM CRITICAL - {peer}: ")
        assert (ran.stdout.count("\n"), ran.stdout.count(peer)) == (1, 1)


def test_a_peer_that_does_not_answer_in_time_is_critical(dulcet):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = dulcet("check", f"X@127.0.0.1:{silent.getsockname()[1]}", "--timeout", "2.5")
    assert ran.returncode == 2
    assert "did not answer within 2.5 s" in ran.stdout


def test_the_stage_that_got_no_answer_took_the_time_that_was_given(dulcet):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = dulcet("doctor", "--json", f"X@127.0.0.1:{silent.getsockname()[1]}", "--timeout", "2.5")
    stages = [json.loads(line) for line in ran.stdout.splitlines()]
    assert stages[-1]["stage"] == "association"
    assert stages[-1]["seconds"] == 2.5


def test_several_peers_the_worst_decides(dulcet):
    with dulcet_serve() as peer:
        ran = dulcet("check", peer.address, f"X@127.0.0.1:{free_port()}")
    assert ran.returncode == 2
    assert "C-ECHO 0000H" in ran.stdout
    assert "refused the connection" in ran.stdout
    assert "| 1_total=" in ran.stdout


def test_a_server_that_is_not_there_to_say_how_it_is(dulcet):
    ran = dulcet("check", "--healthz", str(free_port()))
    assert ran.returncode == 2
    assert "nothing listens there" in ran.stdout
    assert "Errno" not in ran.stdout


def test_a_certificate_that_ends_soon(dulcet, tmp_path):
    authority, now = trustme.CA(), datetime.now(UTC)
    issued = authority.issue_cert(LOOPBACK, not_after=now + timedelta(days=20, hours=1))
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    options = ("--tls", "--tls-ca", tmp_path / "ca.pem")
    with dulcet_serve("--tls-anonymous", "--tls-cert", str(tmp_path / "server.pem")) as peer:
        soon = dulcet("check", peer.address, *options, "--certificate", 21)
        assert (soon.returncode, soon.stdout[:16]) == (1, "DICOM WARNING - ")
        assert ", its certificate ends in 20 days | " in soon.stdout
        assert soon.stdout.endswith(" certificate_days=20;21:\n")
        not_yet = dulcet("check", peer.address, *options, "--certificate", 20)
        assert (not_yet.returncode, not_yet.stdout[:11]) == (0, "DICOM OK - ")
        assert not_yet.stdout.endswith(" certificate_days=20;20:\n")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--nonsense",),
        ("X@h:1", "-w", "soon"),
        ("X@h:1", "--certificate", "30"),
        ("nobody",),
        ("X@h:1", "--aet", "x" * 17),
        ("X@h:1", "-w", "3", "-c", "1"),
        ("X@h:1", "--user-response"),
    ],
)
def test_wrong_use_is_unknown(words, dulcet):
    ran = dulcet("check", *words)
    assert ran.returncode == 3
    assert ran.stdout.startswith("DICOM UNKNOWN - ")
    assert len(ran.stdout.splitlines()) == 1
