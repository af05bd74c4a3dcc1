"""Who takes part when the queue's processes are killed: directories, peers, objects, and what may be ordered."""

import os
import sqlite3
from contextlib import closing

from sender import CT, Objects

from dulcet.conformance.kit.synthetic import data_set
from dulcet.conformance.peers.address import free_port
from dulcet.services.part10 import encode_header, read_header
from dulcet.station.archive.vault import path_of

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
SERVE = ("serve", "--min-free", "0", "--no-queue", "--quiet")
SENT, ROUTED, ARCHIVED = 1, 2, 3  # lanes: they tell whose an object is
FAIL = 0.1  # share of the jobs that can't but fail
NO_STUDY = "2.25.1"


def nothing():
    """Happens."""


class Things(Objects):
    """Objects that belong to series."""

    SERIES = 25  # objects in each

    def octets(self, number, *, explicit=False):
        """Its data set; in the other syntax as a peer may have converted it."""
        series = f"{self.uid(0)}.{(number - 1) // self.SERIES}"
        elements = {
            0x00080016: ("UI", CT),
            0x00080018: ("UI", self.uid(number)),
            0x00080060: ("CS", "CT"),
            0x00100020: ("LO", "P"),
            0x0020000D: ("UI", f"{series}.1"),
            0x0020000E: ("UI", series),
            0x7FE00010: ("OW", self.pixels(number)),
        }
        return data_set(elements, explicit=explicit)

    def file(self, number):
        """Its octets as a file."""
        header = encode_header(
            sop_class_uid=CT, sop_instance_uid=self.uid(number), transfer_syntax_uid=IMPLICIT, source_ae_title="MAKER"
        )
        return header + self.octets(number)


class Outgoing:
    """A folder to be sent."""

    OBJECTS = 25
    VANISH = 3  # files, of some folders, when they have been ordered to be sent

    def __init__(self, things, folder):
        self.vanished = set()
        self.folder = folder
        folder.mkdir(parents=True)
        self.numbers = []
        for _ in range(self.OBJECTS):
            things.sent += 1
            self.numbers.append(things.sent)
            (folder / f"{things.sent}.dcm").write_bytes(things.file(things.sent))

    def vanish(self):
        """The last files go; whether they were sent before, nobody knows."""
        for number in self.numbers[-self.VANISH :]:
            path = self.folder / f"{number}.dcm"
            path.unlink()
            self.vanished.add(str(path))


class Routed:
    """What is sent to the server that forwards."""

    def __init__(self, things, log):
        self.things = things
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._acknowledged = set()

    async def send(self, stream, chance, counts, send):
        """Until the server dies."""

        class Nothing:
            def set(self):
                pass

        await send(stream, self.things, chance, self._log, counts, self._acknowledged, Nothing())

    def missing(self, directory):
        """A sentence for each object that was acknowledged and has not been forwarded."""
        uids = [self.things.uid(number) for number in self._acknowledged]
        return [f"{uid} was acknowledged, and not forwarded" for uid in uids if not path_of(directory, uid).exists()]


class Archived:
    """What the archive has."""

    STUDIES = 8
    in_study = Things.SERIES

    def __init__(self, things, directory):
        self.things = things
        for number in range(1, self.STUDIES * self.in_study + 1):
            things.sent = number
            path = path_of(directory, things.uid(number))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(things.file(number))

    def study(self, index):
        return f"{self.things.uid(0)}.{index}.1"


class World:
    """All of it, in a directory."""

    def __init__(self, room, seed):
        self.room = room
        self.state = room / "state"
        self.configuration = room / "dulcet.toml"
        self.peer_directory, self.archive_directory, self.router_directory = (
            room / name for name in ("peer", "archived", "router")
        )
        self._seed = seed
        self._sent = Things(SENT, 1, seed)
        self._outgoing = []
        self._retrievals = 0
        self.routed = Routed(Things(ROUTED, 1, seed), room / "acknowledged")
        self.archived = Archived(Things(ARCHIVED, 1, seed), self.archive_directory)
        self.peer_port, self.archive_port, self.router_port, self.worker_port = (free_port() for _ in range(4))
        self.environment = {
            "DULCET_STATE": str(self.state),
            "DULCET_CONFIG": os.devnull,
            "DULCET_NODES": str(room / "nodes.toml"),
        }
        self._write_books()

    def _write_books(self):
        nodes = {
            "PEER": self.peer_port,
            "ARCHIVE": self.archive_port,
            "DULCET": self.router_port,
            "WORKER": self.worker_port,
            "NOBODY": 1,
        }
        (self.room / "nodes.toml").write_text(
            "".join(
                f'[{name}]\nae_title = "{name}"\nhost = "127.0.0.1"\nport = {port}\n' for name, port in nodes.items()
            )
        )
        self.configuration.write_text(
            '[[route]]\nname = "on"\nfrom = "SENDER"\nto = "PEER"\ndelay = 0.1\nmodality = "CT"\n'
        )

    # Processes ------------------------------------------------------------------------------------------------------

    @property
    def peer(self):
        quick = ("--durability", "none")
        return (*SERVE, *quick, "--aet", "PEER", "--port", self.peer_port, "--directory", self.peer_directory)

    @property
    def archive(self):
        words = ("--query", "--aet", "ARCHIVE", "--port", self.archive_port, "--directory", self.archive_directory)
        return (*SERVE, "--max-associations", "200", "--max-per-address", "200", *words)

    @property
    def router(self):
        return (*SERVE, "--port", self.router_port, "--directory", self.router_directory)

    worker = ("queue", "run", "--quiet", "--workers", "3", "--per-peer", "3")

    # Orders ---------------------------------------------------------------------------------------------------------

    def an_order(self, chance):
        """The words of a command that orders something, and what happens when it has been ordered."""
        return self._a_retrieval(chance) if chance.random() < 0.4 else self._a_sending(chance)

    def _a_sending(self, chance):
        folder = self.room / "outgoing" / str(len(self._outgoing))
        outgoing = Outgoing(self._sent, folder)
        self._outgoing.append(outgoing)
        how = chance.random()
        if how < FAIL:
            return ("send", "--queue", "--retries", "2", "NOBODY", folder), nothing
        then = outgoing.vanish if how < 2 * FAIL else nothing
        return ("send", "--queue", "--retries", "1000", "PEER", folder), then

    def _a_retrieval(self, chance):
        return self._retrieval(chance), nothing

    def _retrieval(self, chance):
        self._retrievals += 1
        how = chance.choice(("get", "worker", "router"))
        study = self.archived.study(chance.randrange(self.archived.STUDIES))
        study = NO_STUDY if chance.random() < FAIL else study
        words = ("retrieve", "--queue", "ARCHIVE", "--study", study, "--bind", "127.0.0.1", "--grace", "0.5")
        own = ("--directory", self.room / "retrieved" / f"{how}-{self._retrievals}", "--durability", "none")
        if how == "get":
            return (*words, *own, "--via", "get")
        if how == "worker":
            return (*words, *own, "--via", "move", "--aet", "WORKER", "--port", self.worker_port)
        return (*words, "--directory", self.router_directory, "--via", "move", "--port", self.router_port)

    def outgoing_of(self, rows):
        """The folder that the rows of a job are about."""
        return self._outgoing[int(rows[0].path.split("/outgoing/")[1].split("/")[0])]

    # What there is --------------------------------------------------------------------------------------------------

    def is_anything_to_forward(self):
        """Whether the journal has something left."""
        path = self.router_directory / ".forwarding" / "journal.sqlite"
        if not path.exists():
            return False
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            found = "SELECT (SELECT count(*) FROM arrival) + (SELECT count(*) FROM forward)"
            return bool(connection.execute(found).fetchone()[0])

    @staticmethod
    def is_at(directory, uid):
        return path_of(directory, uid).exists()

    def wrong_files(self):
        """A sentence for each file that is not what it should be, or should not be there."""
        for directory in (self.peer_directory, self.router_directory, *self.room.glob("retrieved/*")):
            for path in directory.glob("??/*"):
                yield from self._wrong(path)

    def _wrong(self, path):
        things = next(
            (
                each
                for each in (self._sent, self.routed.things, self.archived.things)
                if each.number(path.name) is not None
            ),
            None,
        )
        if things is None:
            yield f"{path} should not be there"
            return
        with path.open("rb") as file:
            header = read_header(file.fileno())
            is_explicit = header.transfer_syntax_uid == EXPLICIT
            if file.read()[header.data_set_offset :] != things.octets(things.number(path.name), explicit=is_explicit):
                yield f"{path} is not what was sent"
