"""C-FIND: `python examples/find_studies.py AET HOST PORT 'DOE*'`. Leaving the loop early would cancel the query."""

import sys

import trio

from dulcet import Peer, associate, find
from dulcet.dimse.uids import STUDY_ROOT_FIND
from dulcet.escape import quote
from dulcet.services.find import find_contexts

LEVEL, NAME, DATE, STUDY = 0x00080052, 0x00100010, 0x00080020, 0x0020000D


async def main(ae_title: str, host: str, port: str, patient: str) -> None:
    peer = Peer(host=host, port=int(port), ae_title=ae_title)
    keys = {LEVEL: "STUDY", NAME: patient, DATE: "", STUDY: ""}
    async with (
        associate(peer, find_contexts([STUDY_ROOT_FIND])) as association,
        find(association, STUDY_ROOT_FIND, keys) as matches,
    ):
        async for match in matches:
            print(quote(match.text(NAME)), quote(match.text(DATE)))


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
