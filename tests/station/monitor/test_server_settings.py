"""Which settings change while a server runs, and which are named as needing a restart."""

from dataclasses import replace
from pathlib import Path

import pytest

from dulcet.services.admission import Admission, AllowedPeer
from dulcet.services.limits import Limits
from dulcet.services.storage import Durability, StorageOptions
from dulcet.station.archive.archive_settings import ArchiveSettings
from dulcet.station.server_settings import ServerSettings, TLSFiles, differences, needs_restart, taken_over

TLS = TLSFiles(cert=Path("a.pem"), key=None, ca=Path("ca.pem"))
OLD = ServerSettings(
    ae_title="STORE",
    host="127.0.0.1",
    port=11112,
    admission=Admission(ae_title="STORE"),
    limits=Limits(),
    storage=StorageOptions(directory=Path("a")),
    max_pdu_length=131072,
    tls=TLS,
)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"admission": Admission(ae_title="STORE", allowed=(AllowedPeer.parse("CT1"),))}, "admission"),
        ({"admission": Admission(ae_title="STORE", allow_any=True, any_called_ae_title=True)}, "admission"),
        ({"limits": replace(Limits(), idle=1.0, max_associations=3)}, "limits"),
        ({"max_pdu_length": 4096}, "max_pdu"),
        ({"window": 4}, "async_window"),
        ({"tls": replace(TLS, cert=Path("b.pem"))}, "tls"),
        ({"verbose": 1}, "verbose"),
        ({"quiet": True}, "quiet"),
    ],
)
def test_what_changes_at_once(change, name):
    new = replace(OLD, **change)
    assert taken_over(OLD, new) == new
    assert needs_restart(OLD, new) == []
    assert differences(OLD, new) == [name]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"port": 104}, ["port"]),
        ({"host": "0.0.0.0"}, ["bind"]),
        ({"workers": 2}, ["workers"]),
        ({"storage": StorageOptions(directory=Path("b"))}, ["directory"]),
        (
            {"storage": StorageOptions(directory=Path("a"), durability=Durability.NONE, min_free_octets=1)},
            ["durability", "min_free"],
        ),
        ({"archive": ArchiveSettings(query=True, max_matches=5)}, ["query", "max_matches"]),
        ({"http": ("127.0.0.1", 9100)}, ["http"]),
        ({"queue": False}, ["no_queue"]),
        ({"as_json": True}, ["json"]),
        ({"tls": None}, ["tls"]),
        ({"ae_title": "OTHER", "admission": Admission(ae_title="OTHER")}, ["aet"]),
    ],
)
def test_what_needs_a_restart_is_named_and_stays(change, names):
    new = replace(OLD, **change)
    assert taken_over(OLD, new) == OLD
    assert needs_restart(OLD, new) == names


def test_both_at_once():
    new = replace(OLD, port=1, verbose=2)
    assert taken_over(OLD, new) == replace(OLD, verbose=2)
    assert needs_restart(OLD, new) == ["port"]
