"""Planted faults: every run of the kit against one, and what it finds."""

from collections.abc import Awaitable, Callable, Iterable

import pytest
import trio

from dulcet.conformance.kit.case import Level
from dulcet.conformance.kit.result import Run
from dulcet.conformance.kit.verdict import Verdict


class Planted:
    """What the tests of both parts share."""

    def runs(self, faults: Iterable[str], at_once: int, one: Callable[[str], Awaitable[Run]]) -> dict[str, Run]:
        """A run with each fault, a few at a time: most of a run is waiting."""
        found: dict[str, Run] = {}
        limiter = trio.Semaphore(at_once)

        async def limited(fault: str) -> None:
            async with limiter:
                found[fault] = await one(fault)

        async def all_of_them() -> None:
            async with trio.open_nursery() as nursery:
                for fault in faults:
                    nursery.start_soon(limited, fault)

        trio.run(all_of_them)
        return found

    def complaints(self, run: Run) -> set[str]:
        """The cases that are not right."""
        return {
            result.case.id
            for result in run.results
            if result.verdict is Verdict.FAIL
            or (result.verdict is Verdict.WARN and result.case.level in (Level.REQUIRED, Level.RECOMMENDED))
        }

    def is_found(self, run: Run, meant: str, broken: tuple[str, ...]) -> None:
        """By the case that is meant for it, and nothing complains but what it breaks too."""
        found = self.complaints(run)
        assert meant in found
        assert {case_id for case_id in found - {meant} if not _under(case_id, broken)} == set()


def _under(case_id: str, prefixes: tuple[str, ...]) -> bool:
    return any(case_id == prefix or case_id.startswith(f"{prefix}.") for prefix in prefixes)


@pytest.fixture(scope="session")
def planted() -> Planted:
    """For the tests of one part."""
    return Planted()
