"""dulcet: the DICOM network in pure Python. These names are its front door; each is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dulcet.errors import AssociationError, DulcetError
    from dulcet.services.acceptor import ECHO, Acceptor
    from dulcet.services.admission import Admission
    from dulcet.services.association import Association
    from dulcet.services.echo import echo
    from dulcet.services.find import find
    from dulcet.services.listener import Listener
    from dulcet.services.part10 import read_header
    from dulcet.services.requestor import Peer, associate
    from dulcet.services.storage import Storage, StorageOptions
    from dulcet.services.storage_scp import storage_operation
    from dulcet.services.store import store
    from dulcet.ul.connection import Connection
    from dulcet.ul.pdu import decode_pdu

__version__ = "0.1.0"

_HOMES = {
    "DulcetError": "errors",
    "AssociationError": "errors",
    "Connection": "ul.connection",
    "decode_pdu": "ul.pdu",
    "Peer": "services.requestor",
    "associate": "services.requestor",
    "Association": "services.association",
    "echo": "services.echo",
    "store": "services.store",
    "find": "services.find",
    "read_header": "services.part10",
    "Acceptor": "services.acceptor",
    "ECHO": "services.acceptor",
    "Admission": "services.admission",
    "Listener": "services.listener",
    "Storage": "services.storage",
    "StorageOptions": "services.storage",
    "storage_operation": "services.storage_scp",
}

__all__ = [  # noqa: RUF022 - in the order of need
    "DulcetError",
    "AssociationError",
    "Connection",
    "decode_pdu",
    "Peer",
    "associate",
    "Association",
    "echo",
    "store",
    "find",
    "read_header",
    "Acceptor",
    "ECHO",
    "Admission",
    "Listener",
    "Storage",
    "StorageOptions",
    "storage_operation",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dulcet' has no attribute {name!r}")
    return getattr(import_module(f"dulcet.{home}"), name)
