"""A port that a retrieval has is told from one that a stranger has; a server waits for it."""

import socket

import pytest

from dulcet.conformance.peers.address import free_port
from dulcet.errors import ConfigurationError
from dulcet.station.retrieval import ports
from dulcet.station.retrieval.ports import PortClaim, bind_when_free, is_claimed


@pytest.fixture
def taken():
    """A socket that listens where no connection that goes out takes the port when it is closed."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", free_port()))
        listening.listen()
        yield listening


def port_of(listening):
    return listening.getsockname()[1]


def test_a_claim_lasts_as_long_as_it_is_held():
    claim = PortClaim(11111)
    assert is_claimed(11111)
    assert not is_claimed(11110)
    claim.release()
    claim.release()
    assert not is_claimed(11111)


def test_who_comes_second_does_not_take_the_claim_away():
    first, second = PortClaim(11111), PortClaim(11111)
    second.release()
    assert is_claimed(11111)
    first.release()
    assert not is_claimed(11111)


def test_a_state_that_can_not_be_written_disturbs_nobody(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "file"))
    PortClaim(11111).release()
    assert not is_claimed(11111)


def test_a_free_port_is_had_at_once():
    told = []
    (made,) = bind_when_free("127.0.0.1", 0, backlog=1, waiting=told.append)
    made.close()
    assert told == []


def test_a_stranger_is_not_waited_for(taken):
    told = []
    with pytest.raises(ConfigurationError, match="another program listens there"):
        bind_when_free("127.0.0.1", port_of(taken), backlog=1, waiting=told.append)
    assert told == []


def test_a_retrieval_is_waited_for(taken, monkeypatch):
    port, told, slept = port_of(taken), [], []
    claim = PortClaim(port)

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            taken.close()
            claim.release()

    monkeypatch.setattr(ports.time, "sleep", sleep)
    (made,) = bind_when_free("127.0.0.1", port, backlog=1, waiting=told.append)
    made.close()
    assert len(slept) == 3
    assert told == [f"a retrieval receives on port {port}: waiting until it is done"]


def test_it_is_not_waited_for_for_ever(taken, monkeypatch):
    claim = PortClaim(port_of(taken))
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(ports.time, "sleep", lambda _seconds: None)
    with pytest.raises(ConfigurationError, match="`dulcet queue list` shows which"):
        bind_when_free("127.0.0.1", port_of(taken), backlog=1, waiting=lambda _: None, clock=lambda: next(now))
    claim.release()
