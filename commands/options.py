"""Options that commands share, spelt once."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from dulcet.errors import ConfigurationError, NoInputError
from dulcet.station.book.nodes import check_ae_title
from dulcet.ul.items import Item, UserIdentityRQ

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_AE_TITLE = "DULCET"
DEFAULT_CALLED_AE_TITLE = "ANY-SCP"
FILE = click.Path(path_type=Path)


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


def tls_client(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    """The TLS context that `tls_client_options` describe; None without TLS."""
    if not options["tls"]:
        if any(map(is_given, ("tls_ca", "tls_cert", "tls_key"))):
            raise click.UsageError("--tls-ca, --tls-cert and --tls-key need --tls")
        return None
    from dulcet.services.tls import client_context

    return client_context(ca=options["tls_ca"], cert=options["tls_cert"], key=options["tls_key"])


def user_identity(options: Mapping[str, Any]) -> tuple[Item, ...]:
    """The User Identity Sub-Item that `identity_options` describe; none without them."""
    user, password_file = options["user"], options["password_file"]
    files = {3: options["kerberos_file"], 4: options["saml_file"], 5: options["jwt_file"]}
    given = [kind for kind, file in files.items() if file is not None]
    if len(given) + (user is not None) > 1:
        raise click.UsageError("only one user identity can be given")
    if password_file is not None and user is None:
        raise click.UsageError("--password-file needs --user")
    secondary = b""
    if user is not None:
        kind, primary = 1 if password_file is None else 2, user.encode()
        if password_file is not None:
            secondary = _octets(password_file).rstrip(b"\r\n")
    elif given:
        kind = given[0]
        primary = _octets(files[kind])
    else:
        return ()
    return (
        UserIdentityRQ(
            user_identity_type=kind,
            positive_response_requested=int(options["user_response"]),
            primary_field=primary,
            secondary_field=secondary,
        ),
    )


def _octets(path: Path | None) -> bytes:
    assert path is not None
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from error
    if len(octets) > 0xFFFF:
        raise ConfigurationError(f"{path}: a user identity field has at most 65535 octets, this has {len(octets)}")
    return octets


def is_given(option: str) -> bool:
    """Whether the command line itself says the parameter `option`; what a file or a variable says may be overruled."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and ctx.get_parameter_source(option) is ParameterSource.COMMANDLINE


def ae_title(text: str) -> str:
    """`text` as an AE title (PS3.5 6.2): 1 to 16 printable characters without a backslash."""
    try:
        return check_ae_title(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def split_peers(words: Sequence[str]) -> list[str]:
    """PEER words, `HOST PORT` joined to `HOST:PORT` as people's fingers know it."""
    peers: list[str] = []
    for word in words:
        if peers and word.isdigit() and ":" not in peers[-1]:
            peers[-1] += f":{word}"
        else:
            peers.append(word)
    return peers
