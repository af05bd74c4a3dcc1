"""Processes that are held up: the clock goes on, our own steps do not. What the peer did in time is not its fault."""

import trio

from dulcet.dimse.status import SUCCESS
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.requestor import associate

HELD_UP = 5.0  # seconds, before every step of every task; below all limits on the peer, beyond our own patience


class HeldUp(trio.abc.Instrument):
    """The machine stops whenever the loop has looked at its descriptors and before it looks at the clock."""

    def __init__(self, clock):
        self.clock = clock
        self.stops = 0

    def after_io_wait(self, timeout):
        self.clock.jump(HELD_UP)
        self.stops += 1


async def test_an_association_takes_its_course(network, scp, mock_clock):
    served = scp(artim=100 * HELD_UP, idle=None)
    network.scp = lambda: served
    held_up = HeldUp(mock_clock)
    trio.lowlevel.add_instrument(held_up)
    try:
        async with associate(network.peer, [VERIFICATION_CONTEXT]) as association:
            answer = await echo(association)
        error = await served.end()
    finally:
        trio.lowlevel.remove_instrument(held_up)
    assert (answer.status, error) == (SUCCESS, None)
    assert served.rejected == []
    assert held_up.stops > 5
