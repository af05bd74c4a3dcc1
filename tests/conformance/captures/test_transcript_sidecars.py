"""Every recorded capture against its sidecar: what an independent dissector, and a second parser, found in it."""

from pathlib import Path

import pytest

CAPTURES = sorted(path.stem for path in (Path(__file__).parents[2] / "captures").glob("*.pcap"))

RECORDER = {"requestor", "acceptor"}  # who recorded knows; the octets don't say
OF_DISSECTOR = {"decoded_by", "tshark_pass", "parser_values"}
OURS_IN_STREAM = {"transport", "transport_events"}
OURS_IN_PDU = {"time", "events", "deviations", "error"}
OURS_IN_MESSAGE = {"status_meaning"}


def test_all_captures_are_here():
    assert len(CAPTURES) == 178


@pytest.fixture(params=CAPTURES, ids=str)
def pair(request, recording, document):
    capture = recording(request.param)
    return document(capture.transcript), capture.expected


def without(mapping, *names):
    return {name: value for name, value in mapping.items() if name not in names}


def test_agrees_field_by_field(pair):
    ours, expected = pair
    for name in ("file", "sha256", "bytes", "packets"):
        assert ours[name] == expected[name]
    assert len(ours["streams"]) == len(expected["streams"])
    for stream, said in zip(ours["streams"], expected["streams"], strict=True):
        tails = {side: without(tail, "events") for side, tail in stream.get("undecodable_tail", {}).items()}
        assert tails == said.get("undecodable_tail", {})
        found = without(stream, "pdus", "dimse", "undecodable_tail", *OURS_IN_STREAM)
        assert found == without(said, "pdus", "dimse", "undecodable_tail", *RECORDER)
        assert [without(pdu, *OURS_IN_PDU) for pdu in stream["pdus"]] == [_corrected(pdu) for pdu in said["pdus"]]
        messages = [without(message, *OURS_IN_MESSAGE) for message in stream["dimse"]]
        assert messages == [_message(message, stream) for message in said["dimse"]]


def _corrected(pdu):
    """Where dissector and parser differ, the parser's values stand."""
    return without(pdu, *OF_DISSECTOR) | pdu.get("parser_values", {})


def _message(message, stream):
    return message if stream["transport"] == "tcp" else message | {"frame": None}


def test_each_pdu_says_when_it_came_and_what_it_did_to_both_machines(pair):
    ours, _ = pair
    for stream in ours["streams"]:
        times = [pdu["time"] for pdu in stream["pdus"]]
        assert times == sorted(times)
        assert all(isinstance(pdu["events"], list) and isinstance(pdu["deviations"], list) for pdu in stream["pdus"])
