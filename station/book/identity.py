"""User identity negotiation as a command's options, or an order, describe it: PS3.7 D.3.3.7."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dulcet.errors import ConfigurationError, NoInputError
from dulcet.ul.items import Item, UserIdentityRQ

MAX_FIELD_OCTETS = 0xFFFF  # PS3.7 Table D.3-14: its length has 16 bits
IDENTITY_OPTIONS = ("user", "password_file", "kerberos_file", "saml_file", "jwt_file", "user_response")


def user_identity_items(options: Mapping[str, Any]) -> tuple[Item, ...]:
    """The User Identity Sub-Item that IDENTITY_OPTIONS describe; none without them.

    ValueError when they don't fit together; NoInputError and ConfigurationError for a file that can't be used.
    """
    user, password_file = options.get("user"), options.get("password_file")
    files = {3: options.get("kerberos_file"), 4: options.get("saml_file"), 5: options.get("jwt_file")}
    given = {kind: Path(file) for kind, file in files.items() if file is not None}
    if len(given) + (user is not None) > 1:
        raise ValueError("only one user identity can be given")
    if password_file is not None and user is None:
        raise ValueError("--password-file needs --user")
    if options.get("user_response") and user is None and not given:
        raise ValueError("--user-response needs an identity to confirm: --user, or one of the files")
    secondary = b""
    if user is not None:
        kind, primary = 1 if password_file is None else 2, user.encode()
        if password_file is not None:
            secondary = _octets(Path(password_file)).rstrip(b"\r\n")
    elif given:
        ((kind, file),) = given.items()
        primary = _octets(file)
    else:
        return ()
    return (
        UserIdentityRQ(
            user_identity_type=kind,
            positive_response_requested=int(options.get("user_response") or False),
            primary_field=primary,
            secondary_field=secondary,
        ),
    )


def _octets(path: Path) -> bytes:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from error
    if len(octets) > MAX_FIELD_OCTETS:
        most = f"a user identity field has at most {MAX_FIELD_OCTETS} octets"
        raise ConfigurationError(f"{path}: {most}, this has {len(octets)}")
    return octets
