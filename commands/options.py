"""Options that commands share, spelt once."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from dulcet.escape import quoted
from dulcet.station.book.nodes import DEFAULT_AE_TITLE as DEFAULT_AE_TITLE
from dulcet.station.book.nodes import ae_title as ae_title

if TYPE_CHECKING:
    import ssl

    from dulcet.ul.items import Item

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)


class _FileOfKind(click.Path):
    """A file whose name says what is written to it: another name is wrong use, before the work."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__(path_type=Path)
        self._suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        if not str(value).lower().endswith(self._suffixes):
            names = " or ".join(self._suffixes)
            self.fail(f"{quoted(str(value))} is no name for it: it has to end in {names}", param, ctx)
        return super().convert(value, param, ctx)


REPORT = _FileOfKind(".csv", ".json")
PNG = _FileOfKind(".png")


def stacked(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order in which --help shows them."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


conversation_options = stacked(
    click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output."),
    click.option("-v", "--verbose", count=True, help="Show the conversation; twice: the state machine too."),
    click.option("-q", "--quiet", is_flag=True, help="No progress, no prose."),
)
"""What is shown."""

peer_options = stacked(
    click.option("--aet", "-aet", metavar="AET", default=DEFAULT_AE_TITLE, show_default=True, help="Our AE title."),
    click.option("--aec", "-aec", metavar="AET", help="The peer's AE title, if PEER doesn't say it."),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0.1),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="For the association, and for each response.",
    ),
)
"""How a peer is called."""

tls_client_options = stacked(
    click.option("--tls", is_flag=True, help="Speak TLS; the peer's certificate is verified."),
    click.option("--tls-ca", type=FILE, metavar="FILE", help="Authorities to trust instead of the system's."),
    click.option("--tls-cert", type=FILE, metavar="FILE", help="Our certificate, if the peer asks for one."),
    click.option("--tls-key", type=FILE, metavar="FILE", help="The key of --tls-cert, if not in the same file."),
    click.option("--tls-name", metavar="NAME", help="The name on the peer's certificate, if not its host name."),
)
"""--tls and the files for it."""

identity_options = stacked(
    click.option("--user", metavar="NAME", help="User identity: a name."),
    click.option("--password-file", type=FILE, metavar="FILE", help="User identity: the passcode of --user."),
    click.option("--kerberos-file", type=FILE, metavar="FILE", help="User identity: a Kerberos service ticket."),
    click.option("--saml-file", type=FILE, metavar="FILE", help="User identity: a SAML assertion."),
    click.option("--jwt-file", type=FILE, metavar="FILE", help="User identity: a JSON Web Token."),
    click.option("--user-response", is_flag=True, help="Ask the peer to confirm the identity."),
)
"""User identity negotiation, PS3.7 D.3.3.7."""


def tls_client(options: Mapping[str, Any]) -> "ssl.SSLContext | None":
    """The TLS context that `tls_client_options` describe; None without TLS."""
    if not options["tls"]:
        if any(map(is_given, ("tls_ca", "tls_cert", "tls_key"))):
            raise click.UsageError("--tls-ca, --tls-cert and --tls-key need --tls")
        return None
    from dulcet.services.tls import client_context

    return client_context(ca=options["tls_ca"], cert=options["tls_cert"], key=options["tls_key"])


def user_identity(options: Mapping[str, Any]) -> "tuple[Item, ...]":
    """The User Identity Sub-Item that `identity_options` describe; none without them."""
    from dulcet.station.book.identity import user_identity_items  # loads the layouts of PS3.8

    try:
        return user_identity_items(options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def is_given(option: str) -> bool:
    """Whether the command line itself says the parameter `option`; what a file or a variable says may be overruled."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and ctx.get_parameter_source(option) is ParameterSource.COMMANDLINE


def split_peers(words: Sequence[str]) -> list[str]:
    """PEER words, `HOST PORT` joined to `HOST:PORT` as people's fingers know it."""
    peers: list[str] = []
    for word in words:
        if peers and word.isdigit() and ":" not in peers[-1]:
            peers[-1] += f":{word}"
        else:
            peers.append(word)
    return peers
