"""Wrong use and refusing peers: a sentence, the right exit code, and what was sent and what was not is always known."""

import json

import pytest

from dulcet.conformance.peers.address import free_port
from dulcet.conformance.peers.ours import dulcet_serve


@pytest.fixture
def image(pydicom_files):
    return pydicom_files / "CT_small.dcm"


def no_traceback(ran):
    assert "Traceback" not in ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_a_closed_port(dulcet, image):
    ran = dulcet("send", f"ANY@127.0.0.1:{free_port()}", image)
    assert ran.returncode == 69
    assert "nothing listens on that port" in no_traceback(ran)
    assert "not sent" in ran.stdout


def test_an_unknown_host(dulcet, image):
    ran = dulcet("send", "ANY@no-such-host.invalid:104", image)
    assert ran.returncode == 68
    assert "has no address" in no_traceback(ran)


def test_a_word_that_is_no_peer(dulcet, image):
    ran = dulcet("send", "nonsense", image)
    assert ran.returncode in (2, 78)
    assert "AET@HOST:PORT" in no_traceback(ran)


def test_a_called_ae_title_that_is_not_theirs_and_what_to_mail(dulcet, orthanc, image):
    ran = dulcet("send", f"SOMEBODY@127.0.0.1:{orthanc.address.port}", image)
    assert ran.returncode == 77
    text = no_traceback(ran)
    assert "called-AE-title-not-recognized" in text
    assert "What is the AE title of your system" in text


def test_a_calling_ae_title_that_is_not_allowed_and_what_to_mail(dulcet, image):
    with dulcet_serve("--allow", "SCANNER") as peer:
        ran = dulcet("send", "--aet", "STRANGER", peer.address, image)
        assert ran.returncode == 77
        text = no_traceback(ran)
        assert "does not know us as 'STRANGER'" in text
        assert "Please let our system send" in text
        assert dulcet("send", "--aet", "SCANNER", peer.address, image).returncode == 0


def test_no_context_for_a_file_is_accepted(dulcet, dcmrecv, pydicom_files):
    """dcmrecv takes uncompressed objects only; the others are named, and what can be sent is sent."""
    ran = dulcet("send", "--json", dcmrecv.address, pydicom_files / "JPEG2000.dcm", pydicom_files / "CT_small.dcm")
    assert ran.returncode == 1
    no_traceback(ran)
    results = [json.loads(line) for line in ran.stdout.splitlines() if '"store.result"' in line]
    by_name = {result["name"].rpartition("/")[2]: result for result in results}
    assert by_name["CT_small.dcm"]["outcome"] == "stored"
    assert by_name["JPEG2000.dcm"]["outcome"] == "not-sent"
    assert "JPEG 2000" in by_name["JPEG2000.dcm"]["explanation"]
    alone = dulcet("send", dcmrecv.address, pydicom_files / "JPEG2000.dcm")
    assert alone.returncode == 77, "dcmrecv rejects an association of which it would accept no context"
    assert "takes nothing of what was proposed" in no_traceback(alone)


def test_a_file_that_is_not_dicom(dulcet, storescp, tmp_path):
    path = tmp_path / "letter.dcm"
    path.write_text("Dear colleague,\n" * 100)
    ran = dulcet("send", storescp.address, path)
    assert ran.returncode == 65
    assert "letter.dcm" in no_traceback(ran)
    assert storescp.stored_files() == []


def test_a_file_that_is_not_there(dulcet, storescp):
    ran = dulcet("send", storescp.address, "/no/such/file.dcm")
    assert ran.returncode == 66
    assert "there is no such file" in no_traceback(ran)


def test_a_peer_whose_disk_is_full_is_tried_again_and_then_named(dulcet, image):
    with dulcet_serve("--min-free", "900T") as peer:
        ran = dulcet("send", "--json", "--retries", "1", peer.address, image)
        assert ran.returncode == 75
        (result,) = [json.loads(line) for line in ran.stdout.splitlines() if '"store.result"' in line]
        assert result["status"] == 0xA700
        assert result["attempts"] == 2
        assert [path for path in peer.stored_files() if path.suffix == ".dcm"] == []


def test_a_conversion_for_a_peer_that_takes_only_implicit(dulcet, pydicom_files, request):
    """The default transfer syntax is always offered where the object can be converted (PS3.5 10.1)."""
    from dulcet.conformance.peers.dcmtk import storescp

    request.getfixturevalue("storescp")
    with storescp("+xi", "+B") as peer:
        ran = dulcet("send", "--json", peer.address, pydicom_files / "CT_small.dcm", pydicom_files / "image_dfl.dcm")
        assert ran.returncode == 0, ran.stderr
        results = [json.loads(line) for line in ran.stdout.splitlines() if '"store.result"' in line]
        assert {result["converted_to"] for result in results} == {"1.2.840.10008.1.2"}
        kept = dulcet("send", "--no-convert", peer.address, pydicom_files / "CT_small.dcm")
        assert kept.returncode == 76


def test_a_mistyped_command(dulcet):
    ran = dulcet("ecko", "X@127.0.0.1:104")
    assert ran.returncode == 2
    assert "Did you mean 'echo'" in no_traceback(ran)
