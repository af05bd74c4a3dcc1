"""What a crash may leave on a disk, by the weakest rules that POSIX allows.

What was written to a file, and each change of a name in a directory, may be on the disk or not until an fsync of that
very file or directory has returned; all of it independently. `RecordingFileSystem` keeps the changes in their order;
`images` builds every state that a crash after any of them may leave.
"""

import itertools
import os

from storing_watched_file_system import WatchedFileSystem

BASE = 0  # the directory that the storage's lies in, which is there from the start


class Recording:
    """Changes in their order; several file systems may share one, as processes share a disk."""

    def __init__(self, base):
        self.base = str(base)
        self.changes = []
        self.live = {BASE: {}}
        self._numbers = itertools.count(BASE + 1)

    def add(self, *change):
        self.changes.append(change)

    def acknowledge(self, uid, octets):
        """The sender was told that this object is stored."""
        self.add("acknowledged", uid, octets)

    def new(self, is_directory):
        number = next(self._numbers)
        if is_directory:
            self.live[number] = {}
        else:
            self.add("written", number, b"")
        return number

    def enter(self, directory, name, what):
        """A name now means this, or nothing."""
        if what is None:
            self.live[directory].pop(name, None)
        else:
            self.live[directory][name] = what
        self.add("name", directory, name, what)

    def find(self, path):
        """A directory by its whole path."""
        found = BASE
        for name in os.path.relpath(path, self.base).split("/"):
            found = found if name == "." else self.live[found][name]
        return found


class RecordingFileSystem(WatchedFileSystem):
    """Does what is asked, and records it. `forgets`: fsyncs of "files" or "directories" that are not done."""

    can_sync_file_system = False

    def __init__(self, recording, forgets="", before_sync=lambda what: None):
        self.recording = recording
        self.forgets = forgets
        self.before_sync = before_sync
        self.opened = {}

    def before(self, operation, arguments, keywords):
        if operation == "fsync":
            self.before_sync(self.opened[arguments[0]])

    def after(self, operation, arguments, keywords, result):
        record = getattr(self, f"record_{operation}", None)
        if record is not None:
            record(*arguments, result=result, **keywords)

    def _place(self, path, dir_fd):
        if dir_fd is None:
            return self.recording.find(os.path.dirname(path)), os.path.basename(path)
        return self.opened[dir_fd], path

    def record_open(self, path, flags, mode=0, *, dir_fd=None, result):
        if dir_fd is None:
            self.opened[result] = self.recording.find(path)
            return
        directory = self.opened[dir_fd]
        if flags & os.O_CREAT:
            self.recording.enter(directory, path, self.recording.new(is_directory=False))
        self.opened[result] = self.recording.live[directory][path]

    def record_mkdir(self, path, mode=0, *, dir_fd=None, result):
        self.recording.enter(*self._place(path, dir_fd), self.recording.new(is_directory=True))

    def record_rmdir(self, path, *, dir_fd=None, result):
        self.recording.enter(*self._place(path, dir_fd), None)

    record_unlink = record_rmdir

    def record_write(self, descriptor, buffers, *, result):
        self.recording.add("written", self.opened[descriptor], b"".join(buffers)[:result])

    def record_fsync(self, descriptor, *, result):
        what = self.opened[descriptor]
        if self.forgets != ("directories" if what in self.recording.live else "files"):
            self.recording.add("synced", what)

    def record_sync_file_system(self, descriptor, *, result):
        self.recording.add("all synced")

    def record_link(self, source, target, *, src_dir_fd, dst_dir_fd, follow_symlinks, result):
        what = self.recording.live[self.opened[src_dir_fd]][source]
        self.recording.enter(self.opened[dst_dir_fd], target, what)

    def record_rename(self, source, target, *, src_dir_fd, dst_dir_fd, result):
        what = self.recording.live[self.opened[src_dir_fd]][source]
        self.recording.enter(self.opened[dst_dir_fd], target, what)
        self.recording.enter(self.opened[src_dir_fd], source, None)


class Disk:
    """What is surely on the disk, and what may be."""

    def __init__(self):
        self.names = {BASE: {}}
        """directory -> name -> what it may mean, the sure or older meaning first."""
        self.written = {}
        """file -> [octets that are surely there, each write that may be there]."""
        self.acknowledged = []

    def apply(self, change):
        kind, *rest = change
        if kind == "name":
            directory, name, what = rest
            self.names.setdefault(directory, {}).setdefault(name, [None]).append(what)
        elif kind == "written":
            file, octets = rest
            self.written.setdefault(file, [b""])
            self.written[file] += [octets] if octets else []
        elif kind == "acknowledged":
            self.acknowledged.append(tuple(rest))
        elif kind == "synced":
            self.sync(*rest)
        else:
            for what in {*self.names, *self.written}:
                self.sync(what)

    def sync(self, what):
        for name, meanings in self.names.get(what, {}).items():
            self.names[what][name] = meanings[-1:]
        if what in self.written:
            self.written[what] = [b"".join(self.written[what])]

    def images(self):
        """Every tree of names, and octets of files, that a crash may leave now."""
        files = list(self.written)
        for contents in itertools.product(*(self.contents(file) for file in files)):
            yield from self.trees(BASE, dict(zip(files, contents, strict=True)))

    def contents(self, file):
        """Nothing but what is sure, each beginning of the rest, and the rest with its last write lost in between."""
        sure, *rest = self.written[file]
        options = [sure + b"".join(rest[:count]) for count in range(len(rest) + 1)]
        if rest:
            options.append(sure + b"".join(rest[:-1]) + bytes(len(rest[-1])))
        return options

    def trees(self, what, contents):
        if what in contents:
            return [contents[what]]
        entries = self.names.get(what, {})
        options = []
        for name, meanings in entries.items():
            trees = [(name, None)] if None in meanings else []
            for meaning in dict.fromkeys(meanings):
                if meaning is not None:
                    trees += [(name, tree) for tree in self.trees(meaning, contents)]
            options.append(trees)
        return [
            frozenset((name, tree) for name, tree in choice if tree is not None)
            for choice in itertools.product(*options)
        ]


def moments(recording):
    """The trees that a crash may leave, for the start and after each change."""
    disk = Disk()
    for change in (None, *recording.changes):
        if change is not None:
            disk.apply(change)
        yield list(disk.images())


def octets_of_files(tree):
    """The contents of every file in a tree."""
    if isinstance(tree, bytes):
        yield tree
        return
    for _, below in tree:
        yield from octets_of_files(below)


def images(recording):
    """(what was acknowledged, tree) for every crash there may be, each pair once."""
    disk, seen = Disk(), set()
    for change in (None, *recording.changes):
        if change is not None:
            disk.apply(change)
        acknowledged = tuple(disk.acknowledged)
        for tree in disk.images():
            if (acknowledged, tree) not in seen:
                seen.add((acknowledged, tree))
                yield acknowledged, tree


def materialize(tree, path):
    """Make a tree real."""
    if isinstance(tree, bytes):
        path.write_bytes(tree)
        return
    path.mkdir()
    for name, below in tree:
        materialize(below, path / name)
