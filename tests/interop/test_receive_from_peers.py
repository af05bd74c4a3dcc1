"""Real senders to `dulcet serve`: what they sent is on the disk, octet for octet, under the name of its UID."""

import os
import subprocess

import pydicom
import pytest

from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.address import LOOPBACK
from dulcet.conformance.peers.ours import dulcet_serve
from dulcet.conformance.peers.process import executable
from dulcet.conformance.peers.pynetdicom import pynetdicom_python
from dulcet.services.part10 import read_header

SECONDS = 60


def data_sets(peer):
    """SOP Instance UID -> octets of the data set."""
    found = {}
    for path in peer.stored_files():
        if path.suffix == ".dcm" or path.read_bytes()[128:132] == b"DICM":
            with path.open("rb") as file:
                header = read_header(file.fileno())
                file.seek(header.data_set_offset)
                found[header.sop_instance_uid] = file.read()
    return found


def run(*command):
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=SECONDS, check=False, env={**os.environ}
    )


def dcmsend(peer, *files):
    return run(
        executable("dcmsend"), "--decompress-never", "--no-uid-checks", "-aec", peer.address.ae_title,
        LOOPBACK, peer.address.port, *files,
    )  # fmt: skip


def storescu(peer, file, *options):
    called = ("-aec", peer.address.ae_title)
    return run(executable("storescu"), *options, *called, LOOPBACK, peer.address.port, file)


@pytest.fixture(scope="module")
def images(pydicom_files):
    """One file for each transfer syntax that pydicom brings and DCMTK reads."""
    names = (
        "CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm",
        "JPEG-LL.dcm", "JPGExtended.dcm", "image_dfl.dcm", "emri_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_dcmtk.dcm",
        "ExplVR_LitEndNoMeta.dcm", "rtplan.dcm", "reportsi.dcm",
    )  # fmt: skip
    found = [pydicom_files / name for name in names if (pydicom_files / name).exists()]
    readable = [path for path in found if path.read_bytes()[128:132] == b"DICM"]
    assert len(readable) >= 10
    return readable


def test_what_dcmsend_sends_is_kept_as_storescp_keeps_it(serve, storescp, images):
    sent = dcmsend(serve, *images)
    assert sent.returncode == 0, sent.stderr + serve.log_tail()
    beside = dcmsend(storescp, *images)
    assert beside.returncode == 0, beside.stderr
    ours, theirs = data_sets(serve), data_sets(storescp)
    assert ours.keys() == theirs.keys()
    assert [uid for uid in ours if ours[uid] != theirs[uid]] == []
    assert len(ours) == len({pydicom.dcmread(path).SOPInstanceUID for path in images})


def test_what_is_stored_is_a_dicom_file_that_says_who_sent_it(serve, pydicom_files):
    source = pydicom_files / "CT_small.dcm"
    sent = storescu(serve, source, "-aet", "SCANNER")
    assert sent.returncode == 0, sent.stderr
    (path,) = [path for path in serve.stored_files() if path.suffix == ".dcm"]
    stored, original = pydicom.dcmread(path), pydicom.dcmread(source)
    assert path.stem == original.SOPInstanceUID
    assert stored.file_meta.SourceApplicationEntityTitle == "SCANNER"
    assert stored.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID
    assert stored.preamble == bytes(128)
    assert stored.PixelData == original.PixelData
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("options", [("-pdu", "4096"), ("-pdu", "131072"), ("--repeat", "5"), ("-R",)])
def test_storescu_with_other_pdu_lengths_and_again_and_again(options, serve, pydicom_files):
    sent = storescu(serve, pydicom_files / "CT_small.dcm", *options)
    assert sent.returncode == 0, sent.stderr + serve.log_tail()
    assert len([path for path in serve.stored_files() if path.suffix == ".dcm"]) == 1


def test_pynetdicom_sends(pynetdicom_peer, serve, pydicom_files):
    sent = run(
        pynetdicom_python(), "-m", "pynetdicom", "storescu", "-aec", serve.address.ae_title, LOOPBACK,
        serve.address.port, pydicom_files / "MR_small.dcm",
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    (octets,) = data_sets(serve).values()
    assert pydicom.dcmread(pydicom_files / "MR_small.dcm").PixelData in octets


def test_over_tls_with_certificates_on_both_sides(certificates, storescp, pydicom_files):
    options = ("--tls-cert", certificates.peer_certificate, "--tls-key", certificates.peer_key)
    with dulcet_serve(*map(str, options), "--tls-ca", str(certificates.authority)) as serve:
        tls = dcmtk.tls_options(
            key=certificates.our_key, certificate=certificates.our_certificate, authority=certificates.authority
        )
        sent = storescu(serve, pydicom_files / "CT_small.dcm", *tls)
        assert sent.returncode == 0, sent.stderr + serve.log_tail()
        assert len(data_sets(serve)) == 1
        assert storescu(serve, pydicom_files / "CT_small.dcm").returncode != 0


def test_a_user_identity_is_ignored_and_never_logged(serve, pydicom_files):
    """PS3.7 D.3.3.7.1: an acceptor that does not support user identity accepts without it."""
    sent = storescu(serve, pydicom_files / "CT_small.dcm", "--user", "alice", "--password", "secret")
    assert sent.returncode == 0, sent.stderr
    assert "secret" not in serve.log.read_text()
    assert "alice" not in serve.log.read_text()


def test_a_title_that_is_not_ours_is_rejected(serve):
    answer = run(executable("echoscu"), "-aec", "SOMEBODY", LOOPBACK, serve.address.port)
    assert answer.returncode != 0
    assert "Called AE Title Not Recognized" in answer.stderr
