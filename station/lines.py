"""Lines on standard output and standard error, to which other processes may write as well."""

from typing import TextIO


def write_line(line: str, stream: TextIO | None) -> None:
    """One line, end included, in one write(2); nothing when the process was started without such a `stream`.

    The workers of a server and the process of its queue write to the descriptors that it was started with. `print`
    gives the end of a line apart, which is a write of its own where Python does not buffer (PYTHONUNBUFFERED, as
    services have it), so that another's line could come between. OSError when it can't be written.
    """
    if stream is not None:
        stream.write(line + "\n")
        stream.flush()
