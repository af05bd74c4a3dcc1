"""How an order's peer is called: what was said of it when it was ordered, and what the node book says when it runs.

An order keeps the options of the command line that were said, files by their absolute paths; never what is in them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dulcet.errors import ConfigurationError
from dulcet.services.requestor import Peer
from dulcet.station.book.calling import Calling, peer_at, peer_of_node
from dulcet.station.book.configuration import node_book_path
from dulcet.station.book.identity import IDENTITY_OPTIONS, user_identity_items
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.nodes import DEFAULT_AE_TITLE, Node, is_address
from dulcet.station.queue.jobs import Order
from dulcet.ul.items import Item

DEFAULT_TIMEOUT = 30.0  # seconds, as a command's
_CALL_OPTIONS = ("aet", "aec", "timeout", "tls", "tls_ca", "tls_cert", "tls_key", "tls_name", *IDENTITY_OPTIONS)


def call_options(options: Mapping[str, Any], is_given: Callable[[str], bool]) -> dict[str, Any]:
    """Of a command's `options` those that an order keeps; `is_given` tells what the command line itself said."""
    kept = {name: options[name] for name in _CALL_OPTIONS if options.get(name)}
    kept = {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in kept.items()}
    return {**kept, "given": [name for name in kept if is_given(name)]}


def peer_of(order: Order) -> Peer:
    """Whom the order means, as things stand now. ConfigurationError; UnknownHostError comes later."""
    options = order.options
    how = Calling(
        called=options.get("aec"),
        calling=options.get("aet", DEFAULT_AE_TITLE),
        tls=_tls(options),
        server_name=options.get("tls_name"),
        given=options.get("given", ()),
    )
    node = node_of(order)
    return peer_at(order.peer, how) if node is None else peer_of_node(node, how)


def node_of(order: Order) -> Node | None:
    """The node that the order names; None when it names an address. ConfigurationError when there is no such node."""
    return None if is_address(order.peer) else NodeBook.read(node_book_path()).find(order.peer)


def preferred(order: Order, name: str, default: Any, field: str = "") -> Any:
    """The option `name`: as it was said, else as the node's `field` of that name wishes, else as a file said it."""
    options = order.options
    if name not in options.get("given", ()):
        wish = getattr(node_of(order), field or name, None)
        if wish is not None:
            return wish
    return options.get(name, default)


def identity_of(order: Order) -> tuple[Item, ...]:
    """The user identity that the order asks for, its files read now. NoInputError, ConfigurationError."""
    try:
        return user_identity_items(order.options)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def timeout_of(order: Order) -> float:
    """Seconds for the association and for each response."""
    return float(order.options.get("timeout", DEFAULT_TIMEOUT))


def _tls(options: Mapping[str, Any]) -> Any:
    if not options.get("tls"):
        return None
    from dulcet.services.tls import client_context

    files = {name: Path(options[f"tls_{name}"]) for name in ("ca", "cert", "key") if options.get(f"tls_{name}")}
    return client_context(ca=files.get("ca"), cert=files.get("cert"), key=files.get("key"))
