"""The seam of `Storage`, watched: each operation is told before and after, and may be made to fail."""

import os
import threading

from dulcet.services.storing.file_system import FileSystem

OPERATIONS = (
    "open",
    "close",
    "write",
    "read",
    "fsync",
    "link",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "stat",
    "fstat",
    "statvfs",
    "listdir",
    "lock",
    "sync_file_system",
)


class WatchedFileSystem(FileSystem):
    """Does what `FileSystem` does, but for what a test puts between."""

    def before(self, operation, arguments, keywords):
        """Called before each operation; what it raises is the operation's error."""

    def after(self, operation, arguments, keywords, result):
        """Called after each operation that succeeded."""


def _watched(operation):
    real = getattr(FileSystem, operation)
    needs_self = operation in ("listdir", "sync_file_system")

    def watched(self, *arguments, **keywords):
        try:
            self.before(operation, arguments, keywords)
        except OSError:
            if operation == "close":  # close(2): the descriptor is gone, whatever is answered
                real(*arguments)
            raise
        result = real(self, *arguments) if needs_self else real(*arguments, **keywords)
        self.after(operation, arguments, keywords, result)
        return result

    return watched


for _operation in OPERATIONS:
    setattr(WatchedFileSystem, _operation, _watched(_operation))


class ListedFileSystem(WatchedFileSystem):
    """Keeps a list of (operation, what it is about): a name, or the name that a descriptor was opened with."""

    def __init__(self):
        self.operations = []
        self.threads = set()
        self._names = {}

    def after(self, operation, arguments, keywords, result):
        self.threads.add(threading.get_ident())
        first = arguments[0]
        if operation == "open":
            self._names[result] = os.fspath(first)
        what = self._names.get(first, first) if isinstance(first, int) else os.fspath(first)
        if operation in ("link", "rename"):
            what = f"{first} -> {arguments[1]}"
        self.operations.append((operation, what))

    def done(self, *operations):
        """What of these was done, in order."""
        return [entry for entry in self.operations if entry[0] in operations]


class FaultyFileSystem(WatchedFileSystem):
    """Fails at the operations that `fails` chooses by their number (from 0) and name; syncs nothing really."""

    def __init__(self, fails=lambda number, operation: None):
        self.fails = fails
        self.count = 0
        self.operations = []
        self._counting = threading.Lock()  # the threads of the disk count together

    def before(self, operation, arguments, keywords):
        with self._counting:
            number, self.count = self.count, self.count + 1
            self.operations.append(operation)
        error = self.fails(number, operation)
        if error is not None:
            raise OSError(error, os.strerror(error))

    def fsync(self, descriptor):
        self.before("fsync", (descriptor,), {})

    def sync_file_system(self, descriptor):
        self.before("sync_file_system", (descriptor,), {})
