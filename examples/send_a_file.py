"""C-STORE of one file as it lies on disk: `python examples/send_a_file.py AET HOST PORT FILE`."""

import os
import sys

import trio

from dulcet import Peer, associate, read_header, store
from dulcet.services.data_sets import SEND_BUFFER_OCTETS, FileSource
from dulcet.ul.items import PresentationContextRQ


async def main(ae_title: str, host: str, port: str, path: str) -> None:
    peer = Peer(host=host, port=int(port), ae_title=ae_title)
    descriptor = os.open(path, os.O_RDONLY)
    header = read_header(descriptor)
    context = PresentationContextRQ.propose(1, header.sop_class_uid, [header.transfer_syntax_uid])
    size = header.file_size - header.data_set_offset
    buffer = memoryview(bytearray(SEND_BUFFER_OCTETS))
    async with associate(peer, [context]) as association:
        stored = await store(
            association,
            1,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            data_set=FileSource(descriptor, header.data_set_offset, size, buffer),
        )
    print(f"{header.sop_instance_uid}: status {stored.status:04X}H")


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
