"""`dulcet tap` with itself as its peer: each connection would make the next, without end."""

import pytest

from dulcet.conformance.peers.address import free_port


@pytest.mark.parametrize(
    ("listen", "peer"),
    [
        ("{port}", "127.0.0.1:{port}"),
        ("127.0.0.1:{port}", "localhost:{port}"),
        ("0.0.0.0:{port}", "X@127.0.0.1:{port}"),
    ],
)
def test_a_tap_is_not_its_own_peer(dulcet, tmp_path, listen, peer):
    port = free_port()
    recording = tmp_path / "earlier.pcapng"
    recording.write_bytes(b"earlier")
    answer = dulcet("tap", listen.format(port=port), peer.format(port=port), "--write", recording)
    assert answer.code == 78
    assert "is where the tap itself would listen" in answer.errors
    assert recording.read_bytes() == b"earlier"
