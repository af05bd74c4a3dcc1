"""pynetdicom at its best as SCU: one association, TCP_NODELAY, the data set read in chunks and sent as it lies on disk.

Run by the Python that has pynetdicom: `python pynetdicom_sender.py AET PORT DIR`.
"""

import socket
import sys
from pathlib import Path

import pydicom
import pynetdicom  # type: ignore[import-not-found]  # another environment has it
from pynetdicom import AE, _config, evt

MAXIMUM_LENGTH = 131_072


def switch_nagle_off(event: evt.Event) -> None:
    """pynetdicom has no setting for it."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main() -> None:
    """Send every file of a directory over one association; exit code 1 unless each is answered with success."""
    called, port, directory = sys.argv[1:]
    _config.STORE_SEND_CHUNKED_DATASET = True
    files = sorted(Path(directory).iterdir())
    entity = AE(ae_title="PYNETDICOM")
    entity.maximum_pdu_size = MAXIMUM_LENGTH
    metas = (pydicom.filereader.read_file_meta_info(path) for path in files)
    for sop_class, syntax in {(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in metas}:
        entity.add_requested_context(sop_class, syntax)
    handlers = [(evt.EVT_CONN_OPEN, switch_nagle_off)]
    association = entity.associate(
        "127.0.0.1", int(port), ae_title=called, max_pdu=MAXIMUM_LENGTH, evt_handlers=handlers
    )
    if not association.is_established:
        sys.exit(f"pynetdicom {pynetdicom.__version__}: no association")
    failed = 0
    for path in files:
        status = association.send_c_store(path)
        failed += not (status and status.Status == 0)
    association.release()
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
