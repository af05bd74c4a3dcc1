"""What every store, record and index has to do, whatever lies behind the interface."""

import hashlib
import os

import pytest

from dulcet.services.querying.identifiers import Identifier, encode_identifier
from dulcet.services.querying.query import read_retrieval, read_search
from dulcet.services.querying.query_models import STUDY_ROOT
from dulcet.station.archive.arrivals import How, NewArrival, Source
from dulcet.station.archive.series import Wanted
from dulcet.station.archive.upkeep import take_in
from dulcet.station.archive.vault import Unreadable

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
LEVEL, STUDY, SERIES, INSTANCE, NAME = 0x00080052, 0x0020000D, 0x0020000E, 0x00080018, 0x00100010
FOUND = Source(how=How.FOUND)


def find(index, keys):
    search = read_search(
        STUDY_ROOT, Identifier(encode_identifier(keys, IMPLICIT), IMPLICIT), relational=True, date_time=False
    )
    rows, after = [], 0
    while after is not None:
        page = index.page(search, after, 5.0)
        rows += page.rows
        after = page.after
    return [dict(zip([one.name for one in search.attributes], row, strict=True)) for row in rows]


def headers(index, keys, limit=100):
    retrieval = read_retrieval(STUDY_ROOT, Identifier(encode_identifier(keys, IMPLICIT), IMPLICIT), relational=True)
    return [header.sop_instance_uid for header in index.headers(retrieval, limit, 5.0)]


def read(store, name):
    with store.open(name) as descriptor:
        return os.pread(descriptor, 1_000_000, 0)


# The store -----------------------------------------------------------------------------------------------------------


async def test_what_is_received_is_listed_and_read(kept, ct_octets):
    octets = ct_octets("1.9.1")
    data_set = octets[octets.index(b"\x08\0\x16\0") :]
    incoming = kept.store.begin(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.9.1", transfer_syntax_uid=EXPLICIT
    )
    incoming.write(memoryview(data_set[:100]))
    incoming.write(memoryview(data_set[100:]))
    stored = await incoming.finish()
    assert (stored.name, stored.octets, stored.sop_instance_uid) == ("1.9.1.dcm", len(data_set), "1.9.1")
    assert kept.names() == ["1.9.1.dcm"]
    assert read(kept.store, "1.9.1.dcm").endswith(data_set)


def test_what_is_abandoned_was_never_there(kept):
    incoming = kept.store.begin(sop_class_uid="1.2.3", sop_instance_uid="1.9.1", transfer_syntax_uid=EXPLICIT)
    incoming.write(memoryview(b"something"))
    incoming.abandon()
    assert kept.names() == []


def test_each_object_is_in_one_part_with_those_beside_it(kept):
    for number in range(20):
        kept.put(f"1.9.{number}")
    kept.put("1.9.1", digest="0123456789ab")
    parts = [{each.name for each in kept.store.list(part)} for part in kept.store.parts]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 21
    assert any({"1.9.1.dcm", "1.9.1~0123456789ab.dcm"} <= part for part in parts)


def test_a_size_and_a_time_are_listed(kept):
    name = kept.put()
    (listed,) = [each for part in kept.store.parts for each in kept.store.list(part)]
    entry = kept.entry(name)
    assert (listed.size, listed.modified) == (entry.header.file_size, entry.modified)
    assert listed.size == len(kept.octets[name])


def test_what_is_not_there_cannot_be_opened(kept):
    with pytest.raises(FileNotFoundError), kept.store.open("1.9.1.dcm"):
        pass


def test_what_is_there_can_be_made_durable(kept):
    kept.store.make_durable(kept.put())
    with pytest.raises(FileNotFoundError):
        kept.store.make_durable("1.9.7.dcm")


def test_places_tell_objects_apart(kept):
    assert kept.store.place("1.9.1.dcm") != kept.store.place("1.9.2.dcm")


def test_what_is_removed_is_gone_and_may_be_removed_again(kept):
    for number in range(3):
        kept.put(f"1.9.{number}")
    assert list(kept.store.remove(["1.9.0.dcm", "1.9.2.dcm", "1.9.7.dcm"])) == []
    assert list(kept.store.remove(["1.9.0.dcm"])) == []
    assert kept.names() == ["1.9.1.dcm"]


def test_who_reads_an_object_reads_it_to_its_end(kept):
    name = kept.put()
    with kept.store.open(name) as descriptor:
        kept.store.remove([name])
        assert os.pread(descriptor, 1_000_000, 0) == kept.octets[name]


def test_an_object_to_send_is_its_data_set(kept):
    name = kept.put()
    opened = kept.store.to_send(kept.entry(name).header).open()
    data_set = os.pread(opened.descriptor, opened.size, opened.offset)
    opened.close()
    opened.close()
    assert kept.octets[name].endswith(data_set)
    assert data_set.startswith(b"\x08\0\x16\0")


# The record ----------------------------------------------------------------------------------------------------------


def arrival(name="1.9.1.dcm", source=None, received=5, **more):
    source = Source("CT1", "192.0.2.1", How.C_STORE) if source is None else source
    return NewArrival(name=name, source=source, received=received, series_instance_uid="1.3.1", **more)


def test_what_came_is_recorded_as_it_came(kept):
    kept.book.add([arrival(), arrival("1.9.1~0123456789ab.dcm", Source("A,B\ud800", "::1", How.C_MOVE), 7)])
    first, beside = kept.book.of_series("1.3.1")
    assert (first.name, first.source, first.received) == ("1.9.1.dcm", Source("CT1", "192.0.2.1", How.C_STORE), 5)
    assert (first.sha256, first.octets, first.is_current) == (None, None, True)
    assert (beside.name, beside.source.ae_title[:3], beside.source.how) == ("1.9.1~0123456789ab.dcm", "A,B", How.C_MOVE)
    assert dict(kept.book.get(["1.9.1.dcm", "1.9.7.dcm"])) == {"1.9.1.dcm": first}
    assert kept.book.of_series("1.3.2") == []


def test_what_is_found_is_recorded_once_and_never_in_the_place_of_what_came(kept):
    kept.book.add([arrival(), arrival("1.9.2.dcm", FOUND, 6)])
    kept.book.add([arrival("1.9.1.dcm", FOUND, 9), arrival("1.9.2.dcm", FOUND, 9)])
    assert [(each.source.how, each.received) for each in kept.book.of_series("1.3.1")] == [
        (How.C_STORE, 5),
        (How.FOUND, 6),
    ]


def test_what_came_takes_the_place_of_what_was_found_before_it_was_recorded(kept):
    kept.book.add([arrival("1.9.1.dcm", FOUND, 6)])
    kept.book.add([arrival()])
    assert [(each.source.how, each.received) for each in kept.book.of_series("1.3.1")] == [(How.C_STORE, 5)]


def test_what_is_replaced_stays_in_the_record(kept):
    kept.book.add([arrival()])
    kept.book.add([arrival(received=8, replaces=True)])
    old, new = kept.book.of_series("1.3.1")
    assert (old.received, old.is_current, new.received, new.is_current) == (5, False, 8, True)
    assert kept.book.get(["1.9.1.dcm"])["1.9.1.dcm"] == new
    assert list(kept.book.after(0, 10)) == [new]
    kept.book.forget(["1.9.1.dcm"], lambda _name: False)
    assert kept.book.of_series("1.3.1") == []


def test_a_hash_is_recorded_once(kept):
    kept.book.add([arrival(), arrival("1.9.2.dcm")])
    one, two = kept.book.of_series("1.3.1")
    kept.book.hashed([(one.id, b"1" * 32, 100)])
    kept.book.hashed([(one.id, b"2" * 32, 200)])
    assert [(each.sha256, each.octets) for each in kept.book.of_series("1.3.1")] == [(b"1" * 32, 100), (None, None)]
    assert [each.id for each in kept.book.after(0, 10, unhashed=True)] == [two.id]
    assert [each.id for each in kept.book.after(0, 10)] == [one.id, two.id]
    assert [each.id for each in kept.book.after(one.id, 10)] == [two.id]
    assert [each.id for each in kept.book.after(0, 1)] == [one.id]


def test_the_names_of_a_part(kept):
    for number in range(20):
        kept.put(f"1.9.{number}", hashed=False)
    kept.put("1.9.1", digest="0123456789ab")
    kept.lose("1.9.0.dcm")
    parts = [set(kept.book.names(part)) for part in kept.store.parts]
    assert set().union(*parts) == {*(f"1.9.{number}.dcm" for number in range(20)), "1.9.1~0123456789ab.dcm"}
    assert sum(map(len, parts)) == 21
    for part, recorded in zip(kept.store.parts, parts, strict=True):
        assert {each.name for each in kept.store.list(part)} == recorded - {"1.9.0.dcm"}


@pytest.mark.parametrize("is_there", [True, False])
def test_a_removal_that_was_cut_off_is_settled(kept, is_there):
    kept.put()
    kept.book.leaving(["1.9.1.dcm"])
    assert len(kept.book.get(["1.9.1.dcm"])) == 1
    kept.book.settle(lambda _name: is_there)
    assert len(kept.book.get(["1.9.1.dcm"])) == is_there
    kept.book.settle(lambda _name: False)  # it is no longer leaving
    assert len(kept.book.get(["1.9.1.dcm"])) == is_there


# The index -----------------------------------------------------------------------------------------------------------


def test_objects_are_found_and_retrieved(kept):
    for number in range(8):
        study = number // 4
        kept.put(
            f"1.9.{number}",
            StudyInstanceUID=f"1.2.{study}",
            SeriesInstanceUID=f"1.3.{number // 2}",
            PatientName="ROE^JANE" if study else "DOE^JOHN",
            PatientID=f"P{study}",
            InstanceNumber=str(9 - number),
        )
    assert kept.index.counts() == {"patient": 2, "study": 2, "series": 4, "instance": 8, "unreadable": 0}
    found = find(kept.index, {LEVEL: "STUDY", STUDY: "", NAME: "roe*", 0x00201208: ""})
    assert found == [
        {"study_instance_uid": "1.2.1", "patient_name": "ROE^JANE", "number_of_study_related_instances": "4"}
    ]
    assert len(find(kept.index, {LEVEL: "IMAGE", INSTANCE: ""})) == 8
    assert headers(kept.index, {LEVEL: "SERIES", SERIES: "1.3.1"}) == ["1.9.3", "1.9.2"]
    assert len(headers(kept.index, {LEVEL: "STUDY", STUDY: "1.2.0\\1.2.1"}, limit=5)) == 5


def test_it_knows_what_it_was_given(kept):
    name = kept.put()
    (part,) = [part for part in kept.store.parts if list(kept.store.list(part))]
    entry = kept.entry(name)
    assert dict(kept.index.known(part)) == {"1.9.1": (entry.header.file_size, entry.modified)}
    kept.write(name, b"no object any more")
    take_in(kept.store, kept.index, [name], (), ())
    bad = kept.entry(name)
    assert isinstance(bad, Unreadable)
    assert dict(kept.index.known(part)) == {"1.9.1": (18, bad.listed.modified)}
    assert kept.index.unreadable() == [(name, bad.reason)]
    assert kept.index.counts() == {"patient": 0, "study": 0, "series": 0, "instance": 0, "unreadable": 1}


def test_what_is_gone_is_forgotten_with_all_above_it(kept):
    kept.put("1.9.1")
    kept.put("1.9.2", PatientID="P2", StudyInstanceUID="1.2.2", SeriesInstanceUID="1.3.2")
    kept.index.update((), ["1.9.1"])
    assert kept.index.counts() == {"patient": 1, "study": 1, "series": 1, "instance": 1, "unreadable": 0}
    assert len(kept.book.get(["1.9.1.dcm"])) == 1  # the record outlives it


def test_what_came_again_is_not_forgotten(kept):
    names = [kept.put(f"1.9.{number}") for number in range(3)]
    kept.store.remove(names)
    again = kept.put("1.9.1")
    kept.index.forget(names, lambda name: name == again)
    assert kept.index.counts()["instance"] == 1
    assert list(kept.book.get(names)) == [again]


# Series --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(kept):
    """Three series of two patients, one with a file beside another; the last of them came first."""
    kept.put("1.9.5", StudyInstanceUID="1.2.2", SeriesInstanceUID="1.3.3", Modality="MR", StudyDate="", PatientID="P2")
    kept.put("1.9.1", InstanceNumber="2", SeriesNumber="4", SeriesDescription="Head")
    kept.put("1.9.2", InstanceNumber="1")
    kept.put(
        "1.9.3",
        SeriesInstanceUID="1.3.2",
        source=Source("A,B", "", How.C_MOVE),
        PatientName="Müller^Åsa",
        PatientID="P3",
        StudyInstanceUID="1.2.3",
        SpecificCharacterSet="ISO_IR 100",
    )
    kept.put("1.9.1", digest="0123456789ab", source=Source("CT2", "", How.C_GET))
    return kept


def test_what_arrived_last_comes_first(filled):
    head, second, third = filled.index.series(Wanted())
    assert [each.series_instance_uid for each in (head, second, third)] == ["1.3.1", "1.3.2", "1.3.3"]
    assert (head.instances, head.conflicts, head.series_number, head.modality) == (2, 1, "4", "CT")
    octets = [len(filled.octets[name]) for name in ("1.9.1.dcm", "1.9.2.dcm", "1.9.1~0123456789ab.dcm")]
    assert head.octets == sum(octets)
    assert head.arrived == filled.now
    assert head.sources == ("CT1",)
    assert second.sources == ("A,B",)
    assert filled.index.series(Wanted(), 1) == [head]
    assert filled.index.series(Wanted(), 0) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(series=("1.3.1", "1.3.3")), {"1.3.1", "1.3.3"}),
        (Wanted(study="1.2.2"), {"1.3.3"}),
        (Wanted(patient="doe"), {"1.3.1", "1.3.3"}),
        (Wanted(patient="MÜLLER"), {"1.3.2"}),
        (Wanted(patient="P2"), {"1.3.3"}),
        (Wanted(patient="p"), set()),
        (Wanted(patient="*JOHN"), {"1.3.1", "1.3.3"}),
        (Wanted(patient="P?"), {"1.3.1", "1.3.2", "1.3.3"}),
        (Wanted(patient="[A-Z]*"), set()),
        (Wanted(modality="mr"), {"1.3.3"}),
        (Wanted(study_dates=("20260105", "20260105")), {"1.3.1", "1.3.2"}),
        (Wanted(study_dates=("", "20260104")), set()),
        (Wanted(study_dates=("20260106", "")), set()),
        (Wanted(ae_title="CT1"), {"1.3.1", "1.3.3"}),
        (Wanted(ae_title="A"), set()),
        (Wanted(ae_title="A,B"), {"1.3.2"}),
        (Wanted(since=1_700_000_002 * 10**9), {"1.3.1", "1.3.2"}),
    ],
)
def test_series_that_are_wanted(filled, wanted, expected):
    assert {each.series_instance_uid for each in filled.index.series(wanted)} == expected


def test_the_instances_of_a_series(filled):
    found = filled.index.instances("1.3.1")
    assert [(each.name, each.octets is None) for each in found] == [
        ("1.9.1~0123456789ab.dcm", True),
        ("1.9.2.dcm", False),
        ("1.9.1.dcm", False),
    ]
    last = found[-1]
    assert (last.sop_instance_uid, last.transfer_syntax_uid, last.instance_number) == ("1.9.1", EXPLICIT, "2")
    assert last.arrival.sha256 == hashlib.sha256(filled.octets["1.9.1.dcm"]).digest()
    assert last.octets == last.arrival.octets == len(filled.octets["1.9.1.dcm"])


def test_a_series_that_is_lost_is_still_in_the_record(filled):
    filled.lose("1.9.3.dcm")
    assert filled.update().gone == 1
    assert "1.3.2" in filled.index.series_uids()
    assert [each.series_instance_uid for each in filled.index.series(Wanted(series=("1.3.2",)))] == []
    assert [(each.name, each.octets) for each in filled.index.instances("1.3.2")] == [("1.9.3.dcm", None)]
    assert filled.index.attributes("1.3.2") == {}


def test_the_attributes_of_a_series(filled):
    found = filled.index.attributes("1.3.1")
    assert (found["patient_name"], found["series_description"], found["study_date"]) == ("DOE^JOHN", "Head", "20260105")
    assert "sop_instance_uid" not in found
    assert "" not in found.values()
