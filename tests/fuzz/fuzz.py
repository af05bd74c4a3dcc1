"""Fuzzes the decoders under atheris: `python tests/fuzz/fuzz.py --seconds 60 [TARGET ...]` (`make fuzz SECONDS=60`).

Each target runs in a process of its own, from the committed corpus; what reaches new branches is kept in
`build/fuzz/TARGET`. An input that breaks a rule is written to `build/fuzz/TARGET-crash-...`, and the exit code is 1.
`--merge` copies what of it adds coverage into the committed corpus.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
FOUND = HERE.parents[1] / "build" / "fuzz"
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


def _run(target: str, arguments: list[str]) -> int:
    command = [sys.executable, __file__, ONE, target, f"-max_len={MAX_OCTETS}", *arguments]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """Fuzz the targets one after the other; 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--merge", action="store_true", help="copy what adds coverage into the committed corpus")
    options = parser.parse_args()
    failed = []
    for target in options.targets or TARGETS:
        seeds, found = CORPUS / target, FOUND / target
        found.mkdir(parents=True, exist_ok=True)
        if options.merge:
            arguments = ["-merge=1", str(seeds), str(found)]
        else:
            limits = [f"-max_total_time={options.seconds}", f"-artifact_prefix={FOUND}/{target}-"]
            arguments = [*limits, "-timeout=10", "-print_final_stats=1", str(found), str(seeds)]
        print(f"== {target}", flush=True)
        if _run(target, arguments):
            failed.append(target)
    print("failed: " + ", ".join(failed) if failed else "no target failed")
    return int(bool(failed))


if __name__ == "__main__":
    if sys.argv[1:2] == [ONE]:
        fuzz_one(sys.argv[2], sys.argv[3:])
    sys.exit(main())
