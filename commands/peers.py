"""From the words and options of a command line to `Peer`s: addresses, and nodes of the node book."""

import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import click

from dulcet.commands.options import is_given, split_peers, tls_client
from dulcet.errors import ConfigurationError, DulcetError
from dulcet.escape import quote
from dulcet.services.requestor import Peer
from dulcet.station.advice import advice
from dulcet.station.book.calling import TLS_OPTIONS, Calling, NamedPeer, peer_at, peer_of_node
from dulcet.station.book.configuration import node_book_path
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.nodes import Node, is_address

_PREFERENCES = {"via": "retrieve", "root": "query_root", "charset": "character_set"}
"""A command's parameter -> the field of a node, where they are not called the same."""


def peers(
    words: Sequence[str],
    *,
    called: str | None,
    calling: str,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> list[Peer]:
    """The peers that the words name; ConfigurationError for a word that names none.

    What a node says about itself holds, unless the command line says otherwise.
    """
    found: list[Peer] = []
    book: NodeBook | None = None
    how = _calling(called, calling, tls, server_name)
    for word in split_peers(words):
        if is_address(word):
            found.append(peer_at(word, how))
        else:
            book = _book() if book is None else book
            found.append(peer_of_node(_node(book, word), how))
    return found


def peers_of_book(
    tags: Sequence[str],
    *,
    called: str | None,
    calling: str,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> list[Peer]:
    """Every node of the book, or those with one of `tags`; ConfigurationError when there is none, or one at fault."""
    how = _calling(called, calling, tls, server_name)
    return [peer_of_node(node, how) for node in _book().select(tags)]


def how_to_call(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `peer_options` and `tls_client_options` say, as `peers` and `peers_of_book` want it."""
    return {
        "called": options["aec"],
        "calling": options["aet"],
        "tls": tls_client(options),
        "server_name": options["tls_name"],
    }


def preferences(word: str, **given: Any) -> dict[str, Any]:
    """`given`, options of the command by their parameters' names, with what the node `word` prefers in their place.

    An option that the command line says stays as it is; so does everything when `word` is an address.
    """
    if is_address(word):
        return given
    node = _book().find(word)
    preferred = dict(given)
    for parameter in given:
        wish = getattr(node, _PREFERENCES.get(parameter, parameter))
        if wish is not None and not is_given(parameter):
            preferred[parameter] = wish
    return preferred


def node_of(word: str) -> Node | None:
    """The node that `word` names; None for an address. ConfigurationError when it is neither."""
    return None if is_address(word) else _book().find(word)


def explain(error: DulcetError, peer: Peer) -> None:
    """The error and what to do about it, on standard error."""
    names = [str(peer)] if isinstance(peer, NamedPeer) else [str(peer).partition("@")[2], f"{peer.host}:{peer.port}"]
    is_named = any(name in str(error) for name in names)  # of several peers each line has to say whose it is
    click.echo(f"dulcet: {error}" if is_named else f"dulcet: {peer}: {error}", err=True)
    for line in advice(error, peer):
        click.echo(f"  {line}", err=True)


def _node(book: NodeBook, word: str) -> Node:
    """ConfigurationError for a name that the book does not have: for the address of a machine its port is missing."""
    if word not in book and _is_machine(word):
        shown = quote(word)
        how = f"write {shown}:PORT or AET@{shown}:PORT, with a port like 104 or 11112"
        raise ConfigurationError(f"{shown} is the address of a machine, and its port is missing: {how}")
    return book.find(word)


def _is_machine(word: str) -> bool:
    import ipaddress  # for a word that is wrong only

    try:
        return bool(ipaddress.ip_address(word))
    except ValueError:
        return word == "localhost"


def _book() -> NodeBook:
    return NodeBook.read(node_book_path())


def _calling(called: str | None, calling: str, tls: ssl.SSLContext | None, server_name: str | None) -> Calling:
    given = tuple(filter(is_given, (*TLS_OPTIONS, "aec", "aet", "tls_name")))
    return Calling(called=called, calling=calling, tls=tls, server_name=server_name, given=given)
