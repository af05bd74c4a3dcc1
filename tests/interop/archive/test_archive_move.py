"""movescu and getscu against our archive: 500 objects, and destinations that fail, refuse and vanish."""

import re

import pydicom
import pytest

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port

ROOT = "1.2.826.0.1.3680043.9.7.5"
BIG, FEW = f"{ROOT}.3", f"{ROOT}.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
TRIALS = 5  # of what is void when the machine stood still


def counters(said):
    """(completed, failed, warning) of the final response, as DCMTK prints them."""
    last = said.text[said.text.rindex("Received Final") :] if "Received Final" in said.text else said.text
    names = ("Completed", "Failed", "Warning")
    return tuple(int(re.findall(rf"{name} Suboperations\s*: (\d+)", last)[-1]) for name in names)


@pytest.fixture
def movescu(archive, program):
    def run(destination, *keys, model="-S", options=()):
        named = [word for key in keys for word in ("-k", key)]
        address = archive.address
        return program(
            "movescu",
            "-d",
            model,
            *options,
            "-aec",
            address.ae_title,
            "-aem",
            destination,
            LOOPBACK,
            address.port,
            *named,
        )

    return run


STUDY = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={BIG}")


def test_a_study_of_500_objects(archive, movescu, storescp, vault):
    with storescp("+B") as destination:
        archive.know(STORE=destination.address)
        said = movescu("STORESCP", *STUDY)
        stored = [path.read_bytes()[-4200:] for path in destination.stored_files()]
    assert said.statuses == ["ff00"] * (len(said.statuses) - 1) + ["0000"]
    assert counters(said) == (500, 0, 0)
    assert len(stored) == 500
    remaining, completed = (
        [int(number) for number in re.findall(rf"{name} Suboperations\s*: (\d+)", said.text)]
        for name in ("Remaining", "Completed")
    )
    assert 2 <= len(remaining) <= 499
    assert remaining == sorted(set(remaining), reverse=True)
    assert all(left + done == 500 for left, done in zip(remaining, completed, strict=False))
    sent = {path.read_bytes()[-4200:] for path in vault.rglob(f"{BIG}.*.dcm")}
    assert set(stored) == sent  # octet for octet what was stored


@pytest.mark.parametrize(
    ("model", "keys", "count"),
    [
        ("-P", ("QueryRetrieveLevel=PATIENT", "PatientID=ID-BIG^ONE"), 500),
        ("-S", ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={BIG}", f"SeriesInstanceUID={BIG}.2"), 100),
        ("-S", ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={FEW}\\{ROOT}.2.2"), 6),
        (
            "-S",
            (
                "QueryRetrieveLevel=IMAGE",
                f"StudyInstanceUID={FEW}",
                f"SeriesInstanceUID={FEW}.1",
                f"SOPInstanceUID={FEW}.1.1",
            ),
            1,
        ),
        ("-S", ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3"), 0),
    ],
)
def test_each_level(archive, movescu, storescp, model, keys, count):
    with storescp() as destination:
        archive.know(STORE=destination.address)
        said = movescu("STORESCP", *keys, model=model)
    assert said.statuses[-1] == "0000"
    assert counters(said) == (count, 0, 0)


def test_a_destination_that_is_not_in_the_book(archive, movescu):
    archive.know()
    said = movescu("NOBODY", *STUDY)
    assert said.statuses == ["a801"]


def test_a_destination_where_nobody_listens(archive, movescu):
    archive.know(GONE=PeerAddress(ae_title="GONE", host=LOOPBACK, port=free_port()))
    said = movescu("GONE", *STUDY)
    assert said.statuses == ["a702"]
    assert counters(said) == (0, 500, 0)
    assert said.text.count(f"{BIG}.") >= 500  # each is named


def test_a_destination_that_refuses_the_association(archive, movescu, storescp):
    with storescp("--refuse") as destination:
        archive.know(STORE=destination.address)
        said = movescu("STORESCP", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={FEW}")
    assert said.statuses == ["a702"]
    assert counters(said) == (0, 3, 0)


@pytest.mark.parametrize("when", ["--abort-during", "--abort-after"])
def test_a_destination_that_vanishes(archive, movescu, storescp, when):
    with storescp(when) as destination:
        archive.know(STORE=destination.address)
        said = movescu("STORESCP", *STUDY)
    completed, failed, warning = counters(said)
    assert completed + failed == 500
    assert (completed <= 1, warning) == (True, 0)
    assert said.statuses[-1] == ("b000" if completed else "a702")


def test_a_destination_that_takes_only_implicit_vr(archive, movescu, storescp):
    with storescp("+xi") as destination:
        archive.know(STORE=destination.address)
        said = movescu("STORESCP", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={FEW}")
        assert counters(said) == (3, 0, 0)
        stored = [pydicom.dcmread(path) for path in destination.stored_files()]
    assert [one.file_meta.TransferSyntaxUID for one in stored] == ["1.2.840.10008.1.2"] * 3
    assert {str(one.PatientName) for one in stored} == {"FEW^ÅSA"}


def test_a_move_is_cancelled(archive, movescu, storescp):
    for _ in range(TRIALS):
        with storescp() as destination:
            archive.know(STORE=destination.address)
            said = movescu("STORESCP", *STUDY, options=("--cancel", 3))
            stored = destination.stored_files()
        if len(stored) < 500:  # else all was sent before movescu said anything: it was held up
            break
    assert said.statuses[-1] == "fe00"
    completed, failed, _ = counters(said)
    remaining = int(re.findall(r"Remaining Suboperations\s*: (\d+)", said.text)[-1])
    assert completed + failed + remaining == 500
    assert 3 <= completed < 500
    assert len(stored) == completed


def test_a_study_by_c_get(archive, program, tmp_path, vault):
    address = archive.address
    said = program(
        "getscu", "-d", "-S", "+B", "-od", tmp_path, "-aec", address.ae_title, LOOPBACK, address.port,
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={BIG}",
    )  # fmt: skip
    assert said.code == 0
    assert re.findall(r"Number of (\w+) Suboperations\s*: (\d+)", said.text)[-4:] == [
        ("Remaining", "0"),
        ("Completed", "500"),
        ("Failed", "0"),
        ("Warning", "0"),
    ]
    assert len(list(tmp_path.iterdir())) == 500
