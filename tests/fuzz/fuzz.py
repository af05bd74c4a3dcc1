"""Fuzzes the decoders under atheris: `python tests/fuzz/fuzz.py --seconds 60 [TARGET ...]` (`make fuzz SECONDS=60`).

Each target runs in a process of its own, from the committed corpus; what reaches new branches is kept in
`build/fuzz/TARGET`. An input that breaks a rule is written to `build/fuzz/TARGET-crash-...`, and the exit code is 1.
`--keep` copies what was found so far into the committed corpus, as far as it runs lines that nothing there runs.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1]
LAYERS = tuple(f"{SOURCES}/{layer}/" for layer in ("ul", "dimse", "services"))
CORPUS = HERE / "corpus"
FOUND = SOURCES / "build" / "fuzz"
TraceFunction = Callable[[FrameType, str, object], object]
FAILURE_LINES = 60  # of what a target that failed has printed
MAX_OCTETS = 4096  # of an input: a PDU with every item has 600
ONE = "--one"  # fuzz in this process
TARGETS = ("pdu", "items", "connection", "command_set", "data_set")


def _targets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_targets", HERE / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fuzz_one(target: str, arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["dulcet"]):
        targets = _targets()
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[target])
    atheris.Fuzz()


def fuzz(target: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own and print what came of it; whether nothing was wrong."""
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", f"-artifact_prefix={FOUND}/{target}-", "-timeout=10"]
    options = [f"-max_len={MAX_OCTETS}", *limits, "-print_final_stats=1", str(found), str(CORPUS / target)]
    command = [sys.executable, __file__, ONE, target, *options]
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = ended.stdout.splitlines()
    shown = [line for line in end if line.startswith("stat::number")] if not ended.returncode else end[-FAILURE_LINES:]
    print(f"== {target}", *shown, sep="\n", flush=True)
    return not ended.returncode


def keep(target: str) -> int:
    """Copy the inputs found that go from one line to another as no input before them; the shortest first."""
    run = _targets().TARGETS[target]
    seen: set[tuple[object, int, int]] = set()

    def steps(octets: bytes) -> set[tuple[object, int, int]]:
        found: set[tuple[object, int, int]] = set()
        last = [0]

        def trace(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
            if not frame.f_code.co_filename.startswith(LAYERS):
                return None
            found.add((frame.f_code, last[0], frame.f_lineno))
            last[0] = frame.f_lineno
            return trace

        sys.settrace(trace)
        try:
            run(octets)
        finally:
            sys.settrace(None)
        return found

    for path in (CORPUS / target).iterdir():
        seen |= steps(path.read_bytes())
    kept = 0
    for path in sorted((FOUND / target).iterdir(), key=lambda path: path.stat().st_size):
        new = steps(path.read_bytes()) - seen
        if new:
            seen |= new
            shutil.copy(path, CORPUS / target)
            kept += 1
    return kept


def main() -> int:
    """Fuzz the targets, as many at once as there are processors; 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="copy what was found into the committed corpus")
    options = parser.parse_args()
    targets = options.targets or TARGETS
    if options.keep:
        for target in targets:
            print(f"{target}: {keep(target)} inputs kept")
        return 0
    with ThreadPoolExecutor(os.cpu_count()) as processes:
        passed = list(processes.map(partial(fuzz, seconds=options.seconds), targets))
    failed = [target for target, is_good in zip(targets, passed, strict=True) if not is_good]
    print("failed: " + ", ".join(failed) if failed else "no target failed")
    return int(bool(failed))


if __name__ == "__main__":
    if sys.argv[1:2] == [ONE]:
        fuzz_one(sys.argv[2], sys.argv[3:])
    sys.exit(main())
