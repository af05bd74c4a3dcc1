"""What the product claims, what is waived, what an earlier run found: the files that a run is told to read.

```toml
[product]                      # all of it is optional
vendor = "Example Inc."
version = "4.2"
artim = 10                     # seconds
promiscuous = false            # answers to any called AE title
claims = ["storage", "find"]   # what it has beside what the kit finds out by asking
lacks = ["move"]               # what it accepts contexts for and does not claim all the same

[credentials]                  # user identity (PS3.7 D.3.3.7)
user = "lab"
password = "..."
wrong_user = "nobody"
wrong_password = "..."

[move]
destination = "DULCET"         # the AE title by which the product knows this machine ...
port = 11113                   # ... and the port

[scu]
does = ["echo", "store"]
exec = "storescu {host} {port} -aec {aet} image.dcm"
```
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.product import CLAIM_NAMES
from dulcet.errors import ConfigurationError, NoInputError
from dulcet.escape import quote

MAX_ARTIM, MAX_PORT = 3600, 65535
ACTIVITIES = ("echo", "store", "find", "find-cancel", "get", "move", "tls")

_TABLES: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "product": {
        "vendor": str,
        "version": str,
        "artim": (int, float),
        "promiscuous": bool,
        "claims": list,
        "lacks": list,
    },
    "credentials": {"user": str, "password": str, "wrong_user": str, "wrong_password": str},
    "move": {"destination": str, "port": int},
    "scu": {"does": list, "exec": str},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """A configuration file."""

    vendor: str = ""
    version: str = ""
    artim: float | None = None
    promiscuous: bool | None = None
    claims: Mapping[str, bool] = field(default_factory=dict)
    """Claim -> whether the product has it; what isn't named is found out."""
    user: tuple[bytes, ...] = ()
    bad_user: tuple[bytes, ...] = ()
    move_destination: str = ""
    move_port: int = 0
    does: tuple[str, ...] = ()
    """What the product does as SCU."""
    exec: str = ""
    digest: str = ""
    """SHA-256 of the file."""

    def shown(self) -> dict[str, object]:
        """For the report's head; no secret."""
        shown: dict[str, object] = {
            "vendor": self.vendor,
            "version": self.version,
            "artim": self.artim,
            "promiscuous": self.promiscuous,
            "does": list(self.does),
        }
        return {name: value for name, value in shown.items() if value not in ("", None, [])}


def read_declaration(path: Path) -> Declaration:
    """A configuration file. NoInputError, ConfigurationError with the key that is wrong."""
    octets = _read(path)
    tables = _toml(path, octets)
    for name, table in tables.items():
        _check_table(path, name, table)
    product, move, scu = (tables.get(name, {}) for name in ("product", "move", "scu"))
    _check_values(path, product, tables.get("credentials", {}), move)
    return Declaration(
        vendor=product.get("vendor", ""),
        version=product.get("version", ""),
        artim=product.get("artim"),
        promiscuous=product.get("promiscuous"),
        claims=_claims(path, product, tables.get("credentials", {}), move),
        user=_identity(tables.get("credentials", {}), ""),
        bad_user=_identity(tables.get("credentials", {}), "wrong_"),
        move_destination=move.get("destination", ""),
        move_port=move.get("port", 0),
        does=_words(path, "scu.does", scu.get("does", []), ACTIVITIES),
        exec=scu.get("exec", ""),
        digest=hashlib.sha256(octets).hexdigest(),
    )


def _check_table(path: Path, name: str, table: Any) -> None:
    known = _TABLES.get(name)
    if known is None or not isinstance(table, dict):
        raise ConfigurationError(f"{quote(str(path))}: there is no table [{quote(name)}]; known: {', '.join(_TABLES)}")
    for key, value in table.items():
        expected = known.get(key)
        if expected is None:
            raise ConfigurationError(f"{quote(str(path))}: {name}.{quote(key)} is not known; {', '.join(known)} are")
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            kind = expected.__name__ if isinstance(expected, type) else "number"
            raise ConfigurationError(f"{quote(str(path))}: {name}.{key} should be a {kind}")


def _check_values(path: Path, product: dict[str, Any], credentials: dict[str, Any], move: dict[str, Any]) -> None:
    """What a table must have if it is there, and numbers that can be."""
    if not 0 < product.get("artim", 1) <= MAX_ARTIM:
        raise ConfigurationError(f"{quote(str(path))}: product.artim is more than 0 and up to {MAX_ARTIM} seconds")
    for prefix in ("", "wrong_"):
        if f"{prefix}password" in credentials and f"{prefix}user" not in credentials:
            raise ConfigurationError(f"{quote(str(path))}: credentials.{prefix}password needs {prefix}user")
    missing = [key for key in _TABLES["move"] if move and key not in move]
    if missing:
        raise ConfigurationError(f"{quote(str(path))}: [move] needs {' and '.join(missing)} too")
    if not 1 <= move.get("port", 1) <= MAX_PORT:
        raise ConfigurationError(f"{quote(str(path))}: move.port is from 1 to {MAX_PORT}")


def _words(path: Path, key: str, given: list[Any], known: tuple[str, ...]) -> tuple[str, ...]:
    for word in given:
        if word not in known:
            raise ConfigurationError(f"{quote(str(path))}: {key}: {quote(str(word))} is none of {', '.join(known)}")
    return tuple(given)


def _claims(path: Path, product: dict[str, Any], credentials: object, move: object) -> dict[str, bool]:
    claims = dict.fromkeys(_words(path, "product.claims", product.get("claims", []), CLAIM_NAMES), True)
    claims |= dict.fromkeys(_words(path, "product.lacks", product.get("lacks", []), CLAIM_NAMES), False)
    if credentials:
        claims.setdefault("user-identity", True)
    if move:
        claims.setdefault("move-destination", True)
    return claims


def _identity(credentials: dict[str, Any], prefix: str) -> tuple[bytes, ...]:
    user, password = credentials.get(f"{prefix}user"), credentials.get(f"{prefix}password")
    if user is None:
        return ()
    kind, secondary = (1, b"") if password is None else (2, password.encode())
    return (stimuli.user_identity(kind, user.encode(), secondary),)


def read_waivers(path: Path) -> dict[str, str]:
    """Case id -> reason, from `[[waiver]]` tables with `id`, `reason` and `date`. NoInputError, ConfigurationError."""
    waivers = {}
    tables = _toml(path, _read(path))
    for name in tables:
        if name != "waiver" or not isinstance(tables[name], list):
            raise ConfigurationError(f"{quote(str(path))}: {quote(name)}: a file of waivers has [[waiver]] tables only")
    for waiver in tables.get("waiver", []):
        if not isinstance(waiver, dict) or not waiver.get("id") or not waiver.get("reason"):
            raise ConfigurationError(f"{quote(str(path))}: a [[waiver]] has an id and a reason, and should have a date")
        date = f" ({waiver['date']})" if waiver.get("date") else ""
        waivers[str(waiver["id"])] = f"{waiver['reason']}{date}"
    return waivers


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NoInputError(f"{quote(str(path))} can't be read: {error.strerror}") from None


def _toml(path: Path, octets: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(octets.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{quote(str(path))} is no TOML: {error}") from None
