"""What callers do to a server, day in, day out: send, break off, ask, fetch, look, and talk nonsense."""

import random
import socket
import urllib.request
from collections import Counter, deque
from contextlib import contextmanager, suppress

import trio

from dulcet import Peer, associate, echo, find, store
from dulcet.conformance.kit.synthetic import data_set
from dulcet.dimse.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET
from dulcet.errors import AssociationError
from dulcet.services.acceptor import Operation
from dulcet.services.data_sets import BytesSource
from dulcet.services.echo import VERIFICATION_CONTEXT
from dulcet.services.find import find_contexts
from dulcet.services.get import get, get_contexts
from dulcet.ul.items import PresentationContextRQ

CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
LEVEL, PATIENT, STUDY, SERIES = 0x00080052, 0x00100020, 0x0020000D, 0x0020000E
OBJECTS = 20  # of a series
BROKEN_OFF = 0.2  # share of the associations that send
PATIENCE = 120.0  # for anything at all


class Wrong(Exception):
    """The server did what it must not do."""


class Forgotten:
    """A sink that keeps nothing."""

    def write(self, fragment):
        pass

    def abandon(self):
        pass


async def _counted(association, received):
    await association.send(received.context.context_id, received.message.response(status=0))


class Callers:
    """Several at once; what was acknowledged is remembered."""

    def __init__(self, address, http, seed, counts):
        self._address = address
        self._http = http
        self._chance = random.Random(seed)
        self._counts = counts
        self._made = 0
        self.acknowledged = set()
        """SOP Instance UIDs, of all time."""
        self.series = deque()
        """(Series Instance UID, Study Instance UID, patient) of those that were sent whole and are still there."""
        self._wanted = Counter()
        self._deeds = {self.send: 8, self.ask: 3, self.fetch: 3, self.greet: 2, self.disturb: 3, self.look: 1}

    def _peer(self, calling="SOAK"):
        return Peer(
            host="127.0.0.1", port=self._address.port, ae_title=self._address.ae_title, calling_ae_title=calling
        )

    async def do_something(self):
        """One deed, drawn by lot."""
        (deed,) = self._chance.choices([*self._deeds], self._deeds.values())
        if deed in (self.ask, self.fetch) and not self.series:
            deed = self.send
        with trio.fail_after(PATIENCE):
            await deed()
        self._counts[deed.__name__] += 1

    @property
    def have_done_everything(self):
        """Each deed once."""
        return all(self._counts[deed.__name__] for deed in self._deeds)

    @contextmanager
    def _one_that_is_there(self):
        """A series that is not removed meanwhile."""
        chosen = self._chance.choice(self.series)
        self._wanted[chosen] += 1
        try:
            yield chosen
        finally:
            self._wanted[chosen] -= 1

    def give_up(self, kept):
        """The Series Instance UIDs of the oldest, which may be removed: nobody wants them any more."""
        oldest = list(self.series)[: max(len(self.series) - kept, 0)]
        unwanted = [each for each in oldest if not self._wanted[each]]
        for each in unwanted:
            self.series.remove(each)
        return [series for series, _, _ in unwanted]

    async def send(self):
        """A series; some associations are broken off in the middle."""
        self._made += 1
        number, root = self._made, f"2.25.{10**6 + self._made}"
        patient, size = f"P{number}", self._chance.randrange(64, 20_000) // 2 * 2
        end = self._chance.randrange(OBJECTS) if self._chance.random() < BROKEN_OFF else OBJECTS
        async with associate(self._peer(), [PresentationContextRQ.propose(1, CT, [IMPLICIT])]) as association:
            for instance in range(1, OBJECTS + 1):
                if instance > end:
                    await association.abort()
                    break
                uid = f"{root}.2.{instance}"
                octets = data_set(
                    {
                        0x00080016: ("UI", CT),
                        0x00080018: ("UI", uid),
                        0x00080060: ("CS", "CT"),
                        PATIENT: ("LO", patient),
                        STUDY: ("UI", f"{root}.1"),
                        SERIES: ("UI", f"{root}.2"),
                        0x7FE00010: ("OW", bytes(size)),
                    },
                    explicit=False,
                )
                source = BytesSource(octets)
                stored = await store(association, 1, sop_class_uid=CT, sop_instance_uid=uid, data_set=source)
                if stored.status:
                    raise Wrong(f"C-STORE was answered with {stored.status:04X}H")
                self.acknowledged.add(uid)
        self._counts["objects"] += min(end, OBJECTS)
        if end == OBJECTS:
            self.series.append((f"{root}.2", f"{root}.1", patient))

    async def ask(self):
        """For a study that is there."""
        with self._one_that_is_there() as (_, study, patient):
            async with (
                associate(self._peer(), find_contexts([STUDY_ROOT_FIND])) as association,
                find(association, STUDY_ROOT_FIND, {LEVEL: "STUDY", PATIENT: patient, STUDY: ""}) as matches,
            ):
                found = [match.text(STUDY) async for match in matches]
        if found != [study]:
            raise Wrong(f"patient {patient} has {found} instead of {study}")

    async def fetch(self):
        """A series that is there, by C-GET."""
        contexts, roles = get_contexts((STUDY_ROOT_GET,), (CT,))
        take = Operation(perform=_counted, sop_classes=frozenset({CT}), open_sink=lambda *_: Forgotten())
        with self._one_that_is_there() as (series, study, _):
            keys = {LEVEL: "SERIES", STUDY: study, SERIES: series}
            async with (
                associate(self._peer(), contexts, user_items=roles) as association,
                get(association, STUDY_ROOT_GET, keys, take) as retrieval,
            ):
                async for _ in retrieval:
                    pass
        if retrieval.sub_operations.completed != OBJECTS:
            raise Wrong(f"{retrieval.sub_operations} of a series of {OBJECTS}")

    async def greet(self):
        """C-ECHO, now and then as somebody new."""
        async with associate(self._peer(f"AE{self._chance.randrange(10**6)}"), [VERIFICATION_CONTEXT]) as association:
            await echo(association)

    async def disturb(self):
        """Octets that are no DICOM, or the beginning of something that is, and an end of any kind."""
        beginning = self._chance.choice(
            (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x01\0\0\0\x01\0", b"\x04\0\xff\xff\xff\xff\0")
        )
        with suppress(OSError, trio.BrokenResourceError):
            async with await trio.open_tcp_stream("127.0.0.1", self._address.port) as stream:
                await stream.send_all(beginning + self._chance.randbytes(self._chance.randrange(200)))
                if self._chance.random() < 0.5:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    async def look(self):
        """As Prometheus does, and a container's health check."""
        for page in ("metrics", "healthz"):
            await trio.to_thread.run_sync(self._get, page)

    def _get(self, page):
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/{page}", timeout=PATIENCE) as answer:
            answer.read()
            if answer.status != 200:
                raise Wrong(f"/{page} answered {answer.status}")


FAILURES = (Wrong, AssociationError, OSError, trio.TooSlowError)
"""How a deed may end that should not."""
