"""Each file beside the hash that was recorded: what is missing, changed or can't be read has a name."""

from pathlib import Path

import pytest

from dulcet.station.vault.verifying import BATCH_FILES, Verdict, verify
from dulcet.station.vault.work import Work


def run(kept, work=None, threads=2):
    return verify(kept.store, kept.book, kept.book.after(0, 10_000), work or Work(), threads=threads)


@pytest.fixture
def filled(kept):
    for number in range(6):
        kept.put(f"1.9.{number}")
    return kept


@pytest.mark.parametrize("threads", [1, 4])
def test_files_as_they_came(filled, threads):
    work = Work()
    result = run(filled, work, threads)
    assert (result.counts[Verdict.INTACT], result.faults) == (6, [])
    assert result.octets == work.transfer.octets == sum(map(len, filled.octets.values()))
    assert (work.transfer.objects, work.transfer.failed) == (6, 0)


def test_what_is_wrong_has_a_name(filled):
    octets = filled.octets["1.9.1.dcm"]
    filled.write("1.9.1.dcm", octets[:-1] + bytes([octets[-1] ^ 1]))
    filled.write("1.9.2.dcm", filled.octets["1.9.2.dcm"] + b"\0")
    filled.lose("1.9.3.dcm")
    work = Work()
    result = run(filled, work)
    size = len(octets)
    assert {(each.arrival.name, each.verdict, each.reason) for each in result.faults} == {
        ("1.9.1.dcm", Verdict.CHANGED, "its contents are not those that came"),
        ("1.9.2.dcm", Verdict.CHANGED, f"it has {size + 1:,} octets, and had {size:,} when it came"),
        ("1.9.3.dcm", Verdict.MISSING, "it is not there any more"),
    }
    assert (result.counts[Verdict.INTACT], work.transfer.failed) == (3, 3)
    assert run(filled).counts == result.counts  # what was found changed nothing


def test_what_may_not_be_read(kept):
    kept.put()

    class Forbidding:
        def open(self, name):
            raise PermissionError(13, "Permission denied")

    (fault,) = verify(Forbidding(), kept.book, kept.book.after(0, 10), Work(), threads=1).faults
    assert (fault.verdict, fault.reason) == (Verdict.UNREADABLE, "it can't be read: Permission denied")


def test_what_is_no_file_can_not_be_read(folder):
    path = Path(folder.store.place(folder.put()))
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    (fault,) = run(folder).faults
    assert fault.verdict is Verdict.UNREADABLE


def test_what_has_no_hash_gets_one(kept):
    for number in range(3):
        kept.put(f"1.9.{number}", hashed=number == 0)
    kept.write("1.9.7.dcm", b"found")
    kept.update()
    result = run(kept)
    assert (result.counts[Verdict.INTACT], result.counts[Verdict.RECORDED]) == (1, 3)
    assert run(kept).counts[Verdict.INTACT] == 4
    kept.write("1.9.7.dcm", b"FOUND")
    assert [each.arrival.name for each in run(kept).faults] == ["1.9.7.dcm"]


def test_each_file_is_looked_at_once_however_many(kept):
    name = kept.put()
    arrivals = [kept.book.get([name])[name]] * (2 * BATCH_FILES + 1)
    assert verify(kept.store, kept.book, arrivals, Work(), threads=3).counts[Verdict.INTACT] == 2 * BATCH_FILES + 1


def test_work_that_is_stopped_ends_and_keeps_what_it_has(kept):
    names = [kept.put(f"1.9.{number}", hashed=False) for number in range(4)]
    work = Work()
    seen = []

    class Stopping:
        def open(self, name):
            seen.append(name)
            work.is_stopped = len(seen) > 2
            return kept.store.open(name)

    with pytest.raises(KeyboardInterrupt):
        verify(Stopping(), kept.book, kept.book.after(0, 10), work, threads=1)
    assert seen == names[:3]
    assert [each.name for each in kept.book.after(0, 10, unhashed=True)] == names[2:]
