"""TLS in captures: recorded sessions, sessions made here with every kind of cipher, and keys that are missing."""

import ssl
import sys
from pathlib import Path

import pytest
import trustme

from dulcet.conformance.captures import ciphers
from dulcet.conformance.captures.build import read_capture
from dulcet.conformance.captures.ciphers import SUITES, Tls13Cipher, expand_label
from dulcet.conformance.captures.keylog import KeyLog
from dulcet.conformance.captures.pcapng import PcapngWriter
from dulcet.conformance.captures.streams import Direction, Octets, whole
from dulcet.conformance.captures.tls import decrypt, is_tls
from dulcet.errors import ConfigurationError, DecodeError

TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT
RECORDED = sorted(path.stem for path in (Path(__file__).parents[2] / "captures").glob("tls__*.pcap"))


class Session:
    """A TLS session over memory; `wire` has what each side sent."""

    def __init__(self, folder, *, ciphers=None, version=None):
        authority = trustme.CA()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("peer.example").configure_cert(server)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(client)
        self.key_log = folder / "keys.log"
        client.keylog_filename = str(self.key_log)
        for context in (client, server):
            if version is not None:
                context.minimum_version = context.maximum_version = version
            if ciphers is not None:
                context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        self.wire = []
        self._buffers = {direction: (ssl.MemoryBIO(), ssl.MemoryBIO()) for direction in Direction}
        self._ends = {
            TO_SERVER: client.wrap_bio(*self._buffers[TO_SERVER], server_hostname="peer.example"),
            TO_CLIENT: server.wrap_bio(*self._buffers[TO_CLIENT], server_side=True),
        }
        self._handshake()

    def _handshake(self):
        left = list(Direction)
        while left:
            for direction in list(left):
                try:
                    self._ends[direction].do_handshake()
                    left.remove(direction)
                except ssl.SSLWantReadError:
                    pass
                self._carry(direction)

    def _carry(self, direction):
        octets = self._buffers[direction][1].read()
        if octets:
            self.wire.append((direction, octets))
            self._buffers[direction.opposite][0].write(octets)

    def send(self, direction, octets):
        self._ends[direction].write(octets)
        self._carry(direction)

    def halves(self):
        sent = dict.fromkeys(Direction, b"")
        for direction, octets in self.wire:
            sent[direction] += octets
        return {direction: whole(octets) for direction, octets in sent.items()}

    @property
    def keys(self):
        return self.key_log.read_bytes()


def plain(octets):
    return bytes(octets.read(0, octets.length))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    made = Session(tmp_path_factory.mktemp("tls"))
    made.send(TO_SERVER, b"question")
    made.send(TO_CLIENT, b"answer")
    return made


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_session_is_read_with_the_key_log_beside_it(recording, name):
    (stream,) = recording(name).transcript.streams
    assert stream.transport == "tls"
    assert stream.problem == ""
    assert stream.pdus[0].name == "A-ASSOCIATE-RQ"
    assert stream.pdus[-1].name == "A-RELEASE-RP"
    assert [pdu.packet for pdu in stream.pdus] == sorted(pdu.packet for pdu in stream.pdus)


@pytest.mark.parametrize("name", RECORDED)
def test_without_a_key_log_it_is_named(recording, name):
    capture = recording(name)
    (stream,) = read_capture("x", capture.octets).streams
    assert (stream.transport, stream.problem) == ("tls", "there is no key log")
    assert stream.pdus == ()
    assert all(not entry.steps for entry in stream.entries)


def test_with_the_key_log_of_another_session_it_is_named(recording):
    first, second, _ = map(recording, RECORDED)
    (stream,) = read_capture("x", first.octets, second.key_log).streams
    assert stream.problem == "the key log has no secret of this connection"


@pytest.mark.parametrize(
    ("version", "suite"),
    [
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA384"),
        (ssl.TLSVersion.TLSv1_3, None),
    ],
)
def test_ciphers(tmp_path, version, suite):
    session = Session(tmp_path, ciphers=suite, version=version)
    messages = [(TO_SERVER, b"a question"), (TO_CLIENT, b"x" * 40_000), (TO_SERVER, b""), (TO_SERVER, b"q" * 17)]
    for direction, octets in messages:
        session.send(direction, octets)
    found = decrypt(session.halves(), KeyLog(session.keys))
    assert found.problem == ""
    for wanted in Direction:
        assert plain(found.octets[wanted]) == b"".join(octets for direction, octets in messages if direction is wanted)


def test_a_suite_that_is_not_read_is_named(tmp_path):
    session = Session(tmp_path, ciphers="ECDHE-ECDSA-CAMELLIA128-SHA256", version=ssl.TLSVersion.TLSv1_2)
    assert decrypt(session.halves(), KeyLog(session.keys)).problem.endswith(
        "with cipher suite C072H is not decrypted here"
    )


@pytest.mark.parametrize("cipher", ["AES-GCM", "AES-CCM", "AES-CCM-8", "CHACHA20-POLY1305"])
def test_tls_13_records_and_updated_keys(cipher):
    """Records sealed with `cryptography` itself: RFC 8446 5.2 to 5.4 and 7.2."""
    suite = next(suite for number, suite in SUITES.items() if number >> 8 == 0x13 and suite.cipher == cipher)
    secret = bytes(range(48 if suite.hash_name == "sha384" else 32))
    reader = Tls13Cipher(suite, secret)
    for _ in range(2):
        seal = ciphers._aead(suite, expand_label(suite.hash_name, secret, b"key", suite.key_octets))
        iv = int.from_bytes(expand_label(suite.hash_name, secret, b"iv", 12), "big")
        for sequence, (inner, expected) in enumerate(((b"octets\x17\0\0\0", (23, b"octets")), (b"\0\0", (99, b"")))):
            body = seal.encrypt((iv ^ sequence).to_bytes(12, "big"), inner, b"header")
            assert reader.open(99, b"header", body) == expected
        with pytest.raises(DecodeError, match="doesn't open this TLS record"):
            reader.open(23, b"header", bytes(40))
        reader = reader.updated()
        secret = expand_label(suite.hash_name, secret, b"traffic upd", len(secret))


def test_keys_are_updated_in_the_stream(session):
    """A KeyUpdate of the client: what follows is under the next secret."""
    wire = session.halves()
    suite, secret = _traffic(session, "CLIENT_TRAFFIC_SECRET_0")
    sent = plain(wire[TO_SERVER])
    sealed = sent + _record(suite, secret, 1, bytes((24, 0, 0, 1, 0)), 22)
    following = expand_label(suite.hash_name, secret, b"traffic upd", len(secret))
    sealed += _record(suite, following, 0, b" and another", 23)
    found = decrypt({TO_SERVER: whole(sealed), TO_CLIENT: wire[TO_CLIENT]}, KeyLog(session.keys))
    assert found.problem == ""
    assert plain(found.octets[TO_SERVER]) == b"question and another"


def _traffic(session, label):
    line = next(line for line in session.keys.decode().splitlines() if line.startswith(label))
    secret = bytes.fromhex(line.split()[2])
    return SUITES[0x1302 if len(secret) == 48 else 0x1301], secret


def _record(suite, secret, sequence, content, content_type):
    inner = content + bytes((content_type,))
    header = b"\x17\3\3" + (len(inner) + 16).to_bytes(2, "big")
    seal = ciphers._aead(suite, expand_label(suite.hash_name, secret, b"key", suite.key_octets))
    iv = int.from_bytes(expand_label(suite.hash_name, secret, b"iv", 12), "big")
    return header + seal.encrypt((iv ^ sequence).to_bytes(12, "big"), inner, header)


def test_one_octet_wrong_ends_the_direction_with_a_sentence(session):
    wire = session.halves()
    octets = bytearray(plain(wire[TO_SERVER]))
    octets[-1] ^= 1
    found = decrypt({TO_SERVER: whole(bytes(octets)), TO_CLIENT: wire[TO_CLIENT]}, KeyLog(session.keys))
    assert found.problem == "the secret of the key log doesn't open this TLS record"
    assert plain(found.octets[TO_CLIENT]) == b"answer", "the other direction is read all the same"


def test_a_gap_ends_the_direction(session):
    wire = session.halves()
    octets = Octets(plain(wire[TO_SERVER]))
    octets.append(0, wire[TO_SERVER].length - 20, 1)
    octets.skip(20)
    found = decrypt({TO_SERVER: octets, TO_CLIENT: wire[TO_CLIENT]}, KeyLog(session.keys))
    assert found.problem == "20 octets of the TLS connection were not captured"
    assert plain(found.octets[TO_SERVER]) == b""


@pytest.mark.parametrize("size", [*range(1, 12), 60, 200])
def test_a_session_cut_anywhere_ends_with_a_sentence_or_less(session, size):
    wire = session.halves()
    for direction in Direction:
        cut = wire | {direction: whole(plain(wire[direction])[:-size])}
        found = decrypt(cut, KeyLog(session.keys))
        assert plain(found.octets[direction]) in (b"", b"question", b"answer")


def test_a_handshake_that_never_came_to_a_server_hello(session):
    wire = session.halves()
    keys = KeyLog(session.keys)
    assert "ServerHello" in decrypt({TO_SERVER: wire[TO_SERVER], TO_CLIENT: whole(b"")}, keys).problem
    assert "ServerHello" in decrypt({TO_SERVER: wire[TO_SERVER], TO_CLIENT: whole(b"\x15\3\3\0\2\2\x28")}, keys).problem
    assert (
        "ClientHello" in decrypt({TO_SERVER: whole(b"\x16\3\1\0\4\1\0\0\0"), TO_CLIENT: wire[TO_CLIENT]}, keys).problem
    )
    assert "no TLS record" in decrypt({TO_SERVER: whole(b"\x99" * 20), TO_CLIENT: wire[TO_CLIENT]}, keys).problem


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"\x16\3\1\0\4\1\0\0\0", True),
        (b"\x15\3\3\0\2", True),
        (b"\x16\3\1\0", False),
        (b"\x01\0\0\0\0\xb7", False),
        (b"\x16\4\1\0\4", False),
        (b"", False),
    ],
)
def test_is_tls(octets, expected):
    assert is_tls(whole(octets)) is expected


def test_keys_within_a_pcapng_file(recording, packets, session):
    capture = packets(PcapngWriter).open()
    for direction, octets in session.wire:
        capture.send(direction, octets)
    assert capture.transcript.streams[0].problem == "there is no key log"
    capture.writer.write_key_log(session.keys)
    (stream,) = capture.transcript.streams
    assert stream.problem == ""
    assert stream.decrypted[TO_SERVER].octets == len(b"question")


def test_what_to_install_when_the_ciphers_are_missing(monkeypatch, session):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigurationError, match=r"pip install dulcet\[tls-decode\]"):
        ciphers.require_cryptography()
    problem = decrypt(session.halves(), KeyLog(session.keys)).problem
    assert problem == "decrypting TLS needs the package cryptography: pip install dulcet[tls-decode]"


def test_the_key_log_format():
    random, secret = "ab" * 32, "cd" * 48
    text = f"# comment\nCLIENT_RANDOM {random} {secret}\r\nCLIENT_RANDOM {random} 00\nBROKEN {random}\nX {random} abc\n"
    keys = KeyLog(text.encode(), b"")
    assert len(keys) == 1
    assert keys.secret("CLIENT_RANDOM", bytes.fromhex(random)) == bytes.fromhex(secret)
    assert keys.secret("CLIENT_RANDOM", bytes(32)) is None
