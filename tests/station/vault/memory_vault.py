"""Store, record and index in memory: proof that what stands on the interfaces needs nothing else."""

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dulcet.errors import ArchiveError
from dulcet.services.part10 import encode_header
from dulcet.services.querying.attributes import ATTRIBUTES
from dulcet.services.querying.query_models import Level
from dulcet.services.querying.responding import Page
from dulcet.services.storing.placing import StoredObject
from dulcet.station.archive.arrivals import Arrival, How
from dulcet.station.archive.index_series import is_patient
from dulcet.station.archive.interfaces import Kept
from dulcet.station.archive.series import Instance, Series
from dulcet.station.archive.vault import Entry, Listed, name_of, split_name

LEVELS = list(Level)
PAGE = 3
ABOVE = [one.name for one in ATTRIBUTES if one.level is not Level.IMAGE and not one.is_derived]


@dataclass
class Opened:
    descriptor: int
    offset: int
    size: int

    def close(self):
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@dataclass
class ToSend:
    store: "MemoryStore"
    header: object

    def open(self):
        descriptor = self.store.descriptor(name_of(self.header.sop_instance_uid))
        offset = self.header.data_set_offset
        return Opened(descriptor, offset, self.header.file_size - offset)


class MemoryIncoming:
    def __init__(self, store, header, uids):
        self.store, self.header, self.uids, self.octets = store, header, uids, bytearray()

    def write(self, fragment):
        self.octets += fragment

    async def finish(self):
        name = name_of(self.uids["sop_instance_uid"])
        self.store.write(name, self.header + bytes(self.octets))
        return StoredObject(folder="memory", name=name, octets=len(self.octets), **self.uids)

    def abandon(self):
        self.octets.clear()


class MemoryStore:
    def __init__(self):
        self.objects = {}
        self.parts = ["odd", "even"]

    def write(self, name, octets):
        self.objects[name] = (octets, time.time_ns())

    def begin(self, *, calling_ae_title="", **uids):
        return MemoryIncoming(self, encode_header(source_ae_title=calling_ae_title, **uids), uids)

    def part_of(self, name):
        return self.parts[sum(name.encode()) % 2]

    def list(self, part):
        for name, (octets, modified) in self.objects.items():
            uid, digest = split_name(name)
            if self.part_of(name_of(uid)) == part:
                yield Listed(uid, len(octets), modified, digest)

    def descriptor(self, name):
        if name not in self.objects:
            raise FileNotFoundError(name)
        descriptor = os.memfd_create(name)
        os.write(descriptor, self.objects[name][0])
        modified = self.objects[name][1]
        os.utime(descriptor, ns=(modified, modified))
        return descriptor

    @contextmanager
    def open(self, name):
        descriptor = self.descriptor(name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def place(self, name):
        return f"memory:{name}"

    def make_durable(self, name):
        if name not in self.objects:
            raise FileNotFoundError(name)

    def to_send(self, header):
        return ToSend(self, header)

    def remove(self, names):
        for name in names:
            self.objects.pop(name, None)
        return list[Kept]()

    def close(self):
        pass


class MemoryArrivalBook:
    def __init__(self, part_of):
        self.rows, self.part_of, self.last, self.going = [], part_of, 0, set()

    def add(self, arrivals):
        for each in arrivals:
            now = self.get([each.name])
            if each.source.how is How.FOUND:
                if now:
                    continue
            elif each.replaces:
                self.rows = [replace(row, is_current=False) if row.name == each.name else row for row in self.rows]
            else:
                self.rows = [row for row in self.rows if row.name != each.name]
            self.last += 1
            self.rows.append(
                Arrival(
                    id=self.last,
                    name=each.name,
                    source=each.source,
                    received=each.received,
                    series_instance_uid=each.series_instance_uid,
                    sha256=None,
                    octets=None,
                )
            )

    def current(self):
        return [row for row in self.rows if row.is_current]

    def names(self, part):
        return {row.name for row in self.current() if self.part_of(name_of(split_name(row.name)[0])) == part}

    def get(self, names):
        wanted = set(names)
        return {row.name: row for row in self.current() if row.name in wanted}

    def of_series(self, series_instance_uid):
        return [row for row in self.rows if row.series_instance_uid == series_instance_uid]

    def after(self, id, limit, *, unhashed=False):
        return [row for row in self.current() if row.id > id and not (unhashed and row.sha256)][:limit]

    def hashed(self, hashes):
        new = {number: (sha256, octets) for number, sha256, octets in hashes}
        for place, row in enumerate(self.rows):
            if row.id in new and row.sha256 is None:
                self.rows[place] = replace(row, sha256=new[row.id][0], octets=new[row.id][1])

    def leaving(self, names):
        self.going.update(names)

    def forget(self, names, is_there):
        gone = {name for name in names if not is_there(name)}
        self.going.difference_update(names)
        self.rows = [row for row in self.rows if row.name not in gone]

    def settle(self, is_there):
        self.forget(set(self.going), is_there)

    def close(self):
        pass


class MemoryIndex:
    def __init__(self, part_of):
        self.entries, self.bad, self.part_of = {}, {}, part_of
        self.arrivals = MemoryArrivalBook(part_of)

    def known(self, part):
        found = {uid: (entry.header.file_size, entry.modified) for uid, entry in self.entries.items()}
        found |= {uid: (bad.listed.size, bad.listed.modified) for uid, bad in self.bad.items()}
        return {uid: value for uid, value in found.items() if self.part_of(name_of(uid)) == part}

    def update(self, found, gone=()):
        for uid in gone:
            self.entries.pop(uid, None)
            self.bad.pop(uid, None)
        for one in found:
            uid = one.header.sop_instance_uid if isinstance(one, Entry) else one.listed.sop_instance_uid
            self.entries.pop(uid, None)
            self.bad.pop(uid, None)
            (self.entries if isinstance(one, Entry) else self.bad)[uid] = one

    def forget(self, names, is_there):
        names = list(names)
        self.update((), [split_name(name)[0] for name in names if not split_name(name)[1] and not is_there(name)])
        self.arrivals.forget(names, is_there)

    def value(self, uid, name):
        entry = self.entries[uid]
        own = {"sop_instance_uid": uid, "sop_class_uid": entry.header.sop_class_uid}
        return (entry.values | own).get(name, "")

    def key(self, uid, level):
        names = ["patient_id", "study_instance_uid", "series_instance_uid", "sop_instance_uid"]
        return tuple(self.value(uid, name) for name in names[: LEVELS.index(level) + 1])

    def counts(self):
        found = {
            name: len({self.key(uid, level) for uid in self.entries})
            for name, level in zip(["patient", "study", "series", "instance"], Level, strict=True)
        }
        return {**found, "unreadable": len(self.bad)}

    def unreadable(self, limit=100):
        return [(name_of(uid), bad.reason) for uid, bad in sorted(self.bad.items())][:limit]

    def page(self, search, after, seconds):
        if seconds <= 0:
            raise ArchiveError("finding the matches took too long: narrow the query")
        firsts = list({self.key(uid, search.level): uid for uid in reversed(self.entries)}.values())[::-1]
        matches = search.matcher()
        chosen = firsts[after : after + PAGE]
        rows = [[self.text(uid, one) for one in search.attributes] for uid in chosen]
        return Page([row for row in rows if matches(row)], after + PAGE if after + PAGE < len(firsts) else None)

    def text(self, uid, attribute):
        if not attribute.is_derived:
            return self.value(uid, attribute.name)
        of_level = {
            other for other in self.entries if self.key(other, attribute.level) == self.key(uid, attribute.level)
        }
        if attribute.name.endswith("instances"):
            return str(len(of_level))
        return "\\".join(sorted({self.value(other, "modality") for other in of_level}))

    def headers(self, retrieval, limit, seconds):
        chosen = [
            uid for uid in self.entries if all(key.accepts(self.value(uid, one.name)) for one, key in retrieval.keys)
        ]
        chosen.sort(
            key=lambda uid: (self.value(uid, "series_instance_uid"), int(self.value(uid, "instance_number") or 0))
        )
        return [self.entries[uid].header for uid in chosen][:limit]

    def of_series(self, series_instance_uid):
        return [uid for uid in self.entries if self.value(uid, "series_instance_uid") == series_instance_uid]

    def series(self, wanted, limit=None):
        uids = {self.value(uid, "series_instance_uid") for uid in self.entries}
        found = sorted((self.one_series(uid) for uid in uids), key=lambda each: -each.arrived)
        return [each for each in found if self.is_wanted(each, wanted)][:limit]

    def is_wanted(self, each, wanted):
        first, last = wanted.study_dates
        return (
            (not wanted.series or each.series_instance_uid in wanted.series)
            and (not wanted.study or each.study_instance_uid == wanted.study)
            and (not wanted.patient or is_patient(wanted.patient, each.patient_name, each.patient_id))
            and (not wanted.modality or each.modality == wanted.modality.upper())
            and each.study_date >= first
            and (not last or (each.study_date != "" and each.study_date <= last))
            and each.arrived >= wanted.since
            and (not wanted.ae_title or wanted.ae_title in each.sources)
        )

    def one_series(self, series_instance_uid):
        uids = self.of_series(series_instance_uid)
        came = self.arrivals.get(map(name_of, uids))
        beside = [row for row in self.arrivals.current() if split_name(row.name)[1]]
        beside = [row for row in beside if row.series_instance_uid == series_instance_uid]
        values = {name: self.value(uids[0], name) for name in ABOVE}
        names = "patient_name patient_id study_date study_description study_instance_uid modality series_number"
        return Series(
            series_instance_uid=series_instance_uid,
            series_description=values["series_description"],
            **{name: values[name] for name in names.split()},
            instances=len(uids),
            octets=sum(self.entries[uid].header.file_size for uid in uids) + sum(row.octets or 0 for row in beside),
            conflicts=len(beside),
            arrived=max(row.received for row in (*came.values(), *beside)),
            sources=tuple(sorted({row.source.ae_title for row in came.values() if row.source.ae_title})),
        )

    def series_uids(self):
        return {self.value(uid, "series_instance_uid") for uid in self.entries} | {
            row.series_instance_uid for row in self.arrivals.rows
        }

    def attributes(self, series_instance_uid):
        uids = self.of_series(series_instance_uid)
        return {name: self.value(uids[0], name) for name in ABOVE if self.value(uids[0], name)} if uids else {}

    def instances(self, series_instance_uid):
        found = {}
        for uid in self.of_series(series_instance_uid):
            header = self.entries[uid].header
            found[name_of(uid)] = Instance(
                name=name_of(uid),
                sop_instance_uid=uid,
                sop_class_uid=header.sop_class_uid,
                transfer_syntax_uid=header.transfer_syntax_uid,
                instance_number=self.value(uid, "instance_number"),
                octets=header.file_size,
                arrival=self.arrivals.get([name_of(uid)]).get(name_of(uid)),
            )
        for row in self.arrivals.of_series(series_instance_uid):
            if row.is_current and row.name not in found:
                found[row.name] = Instance(name=row.name, sop_instance_uid=split_name(row.name)[0], arrival=row)
        return sorted(found.values(), key=lambda each: (int(each.instance_number or 0), each.name))

    def close(self):
        pass
