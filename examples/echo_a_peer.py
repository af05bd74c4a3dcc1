"""C-ECHO: `python examples/echo_a_peer.py AET HOST PORT`."""

import sys

import trio

from dulcet import AssociationError, Peer, associate, echo
from dulcet.services.echo import VERIFICATION_CONTEXT


async def main(ae_title: str, host: str, port: str) -> int:
    peer = Peer(host=host, port=int(port), ae_title=ae_title)
    try:
        with trio.fail_after(10):
            async with associate(peer, [VERIFICATION_CONTEXT]) as association:
                answer = await echo(association)
    except (AssociationError, trio.TooSlowError) as error:
        print(f"{peer} is not there: {error or 'no answer in time'}")
        return 1
    print(f"{peer} answered {answer.status:04X}H after {answer.seconds * 1000:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(trio.run(main, *sys.argv[1:]))
