"""Who asks: C-FIND with 5,000 matches as SCU, everybody at the same SCP in one run, in turns.

`python -m benchmarks.finders [ROUNDS]`. Whole processes, the start of Python included; the library's rate beside it.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import trio

from benchmarks import queries
from benchmarks.senders import NO_NAGLE, dulcet_program
from dulcet import Peer, associate, find
from dulcet.conformance.peers import ours
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress
from dulcet.conformance.peers.process import find_executable
from dulcet.conformance.peers.pynetdicom import find_pynetdicom_python
from dulcet.dimse.uids import STUDY_ROOT_FIND
from dulcet.services.find import find_contexts

MATCHES = 5_000
SECONDS = 120
ENVIRONMENT = {**os.environ, "DULCET_CONFIG": os.devnull, "DULCET_NODES": os.devnull, **NO_NAGLE}
LEVEL, STUDY, SERIES, INSTANCE, SOP_CLASS = 0x00080052, 0x0020000D, 0x0020000E, 0x00080018, 0x00080016


async def count(port: int) -> float:
    """Seconds of one C-FIND with our library, the matches not decoded."""
    study, series = queries.ONE_SERIES
    keys = {LEVEL: "IMAGE", STUDY: study, SERIES: series, INSTANCE: "", SOP_CLASS: ""}
    peer = Peer(host=LOOPBACK, port=port, ae_title="DULCET")
    async with associate(peer, find_contexts([STUDY_ROOT_FIND])) as association:
        started, matches = time.perf_counter(), 0
        async for _ in find(association, STUDY_ROOT_FIND, keys):
            matches += 1
        assert matches == MATCHES
        return time.perf_counter() - started


def commands(address: PeerAddress) -> dict[str, list[str]]:
    """Who is installed here, and what each is called with."""
    study, series = queries.ONE_SERIES
    keys = ("QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}")
    options = [word for key in (*keys, "SOPInstanceUID", "SOPClassUID") for word in ("-k", key)]
    called = ["-q", "-S", "-aec", address.ae_title, address.host, str(address.port), *options]
    everyone = {
        "dulcet find --json": [
            dulcet_program(), "find", str(address), "images", "--study", study, "--series", series, "--json"
        ]
    }  # fmt: skip
    if find_executable("findscu"):
        everyone["DCMTK findscu"] = ["findscu", *called]
    if python := find_pynetdicom_python():
        everyone["pynetdicom findscu"] = [str(python), "-m", "pynetdicom", "findscu", *called]
    return everyone


def main() -> int:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="dulcet-finders-") as scratch:
        images = Path(scratch) / "images"
        queries.make(images, MATCHES, queries.in_one_series)
        with ours.dulcet_serve("--query", "--durability", "none", "--quiet", parent=Path(scratch)) as peer:
            queries.fill(peer, images)
            trio.run(count, peer.address.port)  # the index is warm for all
            for _ in range(rounds):
                seconds.setdefault("dulcet, as a library", []).append(trio.run(count, peer.address.port))
                for name, command in commands(peer.address).items():
                    started = time.perf_counter()
                    subprocess.run(command, capture_output=True, timeout=SECONDS, check=True, env=ENVIRONMENT)
                    seconds.setdefault(name, []).append(time.perf_counter() - started)
    for name, each in seconds.items():
        print(f"{name:24} {median(each):7.3f} s  {MATCHES / median(each):8,.0f} responses/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
