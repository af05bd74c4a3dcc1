"""What a server process needs to know, and which of it can change while it runs."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dulcet.services.admission import Admission
from dulcet.services.limits import Limits
from dulcet.services.storage import StorageOptions
from dulcet.station.archive.archive_settings import ArchiveSettings
from dulcet.station.forwarding.routes import Routes


@dataclass(frozen=True, kw_only=True)
class TLSFiles:
    """Our certificate and its key; `ca` signs those of the peers, None asks them for none."""

    cert: Path
    key: Path | None
    ca: Path | None


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """All that a server process needs to know."""

    ae_title: str
    host: str
    port: int
    admission: Admission
    limits: Limits
    storage: StorageOptions
    max_pdu_length: int
    window: int = 1
    workers: int = 1
    tls: TLSFiles | None = None
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    """The services beside C-STORE."""
    http: tuple[str, int] | None = None
    """Where `/metrics` and `/healthz` are served; None: nowhere."""
    queue: bool = True
    """Whether the jobs of the transfer queue are run, in a process beside."""
    routes: Routes = field(default_factory=Routes)
    """What is forwarded of what arrives."""
    as_json: bool = False
    verbose: int = 0
    quiet: bool = False


_IN_PARTS = ("storage", "archive")
_OPTIONS = {
    "ae_title": "aet",
    "host": "bind",
    "max_object_octets": "max_object",
    "min_free_octets": "min_free",
    "min_free_share": "min_free",
    "as_json": "json",
    "queue": "no_queue",
    "max_pdu_length": "max_pdu",
    "window": "async_window",
}
"""What is not called as the option that sets it."""
_CHANGES_AT_ONCE = ("admission", "limits", "max_pdu_length", "window", "routes", "verbose", "quiet")


def taken_over(old: ServerSettings, new: ServerSettings) -> ServerSettings:
    """`old` with what can change while the server runs as `new` has it."""
    changed: dict[str, Any] = {name: getattr(new, name) for name in _CHANGES_AT_ONCE}
    changed["admission"] = replace(new.admission, ae_title=old.ae_title)
    changed["limits"] = replace(new.limits, backlog=old.limits.backlog)
    if old.tls is not None and new.tls is not None:
        changed["tls"] = new.tls
    return replace(old, **changed)


def differences(old: Any, new: Any) -> list[str]:
    """What differs, in the names of the options; admission and limits as one."""
    found = []
    for each in fields(old):
        name = each.name
        before, after = getattr(old, name), getattr(new, name)
        if name in _IN_PARTS:
            found += differences(before, after)
        elif before != after:
            found.append(_OPTIONS.get(name, name))
    return found


def needs_restart(old: ServerSettings, new: ServerSettings) -> list[str]:
    """What `new` says otherwise and can't change while the server runs, in the names of the options."""
    likely = replace(new, admission=replace(new.admission, ae_title=old.ae_title))
    return differences(taken_over(old, new), likely)
