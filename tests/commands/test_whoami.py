"""`dulcet whoami`: our title, address and port as the other side needs them."""

import json

import pytest

from dulcet.errors import UnknownHostError


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """Where the routes lead out; what was asked for is in the list."""
    asked = []

    def towards(host, port):
        asked.append((host, port))
        if host == "nowhere":
            raise UnknownHostError("nowhere has no address: Name or service not known")
        return "127.0.0.1" if host == "localhost" else "192.0.2.7"

    monkeypatch.setattr("dulcet.commands.whoami.address_towards", towards)
    monkeypatch.setattr("dulcet.commands.whoami.own_addresses", lambda: ["192.0.2.8", "2001:db8::8"])
    monkeypatch.setattr("dulcet.commands.whoami.own_host_name", lambda: "ws7.example.org")
    return asked


BOOK = '[PACS1]\nae_title = "ORTHANC"\nhost = "10.0.0.1"\nport = 4242\ncalling_ae_title = "WS7"\n'


def test_we_are_shown_as_anybody_sees_us(dulcet):
    answer = dulcet("whoami")
    assert answer.code == 0
    assert answer.output == (
        "AE title   DULCET\n"
        "Address    192.0.2.8\n"
        "Address    2001:db8::8\n"
        "Host name  ws7.example.org\n"
        "Port       11112\n"
    )
    assert answer.errors == (
        "dulcet: `dulcet serve` listens on 127.0.0.1 only, where nobody reaches it: --bind 0.0.0.0, or in [serve]\n"
    )


def test_we_are_shown_as_a_node_sees_us(dulcet, write, network):
    write("nodes.toml", BOOK)
    write("dulcet.toml", '[dulcet]\naet = "SITE"\n[serve]\nport = 2762\nbind = "0.0.0.0"\ntls_cert = "our.pem"\n')
    shown = json.loads(dulcet("whoami", "PACS1", "--json").output)
    assert shown == {
        "v": 1,
        "ts": shown["ts"],
        "event": "whoami",
        "peer": "ORTHANC@10.0.0.1:4242",
        "ae_title": "WS7",
        "address": "192.0.2.7",
        "addresses": ["192.0.2.7"],
        "host_name": "ws7.example.org",
        "port": 2762,
        "tls": True,
        "hints": ["`dulcet serve` answers to the AE title SITE (--aet, or aet in [serve])"],
    }
    assert network == [("10.0.0.1", 4242)]


def test_we_are_shown_as_an_address_sees_us(dulcet, network, monkeypatch):
    monkeypatch.setenv("DULCET_SERVE_BIND", "0.0.0.0")
    answer = dulcet("whoami", "AET@pacs.example.org:104", "--port", "104")
    assert answer.output == "AE title   DULCET\nAddress    192.0.2.7\nHost name  ws7.example.org\nPort       104\n"
    assert (answer.errors, network) == ("", [("pacs.example.org", 104)])


def test_a_peer_on_this_machine_reaches_us_where_we_are(dulcet):
    assert dulcet("whoami", "localhost:104").errors == ""


def test_a_machine_without_a_route_has_its_name(dulcet, monkeypatch):
    monkeypatch.setattr("dulcet.commands.whoami.own_addresses", list)
    assert "Address    ws7.example.org\n" in dulcet("whoami").output


@pytest.mark.parametrize(
    ("peer", "code", "sentence"),
    [
        ("nowhere:104", 68, "nowhere has no address"),
        ("PACS2", 78, "'PACS2' is no node"),
        ("A@h", 78, "'A@h' is no peer"),
    ],
)
def test_a_peer_that_is_none_is_told(dulcet, peer, code, sentence):
    answer = dulcet("whoami", peer)
    assert (answer.code, answer.output) == (code, "")
    assert sentence in answer.errors


def test_a_title_that_can_not_be_is_told(dulcet):
    answer = dulcet("whoami", "-aet", "x" * 17)
    assert answer.code == 78
    assert "is no AE title" in answer.errors
