"""What other programs write about the peers they know: Orthanc, DCMTK, pynetdicom, dcm4che, and spreadsheets.

Each reader yields what it finds as it stands there; `node_import` makes nodes of it. A fault of one entry is a
`Refused` beside the others; a text that can't be read at all is a ConfigurationError.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dulcet.errors import ConfigurationError
from dulcet.escape import quote


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer as the file has it: fields of a node by name, not checked."""

    where: str
    """The line, or the key in the file."""
    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """What can't be taken, and why."""

    where: str
    reason: str


Found = Iterator[Entry | Refused]


def recognize(text: str) -> str | None:
    """The name of the format that `text` is in; None when it looks like none of them."""
    if re.search(r"^dn::? *\S", text, re.MULTILINE | re.IGNORECASE):
        return "dcm4che"
    if re.search(r"^[ \t]*HostTable[ \t]+BEGIN", text, re.MULTILINE):
        return "dcmtk"
    if _without_comments(text).lstrip().startswith("{"):
        return "orthanc"
    if re.search(r"^\[[^\]\n]+\]\s*$", text, re.MULTILINE) and re.search(r"^\s*address\s*[:=]", text, re.MULTILINE):
        return "pynetdicom"
    return "csv" if _is_table(text) else None


# Orthanc ------------------------------------------------------------------------------------------------------------


def read_orthanc(text: str) -> Found:
    """Orthanc's configuration with its comments, its DicomModalities alone, or the answer to `GET /modalities?expand`.

    `LocalAet` stays: it is whom Orthanc calls itself towards that peer, not we.
    """
    import json

    try:
        document = json.loads(_without_comments(text))
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"line {error.lineno}: this is not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:  # a number of 5000 digits
        raise ConfigurationError("its values are nested too deep, or too large") from error
    modalities = document.get("DicomModalities", document) if isinstance(document, dict) else None
    if not isinstance(modalities, dict) or (modalities is document and not all(map(_is_modality, document.values()))):
        raise ConfigurationError("there are no DicomModalities in it")
    for name, value in modalities.items():
        where = f"DicomModalities {quote(name)}"
        if isinstance(value, list) and len(value) >= 3:
            yield Entry(where, name, _modality(*value[:4]))
        elif isinstance(value, dict) and value.keys() >= {"AET", "Host", "Port"}:
            modality = _modality(value["AET"], value["Host"], value["Port"], value.get("Manufacturer"))
            yield Entry(where, name, {**modality, "tls": True} if value.get("UseDicomTls") is True else modality)
        else:
            yield Refused(where, 'neither ["AET", "host", port] nor an object with AET, Host and Port')


def _modality(ae_title: Any, host: Any, port: Any, manufacturer: Any = None) -> dict[str, Any]:
    fields = {"ae_title": ae_title, "host": host, "port": _number(port)}
    if isinstance(manufacturer, str) and manufacturer != "Generic":
        fields["notes"] = f"manufacturer {manufacturer}"
    return fields


def _is_modality(value: object) -> bool:
    return (isinstance(value, list) and len(value) >= 3) or (isinstance(value, dict) and "AET" in value)


_STRING = r'"(?:\\.|[^"\\\n])*"'


def _without_comments(text: str) -> str:
    """JSON without // and /* */ and commas before } and ], outside of strings; the lines stay where they are."""
    bare = re.sub(rf"{_STRING}|//[^\n]*|/\*.*?\*/", lambda match: _blanked(match[0]), text, flags=re.DOTALL)
    return re.sub(rf"{_STRING}|,(?=\s*[}}\]])", lambda match: _blanked(match[0]), bare)


def _blanked(found: str) -> str:
    return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)


# DCMTK --------------------------------------------------------------------------------------------------------------


def read_dcmtk(text: str) -> Found:
    """The HostTable of dcmqrscp.cfg; a group becomes a tag of its members."""
    peers, groups = dict[str, tuple[str, list[Sequence[str]]]](), dict[str, tuple[str, list[str]]]()
    for number, line in _host_table(text):
        name, equals, value = (part.strip() for part in line.partition("="))
        name, where = name.strip('"'), f"line {number}"
        if not equals or not name or not value:
            yield Refused(where, "not NAME = (AE title, host, port)")
        elif "(" not in value:
            groups[name] = where, [member.strip().strip('"') for member in value.split(",")]
        elif name in peers:
            yield Refused(where, f"{quote(name)} is there twice")
        else:
            triples = re.findall(r"\(([^(),]*),([^(),]*),([^(),]*)\)", value)
            if not triples or re.sub(r"\([^()]*\)", "", value).strip(", ") or len(triples) != value.count("("):
                yield Refused(where, "not NAME = (AE title, host, port)")
            else:
                peers[name] = where, triples
    tags, unknown = _group_tags(peers, groups)
    yield from unknown
    for name, (where, triples) in peers.items():
        for number, triple in enumerate(triples, 1):
            ae_title, host, port = (part.strip().strip('"') for part in triple)
            several = len(triples) > 1  # one symbolic name for several peers is a group, too
            fields = {"ae_title": ae_title, "host": host, "port": _number(port)}
            member_of = [*tags.get(name, ()), *([name] if several else ())]
            yield Entry(where, f"{name}-{number}" if several else name, {**fields, "tags": member_of})


def _host_table(text: str) -> Iterator[tuple[int, str]]:
    is_inside = False
    for number, line in _lines(text):
        if re.match(r"HostTable\s+(BEGIN|END)", line):
            is_inside = "BEGIN" in line
        elif is_inside:
            yield number, line.partition("#")[0]


def _group_tags(
    peers: Mapping[str, Any], groups: Mapping[str, tuple[str, list[str]]]
) -> tuple[dict[str, list[str]], list[Refused]]:
    """The groups of each peer, those of groups included; and the members that are not in the table."""
    tags, unknown = dict[str, list[str]](), list[Refused]()
    for group, (where, members) in groups.items():
        waiting, seen = list(members), {group}
        for member in waiting:  # grows by the members of groups
            if member in seen:
                continue
            seen.add(member)
            if member in peers:
                tags.setdefault(member, []).append(group)
            elif member in groups:
                waiting += groups[member][1]
            else:
                unknown.append(Refused(where, f"the group {quote(group)} names {quote(member)}, which is no peer"))
    return tags, unknown


# pynetdicom ---------------------------------------------------------------------------------------------------------


def read_pynetdicom(text: str) -> Found:
    """The configuration of pynetdicom's qrscp: a section for each move destination, named by its AE title."""
    import configparser

    parser = configparser.RawConfigParser(default_section="\0")  # [DEFAULT] is about qrscp itself
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ConfigurationError(f"this is no configuration of qrscp: {quote(error.message, 200)}") from error
    for section in parser.sections():
        if section == "DEFAULT":
            continue
        values, where = dict(parser.items(section)), f"[{quote(section)}]"
        if "address" not in values or "port" not in values:
            yield Refused(where, "address or port is missing")
            continue
        title = values.get("ae_title", section)
        yield Entry(where, section, {"ae_title": title, "host": values["address"], "port": _number(values["port"])})


# dcm4che ------------------------------------------------------------------------------------------------------------


def read_dcm4che(text: str) -> Found:
    """LDIF of the application configuration (PS3.15 Annex H): network AEs and the connections that they refer to."""
    records = list(_ldif_records(text))
    connections = {_dn(record["dn"][0]): record for record in records if _is_a(record, "dicomnetworkconnection")}
    for record in records:
        if not _is_a(record, "dicomnetworkae"):
            continue
        title = record.get("dicomaetitle", [""])[0]
        where = f"AE {quote(title)}"
        if _is_false(record, "dicomassociationacceptor"):
            yield Refused(where, "it accepts no associations")
        elif _is_false(record, "dicominstalled"):
            yield Refused(where, "it is not installed")
        else:
            references = [connections.get(_dn(dn)) for dn in record.get("dicomnetworkconnectionreference", ())]
            listening = [found for found in references if found is not None and _listens(found)]
            if not listening:
                yield Refused(where, "it has no connection with a port")
            notes = record.get("dicomdescription", [])
            for connection in listening:
                yield Entry(where, title, _network_ae(title, connection, notes))


def _network_ae(title: str, connection: Mapping[str, list[str]], notes: list[str]) -> dict[str, Any]:
    host, port = connection.get("dicomhostname", [""])[0], connection["dicomport"][0]
    fields: dict[str, Any] = {"ae_title": title, "host": host, "port": _number(port)}
    if connection.get("dicomtlsciphersuite"):
        fields["tls"] = True
    return {**fields, "notes": notes[0]} if notes else fields


def _listens(connection: Mapping[str, list[str]]) -> bool:
    is_dicom = connection.get("dcmprotocol", ["DICOM"])[0] == "DICOM"
    return is_dicom and "dicomport" in connection and not _is_false(connection, "dicominstalled")


def _ldif_records(text: str) -> Iterator[dict[str, list[str]]]:
    """The records of RFC 2849: attributes in lower case, folded lines joined."""
    import base64

    unfolded = re.sub(r"\r?\n ", "", text)
    for block in re.split(r"\r?\n(?:[ \t]*\r?\n)+", unfolded):
        record = dict[str, list[str]]()
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if not colon or line.startswith("#"):
                continue
            if value.startswith(":"):
                try:
                    value = base64.b64decode(value[1:], validate=False).decode("utf-8", "replace")
                except ValueError:  # not base64, or not even ASCII
                    continue
            record.setdefault(name.strip().lower(), []).append(value.strip())
        if "dn" in record:
            yield record


def _dn(dn: str) -> str:
    return re.sub(r"\s*([,=])\s*", r"\1", dn).lower()


def _is_a(record: Mapping[str, list[str]], object_class: str) -> bool:
    return object_class in (value.lower() for value in record.get("objectclass", ()))


def _is_false(record: Mapping[str, list[str]], attribute: str) -> bool:
    return record.get(attribute, ["TRUE"])[0].upper() == "FALSE"


# Spreadsheets -------------------------------------------------------------------------------------------------------

_DELIMITERS = ",;\t"
_COLUMNS = {
    "name": ("name", "node", "alias", "system", "station", "stationname", "device"),
    "ae_title": ("aet", "aetitle", "ae", "title", "aec", "calledaet", "calledaetitle"),
    "host": ("host", "hostname", "ip", "ipaddress", "address", "ipaddr", "server"),
    "port": ("port", "portnumber", "tcpport", "dicomport"),
    "calling_ae_title": ("callingaet", "callingaetitle", "localaet"),
    "notes": ("notes", "note", "description", "comment", "comments", "remark", "remarks", "location"),
    "tags": ("tags", "tag", "groups", "group"),
    "tls": ("tls", "dicomtls", "secure"),
}
"""Field -> how people name its column: letters and digits in lower case."""
_YES = ("yes", "y", "true", "1", "x")


def read_csv(text: str) -> Found:
    """Rows of name, AE title, host, port, with a header or without; `,` `;` or a tab between; # begins a comment."""
    import csv

    lines = list(_lines(text))
    if not lines:
        return
    delimiter = max(_DELIMITERS, key=lines[0][1].count)
    try:
        rows = [next(csv.reader([line], delimiter=delimiter, skipinitialspace=True)) for _, line in lines]
    except csv.Error as error:
        raise ConfigurationError(f"this is no table: {error}") from error
    columns = _header(rows[0])
    if columns is None:
        width = len(rows[0])
        columns = ["ae_title", "host", "port"] if width == 3 else ["name", "ae_title", "host", "port", "notes"]
    else:
        lines, rows = lines[1:], rows[1:]
    for (number, _), row in zip(lines, rows, strict=True):
        values = {field: cell.strip() for field, cell in zip(columns, row, strict=False) if field and cell.strip()}
        missing = [field for field in ("ae_title", "host", "port") if field not in values]
        if missing:
            yield Refused(f"line {number}", f"{' and '.join(missing)} missing")
        else:
            name = values.pop("name", values["ae_title"])
            yield Entry(f"line {number}", name, _cells(values))


def _is_table(text: str) -> bool:
    """Whether the first line has columns, among them a port or the name of a field."""
    line = next(iter(_lines(text)), (0, ""))[1]
    cells = [re.sub(r"[\W_]", "", cell).lower() for cell in re.split("[,;\t]", line)]
    known = {name for names in _COLUMNS.values() for name in names}
    return len(cells) >= 3 and any(cell.isdigit() or cell in known for cell in cells)


def _header(row: Sequence[str]) -> list[str | None] | None:
    """The field of each column; None when the row is no header."""
    words = [re.sub(r"[\W_]", "", cell).lower() for cell in row]
    columns = [next((field for field, names in _COLUMNS.items() if word in names), None) for word in words]
    if any(word.isdigit() for word in words) or sum(column is not None for column in columns) < 2:
        return None
    for field in ("ae_title", "host", "port"):
        if field not in columns:
            raise ConfigurationError(f"the header has no column for {field}")
    return columns


def _cells(values: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {**values, "port": _number(values["port"])}
    if "tags" in values:
        fields["tags"] = [tag for tag in re.split(r"[\s,;|]+", values["tags"]) if tag]
    if "tls" in values:
        fields["tls"] = values["tls"].lower() in _YES
    return fields


# All ----------------------------------------------------------------------------------------------------------------


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) of each line that is neither empty nor a comment."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _number(value: object) -> object:
    """A port written as text is a number; what else it is, the node's own check will say."""
    is_port = isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,5}\s*", value)
    return int(str(value)) if is_port else value


READERS: Mapping[str, Callable[[str], Found]] = {
    "orthanc": read_orthanc,
    "dcmtk": read_dcmtk,
    "pynetdicom": read_pynetdicom,
    "dcm4che": read_dcm4che,
    "csv": read_csv,
}
