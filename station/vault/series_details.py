"""All that is known of one series: its attributes, its files, where they came from, and what is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dulcet.dimse.uids import name_of
from dulcet.escape import legible
from dulcet.station.archive.arrivals import Arrival
from dulcet.station.archive.series import Instance
from dulcet.station.archive.upkeep import is_there
from dulcet.station.archive.vault import split_name
from dulcet.station.events import json_head, rfc3339
from dulcet.station.figures import size
from dulcet.station.vault.naming import shown
from dulcet.station.vault.open_vault import Vault
from dulcet.station.vault.removing import octets_of
from dulcet.station.vault.series_output import local, moment

MAX_VALUE_CHARACTERS = 200
_WIDTH = 28


def details(vault: Vault, series_instance_uid: str) -> dict[str, Any]:
    """As JSON has it; values of attributes as the objects have them."""
    instances = vault.index.instances(series_instance_uid)
    replaced = [each for each in vault.index.arrivals.of_series(series_instance_uid) if not each.is_current]
    return {
        **json_head("series.details"),
        "series_instance_uid": series_instance_uid,
        "attributes": dict(vault.index.attributes(series_instance_uid)),
        "instances": sum(each.octets is not None for each in instances),
        "octets": sum(map(octets_of, instances)),
        "files": [_file(vault, each) for each in instances],
        "replaced": [_arrival(each) | {"name": each.name} for each in replaced],
    }


def _file(vault: Vault, instance: Instance) -> dict[str, Any]:
    digest = split_name(instance.name)[1]
    return {
        "path": vault.store.place(instance.name),
        "name": instance.name,
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid or None,
        "transfer_syntax_uid": instance.transfer_syntax_uid or None,
        "instance_number": instance.instance_number or None,
        "octets": octets_of(instance),
        "is_there": is_there(vault.store, instance.name),
        "is_conflict": bool(digest),
        **({} if instance.arrival is None else _arrival(instance.arrival)),
    }


def _arrival(arrival: Arrival) -> dict[str, Any]:
    return {
        "received": rfc3339(moment(arrival.received)),
        "received_ns": arrival.received,
        "how": arrival.source.how.value,
        "from": arrival.source.ae_title or None,
        "address": arrival.source.address or None,
        "sha256": None if arrival.sha256 is None else arrival.sha256.hex(),
    }


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """The same, for people."""
    yield f"Series {shown(found['series_instance_uid'])}"
    for name, value in found["attributes"].items():
        title = name.replace("_", " ").capitalize().replace(" uid", " UID").replace(" id", " ID")
        yield f"  {title:{_WIDTH}}  {_legible(value)}"
    files = found["files"]
    there = [each for each in files if each["is_there"]]
    yield f"  {'Files':{_WIDTH}}  {len(there):,}, {size(found['octets'])}"
    yield from _counted("Transfer syntax", [_uid_text(each["transfer_syntax_uid"]) for each in there])
    yield from _counted("SOP class", [_uid_text(each["sop_class_uid"]) for each in there])
    yield from _counted("From", [_source(each) for each in files])
    hashed = sum(each.get("sha256") is not None for each in there)
    yield f"  {'Hashes':{_WIDTH}}  {hashed:,} of {len(there):,} recorded"
    for what, count in (
        ("Missing", len(files) - len(there)),
        ("Conflicts", sum(each["is_conflict"] for each in files)),
        ("Replaced", len(found["replaced"])),
    ):
        if count:
            yield f"  {what:{_WIDTH}}  {count:,}"
    yield ""
    for each in files:
        yield _line(each)


def _counted(title: str, texts: Sequence[str]) -> Iterator[str]:
    for text in sorted(set(filter(None, texts))):
        count = texts.count(text)
        yield f"  {title:{_WIDTH}}  {text}" + (f" ({count:,})" if count != len(texts) else "")


def _line(each: Mapping[str, Any]) -> str:
    marks = "" if each["is_there"] else "  MISSING"
    if each["is_conflict"]:
        marks += "  conflict: another file with its UID is there"
    received = local(each["received_ns"]) if "received_ns" in each else ""
    digest = (each.get("sha256") or "not read yet")[:12]
    number = _legible(each["instance_number"] or "")
    return f"  {number:>5}  {size(each['octets']):>9}  {received:16}  {digest:12}  {each['path']}{marks}"


def _source(each: Mapping[str, Any]) -> str:
    if "how" not in each:
        return ""
    title, address = each["from"], each["address"]
    where = " ".join(filter(None, [title, f"at {address}" if address else ""]))
    return _legible(f"{each['how']}{' from ' + where if where else ''}")


def _uid_text(uid: str | None) -> str:
    return _legible(name_of(uid) or uid) if uid else ""


def _legible(text: str) -> str:
    return legible(text, MAX_VALUE_CHARACTERS)
