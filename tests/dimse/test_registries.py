"""SOP classes, transfer syntaxes and UIDs beside pydicom's dictionary of PS3.6."""

import pytest
from pydicom import _uid_dict as pydicom_uids
from pydicom.uid import UID

from dulcet.dimse import sop_classes, transfer_syntaxes, uids
from dulcet.dimse.sop_classes import OTHER_SOP_CLASSES, STORAGE_SOP_CLASSES
from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES

DICTIONARY = pydicom_uids.UID_dictionary  # UID -> name, type, information, retired, keyword


def of_type(*kinds):
    return {uid: row for uid, row in DICTIONARY.items() if row[1] in kinds}


def test_every_sop_class_is_known():
    ours = STORAGE_SOP_CLASSES | OTHER_SOP_CLASSES
    assert of_type("SOP Class", "Meta SOP Class").keys() <= ours.keys()
    assert STORAGE_SOP_CLASSES.keys() & OTHER_SOP_CLASSES.keys() == set()
    assert {uid: name for uid, name in ours.items() if uid not in DICTIONARY} == {}


def test_which_are_storage():
    named = {
        uid
        for uid, row in of_type("SOP Class").items()
        if "Storage" in row[0].replace("Storage Commitment", "") and uid != sop_classes.MEDIA_STORAGE_DIRECTORY
    }
    assert named - STORAGE_SOP_CLASSES.keys() == set()
    assert STORAGE_SOP_CLASSES.keys() - named == set()


def test_retired_ones_say_so():
    for uid, name in (STORAGE_SOP_CLASSES | OTHER_SOP_CLASSES).items():
        assert name.endswith("(retired)") == (DICTIONARY[uid][3] == "Retired"), uid


def test_their_names():
    def plain(name):
        return name.removesuffix(" (retired)").replace(" SOP Class", "").replace(" (Retired)", "").casefold()

    different = {
        uid: (name, DICTIONARY[uid][0])
        for uid, name in (STORAGE_SOP_CLASSES | OTHER_SOP_CLASSES).items()
        if plain(name) != plain(DICTIONARY[uid][0])
    }
    assert different == {}


@pytest.mark.parametrize("name", ["VERIFICATION", "MODALITY_WORKLIST", "STUDY_ROOT_FIND", "PATIENT_STUDY_ONLY_GET"])
def test_a_name_for_those_that_are_used(name):
    words = name.replace("PATIENT_STUDY", "PATIENT/STUDY").replace("_", " ").casefold().split()
    assert all(word in OTHER_SOP_CLASSES[getattr(sop_classes, name)].casefold() for word in words)


def test_every_transfer_syntax_is_known():
    assert of_type("Transfer Syntax").keys() == TRANSFER_SYNTAXES.keys()
    assert all(uid == syntax.uid for uid, syntax in TRANSFER_SYNTAXES.items())


@pytest.mark.parametrize("uid", TRANSFER_SYNTAXES)
def test_how_a_transfer_syntax_encodes(uid):
    ours, theirs = TRANSFER_SYNTAXES[uid], UID(uid)
    assert ours.explicit_vr == (not theirs.is_implicit_VR) or uid in IMPLICIT_BY_NAME
    assert ours.little_endian == theirs.is_little_endian
    assert ours.deflated == (theirs.is_deflated or "Deflate" in ours.name)
    assert ours.encapsulated == (theirs.is_encapsulated and "JPIP" not in ours.name) or uid in IMPLICIT_BY_NAME
    name = DICTIONARY[uid][0].partition(":")[0].removesuffix(" (Retired)")
    assert ours.name.casefold().startswith(name.casefold())


IMPLICIT_BY_NAME = {"1.2.840.10008.1.20"}  # Papyrus 3 Implicit VR Little Endian, which pydicom's rule of thumb misses


IMPLICIT, EXPLICIT, BIG = (f"1.2.840.10008.1.2{last}" for last in ("", ".1", ".2"))


@pytest.mark.parametrize(
    ("uid", "targets"),
    [
        (IMPLICIT, (EXPLICIT, BIG)),
        (EXPLICIT, (IMPLICIT, BIG)),
        (BIG, (EXPLICIT, IMPLICIT)),
        ("1.2.840.10008.1.2.1.99", (EXPLICIT, IMPLICIT, BIG)),
        ("1.2.840.10008.1.2.4.50", ()),
        ("1.2.3", ()),
    ],
)
def test_what_a_data_set_can_be_converted_to(uid, targets):
    assert transfer_syntaxes.convertible(uid) == targets


def test_four_syntaxes_have_names():
    assert {
        name: DICTIONARY[getattr(transfer_syntaxes, name)][0].partition(":")[0].upper().replace(" ", "_")
        for name in dir(transfer_syntaxes)
        if name.endswith("_ENDIAN")
    } == {name: name for name in dir(transfer_syntaxes) if name.endswith("_ENDIAN")}


def test_a_name_by_uid():
    assert uids.name_of("1.2.840.10008.1.2.1") == "Explicit VR Little Endian"
    assert uids.name_of("1.2.840.10008.5.1.4.1.1.2") == "CT Image Storage"
    assert uids.name_of("1.2.840.10008.1.1") == "Verification"
    assert uids.name_of("1.2.840.10008.3.1.1.1") == DICTIONARY["1.2.840.10008.3.1.1.1"][0]
    assert uids.name_of("1.2.3") == ""


def test_every_uid_of_the_standard_is_one():
    assert [uid for uid in DICTIONARY if not uids.is_valid_uid(uid)] == []


@pytest.mark.parametrize("uid", ["0", "0.0", "1", "1." + "2" * 62])
def test_a_uid_of_ps3_5_9_1(uid):
    assert uids.is_valid_uid(uid)


@pytest.mark.parametrize(
    "uid",
    [
        *("", ".", "..", "1.", ".1", "1..2", "1.02", "01.2", "1.2\0", "1.2 ", " 1.2", "1.2\n"),
        *("1.a", "1/2", "../1", "-1", "\u0661.2", "1." + "2" * 63),
    ],
)
def test_no_uid(uid):
    assert not uids.is_valid_uid(uid)
