"""`dulcet demo`: two application entities on this machine, real files between them, every byte compared."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from dulcet.errors import DulcetError
from dulcet.services.part10 import read_header
from dulcet.station.files import FileToSend, find_files

READY_PATIENCE = 20.0  # seconds
_DULCET = [sys.executable, "-m", "dulcet"]


@click.command()
@click.option("--keep", is_flag=True, help="Keep what was received.")
def demo(keep: bool) -> int:
    """Serve, echo, send and compare on this machine: neither root nor a PACS is needed."""
    folder = Path(tempfile.mkdtemp(prefix="dulcet-demo-"))
    received = folder / "received"
    try:
        with _server(received) as peer:
            click.echo(f"1. A storage SCP is serving: {peer}, storing in {received}")
            _run("2. Is it there?", "echo", peer)
            files = _sources()
            code = _run(
                f"3. {len(files)} DICOM files that come with pydicom are sent:", "send", peer, str(_test_files())
            )
        _compare(files, received)
        if code not in (0, 1):
            raise DulcetError("sending failed")
    finally:
        if keep:
            click.echo(f"What was received is in {received}")
        else:
            _remove(folder)
    click.echo(_NEXT)
    return 0


_NEXT = """
What to try next:
  dulcet serve --port 11112 --directory received      receive from anything that speaks DICOM
  dulcet send AET@HOST:PORT FILES...                  send files, folders, DICOMDIRs, zip files
  dulcet echo -vv AET@HOST:PORT                       watch the PDUs and the state machine
  dulcet table                                        Table 9-10 of PS3.8
  dulcet decode CAPTURE.pcap                          read a conversation"""


def _test_files() -> Path:
    import pydicom

    return Path(pydicom.__file__).parent / "data" / "test_files"


def _sources() -> list[FileToSend]:
    return [found for found in find_files([_test_files()]) if isinstance(found, FileToSend)]


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    command = [*_DULCET, "serve", "--port", "0", "--aet", "DEMO", "--directory", str(directory), "--quiet"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_environment()
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        port = ready.partition("127.0.0.1:")[2].partition(",")[0]
        if not port.isdigit():
            raise DulcetError("the storage SCP did not start")
        yield f"DEMO@127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(READY_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _run(title: str, *arguments: str) -> int:
    shown = " ".join(argument if len(argument) < 60 else f".../{Path(argument).name}" for argument in arguments)
    click.echo(f"\n{title}\n   $ dulcet {shown}")
    started = time.monotonic()
    code = subprocess.run([*_DULCET, *arguments], check=False, env=_environment()).returncode
    click.echo(f"   exit code {code}, {time.monotonic() - started:.2f} s with the start of Python")
    return code


def _environment() -> dict[str, str]:
    """No setting of the user's: the demo shows the defaults."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("DULCET_")}
    return {**others, "DULCET_CONFIG": os.devnull}


def _compare(sources: list[FileToSend], received: Path) -> None:
    """Each stored data set with that of its source, by SOP instance and transfer syntax."""
    stored: dict[str, list[bytes]] = {}
    for path in sorted(received.rglob("*.dcm")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            header = read_header(descriptor)
        finally:
            os.close(descriptor)
        stored.setdefault(header.sop_instance_uid, []).append(path.read_bytes()[header.data_set_offset :])
    same, missing = 0, []
    for source in sources:
        with source.open() as opened:
            octets = os.pread(opened.descriptor, opened.size, opened.offset)
        if octets in stored.get(source.header.sop_instance_uid, ()):
            same += 1
        else:
            missing.append(source.name)
    click.echo(f"\n4. {same} of {len(sources)} data sets arrived byte for byte as they were sent.")
    for name in missing:
        click.echo(f"   not (refused, see above): {Path(name).name}")


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
