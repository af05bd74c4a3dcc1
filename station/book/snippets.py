"""What the administrator of the other side has to enter, so that it knows us."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BASE_DN = "cn=DICOM Configuration,dc=dcm4che,dc=org"  # dcm4che's own; a site may have another


@dataclass(frozen=True, kw_only=True, slots=True)
class OurSide:
    """We, as a peer sees us."""

    ae_title: str
    address: str
    """Where we are reached: an address, or a host name."""
    port: int
    """Where our storage SCP listens."""
    tls: bool = False
    """Whether it speaks TLS."""

    @property
    def symbol(self) -> str:
        """A name for us where a program wants one beside the AE title."""
        return re.sub(r"[^a-z0-9]+", "-", self.ae_title.lower()).strip("-") or "dulcet"


def snippet(product: str, us: OurSide, peer: str | None = None) -> str:
    """What to enter into `product`, a key of `PRODUCTS`; `peer` is `AET@host:port` of the one that gets it, if known.

    The text ends with a line feed.
    """
    return PRODUCTS[product](us, peer)


def _text(us: OurSide, peer: str | None) -> str:
    lines = [
        f"Please enter our DICOM system in yours{f' ({peer})' if peer else ''}:",
        "",
        f"    AE title   {us.ae_title}",
        f"    Address    {us.address}",
        f"    Port       {us.port}",
        f"    TLS        {'yes' if us.tls else 'no'}",
        "",
        "The AE title is case sensitive. Please allow us C-ECHO and what we are to do with your system (C-STORE,",
        "C-FIND, C-GET, C-MOVE), and let your firewall open connections to our address and port: C-MOVE sends",
        "images there.",
    ]
    return "\n".join(lines) + "\n"


def _orthanc(us: OurSide, peer: str | None) -> str:
    modality = {"AET": us.ae_title, "Host": us.address, "Port": us.port}
    value = json.dumps({**modality, "UseDicomTls": True} if us.tls else modality)
    return (
        "// Into Orthanc's configuration file; restart Orthanc afterwards.\n"
        "// Without a restart: PUT the object to /modalities/" + us.symbol + " of its REST API.\n"
        '{\n  "DicomModalities" : {\n    ' + f'"{us.symbol}" : {value}\n' + "  }\n}\n"
    )


def _dcmtk(us: OurSide, peer: str | None) -> str:
    return (
        "# Into the HostTable of dcmqrscp.cfg; restart dcmqrscp afterwards.\n"
        f"# Add {us.symbol} to the peers of our row in the AETable, too, unless it says ANY.\n"
        "HostTable BEGIN\n"
        f"{us.symbol} = ({us.ae_title}, {us.address}, {us.port})\n"
        "HostTable END\n"
    )


def _conquest(us: OurSide, peer: str | None) -> str:
    return (
        "/* Into acrnema.map, above the lines with wildcards; then read it again or restart the server. */\n"
        f"{us.ae_title:<16} {us.address:<24} {us.port:<6} un\n"
    )


def _dcm4che(us: OurSide, peer: str | None) -> str:
    device = f"dicomDeviceName={us.symbol},cn=Devices,{BASE_DN}"
    name = "dicom-tls" if us.tls else "dicom"
    cipher_suites = ["dicomTLSCipherSuite: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"] if us.tls else []
    title = re.sub(r'([,+"\\<>;=#])', r"\\\1", us.ae_title)  # in a DN, RFC 4514 2.4
    records = [
        [
            f"dn: dicomAETitle={title},cn=Unique AE Titles Registry,{BASE_DN}",
            "objectClass: dicomUniqueAETitle",
            f"dicomAETitle: {us.ae_title}",
        ],
        [f"dn: {device}", "objectClass: dicomDevice", f"dicomDeviceName: {us.symbol}", "dicomInstalled: TRUE"],
        [
            f"dn: cn={name},{device}",
            "objectClass: dicomNetworkConnection",
            f"cn: {name}",
            f"dicomHostname: {us.address}",
            f"dicomPort: {us.port}",
            *cipher_suites,
        ],
        [
            f"dn: dicomAETitle={title},{device}",
            "objectClass: dicomNetworkAE",
            f"dicomAETitle: {us.ae_title}",
            "dicomAssociationInitiator: TRUE",
            "dicomAssociationAcceptor: TRUE",
            f"dicomNetworkConnectionReference: cn={name},{device}",
        ],
    ]
    head = "# For ldapadd; change dc=dcm4che,dc=org if your directory has another base. Then reload the archive.\n"
    return head + "\n\n".join("\n".join(record) for record in records) + "\n"


PRODUCTS: Mapping[str, Callable[[OurSide, str | None], str]] = {
    "text": _text,
    "orthanc": _orthanc,
    "dcmtk": _dcmtk,
    "dcm4che": _dcm4che,
    "conquest": _conquest,
}
