"""Many associations at once: `python -m benchmarks.crowd AET PORT DIR ASSOCIATIONS`.

All associations are made first; then each sends its share of the directory. Prints how many objects and associations
failed; the exit code is 1 when some did.
"""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from benchmarks.floor_sender import File, Sender

STACK_OCTETS = 256 * 1024
ESTABLISHED_SECONDS = 60.0


class Crowd:
    """The associations, and what did not work."""

    def __init__(self, called: str, port: int, associations: int) -> None:
        self.called = called
        self.port = port
        self.everybody_has_tried = threading.Barrier(associations)
        self.failed: list[int] = []

    def member(self, files: Sequence[File]) -> None:
        """One association."""
        left = len(files)
        try:
            sender = self.associate(files)
            for number, file in enumerate(files):
                sender.send(file, number + 1)
                left -= 1
            sender.release()
        except OSError:
            self.failed.append(left)

    def associate(self, files: Sequence[File]) -> Sender:
        """Make an association, and wait until the others have theirs or were refused."""
        try:
            return Sender(self.called, self.port, files)
        finally:
            self.everybody_has_tried.wait(ESTABLISHED_SECONDS)


def main() -> None:
    """Read the command line and wait for everybody."""
    called, port, directory, associations = sys.argv[1:]
    files = [File(path) for path in sorted(Path(directory).iterdir())]
    crowd = Crowd(called, int(port), int(associations))
    share = len(files) // int(associations)
    threading.stack_size(STACK_OCTETS)
    members = [
        threading.Thread(target=crowd.member, args=(files[start : start + share],))
        for start in range(0, share * int(associations), share)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join()
    print(f"{len(crowd.failed)} associations failed with {sum(crowd.failed)} objects not sent")
    sys.exit(bool(crowd.failed))


if __name__ == "__main__":
    main()
