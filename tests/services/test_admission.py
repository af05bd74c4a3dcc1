"""Who may associate: every combination of titles, lists and addresses."""

import ipaddress

import pytest

from dulcet.errors import ConfigurationError
from dulcet.services.admission import Admission, AllowedPeer
from dulcet.ul.fields import AETitle
from dulcet.ul.negotiation import REJECTED_CALLED_AE_TITLE, REJECTED_CALLING_AE_TITLE

HERE = ["", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
ELSEWHERE = ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0"]


def judge(octets, address, *, called="DULCET", calling="ANYBODY", **settings):
    request = octets.request(called_ae_title=AETitle(called), calling_ae_title=AETitle(calling))
    return Admission(ae_title="DULCET", **settings).refuse(request, address)


@pytest.mark.parametrize("address", HERE)
def test_on_this_machine_anybody_may_if_nobody_is_named(octets, address):
    assert judge(octets, address) is None


@pytest.mark.parametrize("address", ELSEWHERE)
def test_from_elsewhere_nobody_may_if_nobody_is_named(octets, address):
    """An empty list means nobody, not everybody."""
    assert judge(octets, address) == REJECTED_CALLING_AE_TITLE
    assert judge(octets, address, any_called_ae_title=True) == REJECTED_CALLING_AE_TITLE


@pytest.mark.parametrize("address", [*HERE, *ELSEWHERE])
def test_anybody_may_if_that_was_said(octets, address):
    assert judge(octets, address, allow_any=True) is None


ANYWHERE, HOST, NETWORK, SIX = (
    AllowedPeer.parse(text) for text in ("CT1", "CT1@192.0.2.1", "CT1@192.0.2.0/24", "CT1@2001:db8::/32")
)


@pytest.mark.parametrize(
    ("allowed", "calling", "address", "may"),
    [
        (ANYWHERE, "CT1", "192.0.2.1", True),
        (ANYWHERE, "CT1", "2001:db8::1", True),
        (ANYWHERE, "CT1", "", True),
        (ANYWHERE, "CT2", "192.0.2.1", False),
        (ANYWHERE, "CT2", "127.0.0.1", False),  # the list counts on this machine too
        (ANYWHERE, "ct1", "192.0.2.1", False),
        (HOST, "CT1", "192.0.2.1", True),
        (HOST, "CT1", "::ffff:192.0.2.1", True),
        (HOST, "CT1", "192.0.2.2", False),
        (HOST, "CT1", "2001:db8::1", False),
        (HOST, "CT1", "", False),
        (NETWORK, "CT1", "192.0.2.255", True),
        (NETWORK, "CT1", "192.0.3.0", False),
        (NETWORK, "CT2", "192.0.2.1", False),
        (SIX, "CT1", "2001:db8::99", True),
        (SIX, "CT1", "2001:db8::99%eth0", True),
        (SIX, "CT1", "192.0.2.1", False),
    ],
)
def test_who_is_named(octets, allowed, calling, address, may):
    answer = judge(octets, address, calling=calling, allowed=(AllowedPeer.parse("OTHER@198.51.100.1"), allowed))
    assert answer == (None if may else REJECTED_CALLING_AE_TITLE)


@pytest.mark.parametrize("called", ["OTHER", "", "dulcet", "DULCET2", "DULCE", "../../etc"])
def test_another_called_title(octets, called):
    assert judge(octets, "127.0.0.1", called=called) == REJECTED_CALLED_AE_TITLE
    assert judge(octets, "127.0.0.1", called=called, allow_any=True) == REJECTED_CALLED_AE_TITLE
    assert judge(octets, "127.0.0.1", called=called, any_called_ae_title=True) is None


@pytest.mark.parametrize("called", ["DULCET", "  DULCET", "DULCET  ", " DULCET "])
def test_spaces_round_a_title_do_not_count(octets, called):
    assert judge(octets, "127.0.0.1", called=called) is None


@pytest.mark.parametrize("calling", ["", "A\nB", "A\x1b[31m", "A\x00", "\x7f", "\u00e9", "A\u00a0B"])
def test_a_calling_title_that_is_none(octets, calling):
    for settings in ({}, {"allow_any": True}, {"allowed": (AllowedPeer(ae_title=calling),)}):
        assert judge(octets, "127.0.0.1", calling=calling, **settings) == REJECTED_CALLING_AE_TITLE


@pytest.mark.parametrize("calling", ["../../etc/passwd", "A\\B", "'; DROP TABLE", "%s%s%n"])
def test_an_odd_title_is_a_title(octets, calling):
    assert judge(octets, "127.0.0.1", calling=calling) is None


def test_the_called_title_is_judged_first(octets):
    assert judge(octets, "192.0.2.1", called="OTHER", calling="") == REJECTED_CALLED_AE_TITLE


@pytest.mark.parametrize(
    ("text", "ae_title", "network"),
    [
        ("CT1", "CT1", None),
        ("CT1@", "CT1", None),
        ("CT1@10.0.0.1", "CT1", "10.0.0.1/32"),
        ("CT1@10.0.0.0/8", "CT1", "10.0.0.0/8"),
        ("CT1@10.1.2.3/8", "CT1", "10.0.0.0/8"),
        ("CT1@::1", "CT1", "::1/128"),
        ("A TITLE OF SIXTE", "A TITLE OF SIXTE", None),
    ],
)
def test_as_people_write_it(text, ae_title, network):
    assert AllowedPeer.parse(text) == AllowedPeer(
        ae_title=ae_title, network=None if network is None else ipaddress.ip_network(network)
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "an AE title has 1 to 16 characters"),
        ("@10.0.0.1", "an AE title has 1 to 16 characters"),
        ("A TITLE OF SEVENTE", "an AE title has 1 to 16 characters"),
        ("CT1@nowhere", "'nowhere' does not appear to be an IPv4 or IPv6 network"),
        ("CT1@10.0.0.0/33", "does not appear to be"),
        ("CT1@10.0.0.1:104", "does not appear to be"),
    ],
)
def test_what_can_not_be_meant(text, sentence):
    with pytest.raises(ConfigurationError) as caught:
        AllowedPeer.parse(text)
    assert sentence in str(caught.value)
    assert repr(text) in str(caught.value)
