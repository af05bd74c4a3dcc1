"""`dulcet demo`: an archive and a workstation on this machine, real images between them, every octet compared."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.orthanc import orthanc
from dulcet.conformance.peers.process import find_executable
from dulcet.errors import DulcetError
from dulcet.escape import quote
from dulcet.station.sending.files import FileToSend, find_files

READY_PATIENCE = 20.0  # seconds
IMAGES = "dicomdirtests"  # studies of three patients that pydicom brings for its own tests
PATIENT_ID = "98890234"  # has four of them
_DULCET = [sys.executable, "-m", "dulcet"]
_ARCHIVE, _WORKSTATION = "ARCHIVE", "WORKSTATION"


@click.command()
@click.option("--keep", is_flag=True, help="Keep the folder with all that was stored.")
def demo(keep: bool) -> int:
    """Serve an archive; echo, send, find and retrieve; compare every octet. Needs neither root nor a PACS.

    Where Orthanc is installed the same is done with it. The exit code is 0 if everything arrived as it was sent.
    """
    folder = Path(tempfile.mkdtemp(prefix="dulcet-demo-"))
    story = _Story(folder)
    try:
        arrived = story.with_archive(_ARCHIVE, story.our_archive, "An archive and a workstation, dulcet at both ends")
        if find_executable("Orthanc"):
            arrived = story.with_archive("ORTHANC", story.orthanc, "The same with Orthanc as the archive") and arrived
    finally:
        if keep:
            click.echo(f"\nEverything that was stored is in {folder}")
        else:
            _remove(folder)
    click.echo(_NEXT)
    return 0 if arrived else 1


_NEXT = """
What to try next:
  dulcet node add PACS AET@HOST:PORT                   give your archive a name
  dulcet echo PACS                                     is it there?
  dulcet send PACS FILES...                            files, folders, DICOMDIRs, zip files
  dulcet send --queue PACS FILES...                    in the background; `dulcet queue list` shows how it gets on
  dulcet find PACS studies --date last7d               what does it have?
  dulcet retrieve PACS --study UID                     bring it here
  dulcet serve --port 11112 --directory received       receive from anything that speaks DICOM
  dulcet tui                                           all of it on a terminal (pip install 'dulcet[tui]')
  dulcet echo -vv PACS                                 watch the PDUs and the state machine
  dulcet decode CAPTURE.pcap                           read a conversation
  dulcet conform scp PACS                              put a product through the standard, clause by clause"""


class _Story:
    """One folder with a node book; the commands run as a user would type them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {_ARCHIVE: free_port(), _WORKSTATION: free_port()}
        self._nodes = folder / "nodes.toml"
        self._images = _images()

    def with_archive(self, name: str, start: Callable[[], AbstractContextManager[None]], title: str) -> bool:
        """Tell the story with one archive; whether everything came back as it was sent."""
        click.secho(f"\n{title}", bold=True)
        retrieved = self._folder / f"retrieved-from-{name.lower()}"
        with start():
            self._run("Is it there?", "echo", name)
            self._run(f"{len(_sources(self._images))} images are sent.", "send", name, str(self._images))
            self._run("What does it have?", "find", name, "studies")
            receiving = ("--aet", _WORKSTATION, "--port", str(self._ports[_WORKSTATION]))
            self._run(
                "One patient's studies are retrieved: the archive sends them to the workstation.",
                "retrieve", name, "studies", "--patient-id", PATIENT_ID, *receiving,
                "--directory", str(retrieved), "--via", "move",
            )  # fmt: skip
            return self._compare(retrieved)

    @contextmanager
    def our_archive(self) -> Iterator[None]:
        """`dulcet serve --query`."""
        self._write_nodes()
        stored = self._folder / "archive"
        arguments = ["serve", "--query", "--aet", _ARCHIVE, "--port", str(self._ports[_ARCHIVE])]
        arguments += ["--directory", str(stored), "--quiet"]
        self._show("An archive is started; it sends to the nodes of its node book.", arguments)
        process = subprocess.Popen(
            [*_DULCET, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._environment(),
        )
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            if "is ready" not in ready:
                raise DulcetError("the archive did not start")
            click.echo(f"   {ready.strip()}")
            yield
        finally:
            _end(process)

    @contextmanager
    def orthanc(self) -> Iterator[None]:
        """Orthanc, which knows the workstation."""
        workstation = PeerAddress(ae_title=_WORKSTATION, host=LOOPBACK, port=self._ports[_WORKSTATION])
        with orthanc(modalities=[workstation], parent=self._folder) as peer:
            self._ports["ORTHANC"] = peer.address.port
            self._write_nodes()
            click.echo(f"\n-- Orthanc is started: {peer.address}")
            yield

    def _write_nodes(self) -> None:
        entries = [
            f'[{name}]\nae_title = "{name}"\nhost = "{LOOPBACK}"\nport = {port}\n' for name, port in self._ports.items()
        ]
        self._nodes.write_text("\n".join(entries))

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's own: no settings, no nodes, no queue."""
        own = {"DULCET_NODES": str(self._nodes), "DULCET_STATE": str(self._folder / "state")}
        return {**os.environ, "DULCET_CONFIG": os.devnull, **own}

    def _show(self, title: str, arguments: list[str]) -> None:
        shown = shlex.join(arguments).replace(str(self._folder), "DEMO").replace(str(self._images), IMAGES)
        click.echo(f"\n-- {title}")
        click.secho(f"   $ dulcet {shown}", fg="cyan")

    def _run(self, title: str, *arguments: str) -> None:
        self._show(title, list(arguments))
        started = time.monotonic()
        code = subprocess.run([*_DULCET, *arguments], check=False, env=self._environment()).returncode
        if code:
            raise DulcetError(f"`dulcet {arguments[0]}` ended with {code}")
        click.echo(f"   ({time.monotonic() - started:.2f} s with the start of Python)")

    def _compare(self, retrieved: Path) -> bool:
        """Each retrieved data set with that of its source, by SOP instance."""
        sources = {file.header.sop_instance_uid: file for file in _sources(self._images)}
        found = [file for file in find_files([retrieved]) if isinstance(file, FileToSend)]
        pairs = [(file, sources[file.header.sop_instance_uid]) for file in found]
        other = [pair for pair in pairs if _data_set(pair[0]) != _data_set(pair[1])]
        click.echo(f"\n-- {len(found) - len(other)} of {len(found)} data sets are octet for octet what was sent.")
        changed = [pair for pair in other if _elements(pair[0]) != _elements(pair[1])]
        if other and not changed:
            click.echo("   The others have the same elements with the same values: the archive encodes anew.")
        for file, _ in changed:
            click.echo(f"   changed: {quote(file.header.sop_instance_uid)}")
        return bool(found) and not changed


def _images() -> Path:
    import pydicom

    return Path(pydicom.__file__).parent / "data" / "test_files" / IMAGES


def _sources(images: Path) -> list[FileToSend]:
    return [found for found in find_files([images]) if isinstance(found, FileToSend)]


def _data_set(file: FileToSend) -> bytes:
    with file.open() as opened:
        return os.pread(opened.descriptor, opened.size, opened.offset)


def _elements(file: FileToSend) -> list[tuple[int, object]]:
    """Every element that means something: group lengths are left out."""
    import pydicom

    elements = pydicom.dcmread(file.name).iterall()
    return [(element.tag, element.value) for element in elements if element.tag.element and element.VR != "SQ"]


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(READY_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
