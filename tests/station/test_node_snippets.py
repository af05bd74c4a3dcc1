"""What the other side's administrator has to enter, and where we are seen from."""

import errno
import socket

import pytest

from dulcet.errors import PeerUnavailableError, UnknownHostError
from dulcet.station.book import own_address
from dulcet.station.book.own_address import address_towards, own_addresses
from dulcet.station.book.snippets import PRODUCTS, OurSide, snippet

US = OurSide(ae_title="Erika's WS", address="192.0.2.7", port=11112)

EXPECTED = {
    "text": """\
Please enter our DICOM system in yours (ORTHANC@10.0.0.1:4242):

    AE title   Erika's WS
    Address    192.0.2.7
    Port       11112
    TLS        no

The AE title is case sensitive. Please allow us C-ECHO and what we are to do with your system (C-STORE,
C-FIND, C-GET, C-MOVE), and let your firewall open connections to our address and port: C-MOVE sends
images there.
""",
    "orthanc": """\
// Into Orthanc's configuration file; restart Orthanc afterwards.
// Without a restart: PUT the object to /modalities/erika-s-ws of its REST API.
{
  "DicomModalities" : {
    "erika-s-ws" : {"AET": "Erika's WS", "Host": "192.0.2.7", "Port": 11112}
  }
}
""",
    "dcmtk": """\
# Into the HostTable of dcmqrscp.cfg; restart dcmqrscp afterwards.
# Add erika-s-ws to the peers of our row in the AETable, too, unless it says ANY.
HostTable BEGIN
erika-s-ws = (Erika's WS, 192.0.2.7, 11112)
HostTable END
""",
    "conquest": """\
/* Into acrnema.map, above the lines with wildcards; then read it again or restart the server. */
Erika's WS       192.0.2.7                11112  un
""",
    "dcm4che": """\
# For ldapadd; change dc=dcm4che,dc=org if your directory has another base. Then reload the archive.
dn: dicomAETitle=Erika's WS,cn=Unique AE Titles Registry,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomUniqueAETitle
dicomAETitle: Erika's WS

dn: dicomDeviceName=erika-s-ws,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomDevice
dicomDeviceName: erika-s-ws
dicomInstalled: TRUE

dn: cn=dicom,dicomDeviceName=erika-s-ws,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomNetworkConnection
cn: dicom
dicomHostname: 192.0.2.7
dicomPort: 11112

dn: dicomAETitle=Erika's WS,dicomDeviceName=erika-s-ws,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
objectClass: dicomNetworkAE
dicomAETitle: Erika's WS
dicomAssociationInitiator: TRUE
dicomAssociationAcceptor: TRUE
dicomNetworkConnectionReference: cn=dicom,dicomDeviceName=erika-s-ws,cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org
""",
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_each_product_is_told_in_its_own_words(product):
    assert snippet(product, US, "ORTHANC@10.0.0.1:4242") == EXPECTED[product]


def test_a_peer_that_is_not_known_is_not_named():
    assert snippet("text", US).startswith("Please enter our DICOM system in yours:\n")


def test_a_title_is_escaped_in_a_distinguished_name():
    text = snippet("dcm4che", OurSide(ae_title="A,B+C", address="192.0.2.7", port=104))
    assert "dn: dicomAETitle=A\\,B\\+C,cn=Unique" in text
    assert "\ndicomAETitle: A,B+C\n" in text


def test_tls_is_said():
    us = OurSide(ae_title="WS", address="192.0.2.7", port=2762, tls=True)
    assert "TLS        yes" in snippet("text", us)
    assert '"UseDicomTls": true' in snippet("orthanc", us)
    assert "dicomTLSCipherSuite: " in snippet("dcm4che", us)


def test_a_title_without_letters_still_has_a_symbol():
    assert OurSide(ae_title="***", address="h", port=1).symbol == "dulcet"


ROUTES = {"10.0.0.1": "192.0.2.7", "2001:db8::5": "2001:db8::7"}


class Probe:
    """A socket that may be connected and asked for its address, nothing else."""

    def __init__(self, family, kind, protocol):
        assert kind == socket.SOCK_DGRAM

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def connect(self, address):
        if address[0] not in ROUTES:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        self.address = ROUTES[address[0]]

    def getsockname(self):
        return self.address, 54321


@pytest.fixture
def network(monkeypatch):
    def look_up(host, port, type):
        if host == "nowhere.example.org":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        hosts = {"both.example.org": ["2001:db8::9", "10.0.0.1"]}.get(host, [host])
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, type, 17, "", (each, port)) for each in hosts]

    monkeypatch.setattr(own_address.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(own_address.socket, "socket", Probe)


@pytest.mark.usefixtures("network")
def test_our_address_is_the_one_that_the_route_has():
    assert address_towards("10.0.0.1", 104) == "192.0.2.7"
    assert address_towards("2001:db8::5", 104) == "2001:db8::7"
    assert address_towards("both.example.org", 104) == "192.0.2.7"


@pytest.mark.usefixtures("network")
def test_a_host_that_is_not_reached_is_told():
    with pytest.raises(UnknownHostError, match=r"nowhere\.example\.org has no address: .*Name or service not known"):
        address_towards("nowhere.example.org", 104)
    with pytest.raises(PeerUnavailableError, match=r"no route leads to 10\.0\.0\.2: Network is unreachable"):
        address_towards("10.0.0.2", 104)


@pytest.mark.usefixtures("network")
def test_our_addresses_are_those_of_the_default_routes(monkeypatch):
    assert own_addresses() == []
    monkeypatch.setitem(ROUTES, "192.0.2.1", "192.0.2.7")
    assert own_addresses() == ["192.0.2.7"]
