"""Hostile peers at a real `dulcet serve`, over real sockets, many at once.

The tables of cases import `hostile_kit` and `hostile_acceptors`, which lie here and are no package's: they are loaded
before them, with what they import, below.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
import trio

AT_ONCE = 24  # hostile peers that have something to say; each has a good one beside it
MANY = ("--max-associations", "1000", "--max-per-address", "1000")
REST = "the server came back to rest"


def _load(name):
    """A plain module that lies here: tests are no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


_load("pulse")
kit_module = _load("hostile_kit")
_load("hostile_acceptors")


@pytest.fixture(scope="session")
def kit():
    """Servers, peers and words for what they say."""
    return kit_module


@pytest.fixture(scope="module")
def server(request, kit):
    """A server for all the cases of a module, with the module's OPTIONS."""
    options = getattr(request.module, "OPTIONS", ())
    with kit.serving(*MANY, *options, limits={"max_unassociated": 1000}) as server:
        server.settle()
        trio.run(server.echo)
        yield server


@pytest.fixture(scope="module")
def played(request, kit, server):
    """Plays those of the module's CASES that are selected, all in one run; then gives the outcome of each by name."""
    module = request.module
    names = [item.callspec.params["name"] for item in request.session.items if _is_case(item, module)]
    outcomes = {}

    async def play_all():
        places = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(play_one, name, places)

    async def play_one(name, places):
        says, *expected = module.CASES[name]
        try:
            await kit.play(server, says, expected, associated=module.ASSOCIATED, places=places)
        except (Exception, BaseExceptionGroup) as error:
            outcomes[name] = error

    try:
        with server.comes_back_to_rest():
            trio.run(play_all)
    except AssertionError as error:
        outcomes[REST] = error

    def outcome(name):
        if name in outcomes:
            raise outcomes[name]

    return outcome


def _is_case(item, module):
    return item.module is module and "name" in getattr(getattr(item, "callspec", None), "params", {})
