"""Run seeds of the simulation, or one of them with all that happens: `python tests/simulation/simulate.py 0:1000`.

A seed that fails is told with the command that replays it; the exit code is 1 then.
"""

import sys
import time
import traceback

from simulated.determinism import run
from simulated.senders import live


def simulate(seeds: range) -> int:
    """How many of the seeds failed."""
    failed, started = 0, time.perf_counter()
    for seed in seeds:
        try:
            run(seed, lambda rng: live(rng, lambda what: None))
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {innermost(error)}\n    {sys.executable} {__file__} {seed}")
    seconds = time.perf_counter() - started
    print(f"{len(seeds)} seeds in {seconds:.1f} s, {len(seeds) / seconds:.0f} a second, {failed} failed")
    return failed


def replay(seed: int) -> int:
    """One seed, step by step; 1 when it fails."""
    try:
        run(seed, lambda rng: live(rng, print))
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def innermost(error: BaseException) -> BaseException:
    """What happened, out of the groups that it was raised in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    first, colon, end = (sys.argv[1:] or ["0:1000"])[0].partition(":")
    sys.exit(simulate(range(int(first), int(end))) > 0 if colon else replay(int(first)))
