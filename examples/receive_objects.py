"""A storage SCP in a folder: `python examples/receive_objects.py PORT FOLDER`."""

import sys
from pathlib import Path

import trio

from dulcet import ECHO, Acceptor, Admission, Listener, Storage, StorageOptions, storage_operation
from dulcet.dimse.messages import CEchoRQ, CStoreRQ
from dulcet.dimse.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from dulcet.services.listener import bind
from dulcet.ul.negotiation import Supported


async def main(port: str, folder: str) -> None:
    storage = Storage(StorageOptions(directory=Path(folder)))
    classes = [VERIFICATION, *STORAGE_SOP_CLASSES]
    acceptor = Acceptor(
        admission=Admission(ae_title="EXAMPLE"),
        supported=Supported(transfer_syntaxes=dict.fromkeys(classes, TRANSFER_SYNTAXES), max_pdu_length=131072),
        operations={
            CEchoRQ: ECHO,
            CStoreRQ: storage_operation(storage, observe=lambda _, request, outcome: print(request, outcome)),
        },
    )
    listener = Listener(bind("127.0.0.1", int(port), backlog=16), acceptor)
    print(f"EXAMPLE is ready on {listener.addresses}", flush=True)
    await listener.serve()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
