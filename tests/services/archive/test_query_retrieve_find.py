"""C-FIND as SCP: every response that PS3.4 C.4.1.3 asks for, every end, and what no peer may do to us."""

import pytest
import trio

from dulcet.dimse.messages import CFindRSP
from dulcet.dimse.uids import STUDY_ROOT_FIND
from dulcet.errors import ArchiveError
from dulcet.ul.items import SOPClassExtendedNegotiation
from dulcet.ul.pdu import AAbort, AReleaseRP, AReleaseRQ

STUDIES = {0x00080052: "STUDY", 0x00100010: "", 0x0020000D: ""}


def studies(count):
    return [{"patient_name": f"DOE^{number}", "study_instance_uid": f"1.2.{number}"} for number in range(count)]


def statuses(responses):
    return [message.status for message, _ in responses]


async def test_no_match_is_one_success_without_an_identifier(ask, archive, autojump_clock):
    archive.rows = studies(2)
    asking = await ask()
    await asking.find({**STUDIES, 0x00100010: "NOBODY"}, 7)
    ((message, data_set),) = await asking.responses()
    assert (type(message), message.status, message.message_id, data_set) == (CFindRSP, 0, 7, None)
    assert message.affected_sop_class_uid == STUDY_ROOT_FIND


async def test_each_match_has_an_identifier_and_the_end_has_none(ask, archive, autojump_clock):
    archive.rows = studies(8)
    asking = await ask()
    await asking.find(STUDIES)
    *pending, (final, nothing) = await asking.responses()
    assert [message.status for message, _ in pending] == [0xFF00] * 8
    assert [str(data_set.StudyInstanceUID) for _, data_set in pending] == [f"1.2.{number}" for number in range(8)]
    assert {data_set.RetrieveAETitle for _, data_set in pending} == {"ARCHIVE"}
    assert {data_set.QueryRetrieveLevel for _, data_set in pending} == {"STUDY"}
    assert asking.told == [("C-FIND", 0, {"matches": 8}, None)]
    assert (final.status, nothing) == (0, None)
    await asking.peer.send(asking.octets.echo(2))
    assert (await asking.peer.message()).NAME == "C-ECHO-RSP"


async def test_keys_that_are_not_supported_make_the_other_pending_status(ask, archive, autojump_clock):
    archive.rows = studies(1)
    asking = await ask()
    await asking.find({**STUDIES, 0x00081032: []})
    assert statuses(await asking.responses()) == [0xFF01, 0]


@pytest.mark.parametrize(
    ("identifier", "status", "tag"),
    [
        (b"", 0xA900, 0x00080052),
        (b"\x08\x00\x52\x00\xff\xff\xff\x0fSTUDY ", 0xC000, None),
        ({0x0020000D: "1.2"}, 0xA900, 0x00080052),
        ({0x00080052: "FOO"}, 0xA900, 0x00080052),
        ({0x00080052: "SERIES", 0x0020000E: ""}, 0xA900, 0x0020000D),
        ({0x00080052: "STUDY", 0x00080020: "20260231x"}, 0xA900, 0x00080020),
    ],
)
async def test_an_identifier_that_does_not_fit_is_refused_with_a_reason(ask, identifier, status, tag, autojump_clock):
    asking = await ask()
    await asking.find(identifier)
    ((message, data_set),) = await asking.responses()
    assert (message.status, data_set) == (status, None)
    assert message.offending_element == (None if tag is None else (tag,))
    assert 0 < len(message.error_comment) <= 64
    ((service, told, counts, comment),) = asking.told
    assert (service, told, counts) == ("C-FIND", status, {})
    assert comment.startswith(message.error_comment)
    await asking.peer.send(asking.octets.echo(2))
    assert (await asking.peer.message()).status == 0


async def test_sequences_nested_20000_deep(ask, autojump_clock):
    """The message that ends other products: refused, and the association goes on."""
    item = b"\x40\x00\x75\x02\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    asking = await ask()
    await asking.find(b"\x08\x00\x52\x00\x06\0\0\0STUDY " + item * 20_000)
    ((message, _),) = await asking.responses()
    assert message.status == 0xC000


async def test_a_cancel_while_matches_are_sent(ask, archive, autojump_clock):
    archive.rows, archive.seconds = studies(300), 1.0
    asking = await ask(seconds=1000)
    await asking.find(STUDIES)
    first = await asking.response()
    await asking.peer.send(asking.cancel())
    responses = [first, *await asking.responses()]
    assert statuses(responses)[-1] == 0xFE00
    assert len(responses) <= 8
    await asking.peer.send(asking.octets.echo(2), AReleaseRQ())
    assert (await asking.peer.message()).NAME == "C-ECHO-RSP"  # nothing more came of the query
    assert isinstance(await asking.peer.pdu(), AReleaseRP)


async def test_a_cancel_between_two_responses_of_one_page(ask, archive, autojump_clock):
    """The peer is as fast as we are: cancelled within the responses that lie between two turns."""
    archive.rows = studies(3000)
    asking = await ask(matches=10_000)
    await asking.find(STUDIES)
    for _ in range(5):
        await asking.response()
    await asking.peer.send(asking.cancel())
    assert statuses(await asking.responses())[-1] == 0xFE00
    assert archive.pages < 1000


async def test_a_cancel_in_one_write_with_the_request(ask, archive, autojump_clock):
    archive.rows = studies(50)
    asking = await ask()
    await asking.find(STUDIES, 1, asking.cancel())
    assert statuses(await asking.responses()) == [0xFE00]


async def test_a_cancel_after_the_end_has_no_effect(ask, archive, autojump_clock):
    """PS3.7 9.1.2.2: not on what is over, and not on the next operation with that number."""
    archive.rows = studies(2)
    asking = await ask()
    await asking.find(STUDIES, 5)
    assert statuses(await asking.responses()) == [0xFF00, 0xFF00, 0]
    await asking.peer.send(asking.cancel(5))
    await asking.find(STUDIES, 5)
    assert statuses(await asking.responses()) == [0xFF00, 0xFF00, 0]


@pytest.mark.parametrize("message_id", [2, 0, 65535])
async def test_a_cancel_of_something_else_has_no_effect(ask, archive, message_id, autojump_clock):
    archive.rows, archive.seconds = studies(7), 0.1
    asking = await ask()
    await asking.find(STUDIES, 1, asking.cancel(message_id))
    assert statuses(await asking.responses()) == [0xFF00] * 7 + [0]


async def test_matches_are_capped(ask, archive, autojump_clock):
    archive.rows = studies(20)
    asking = await ask(matches=5)
    await asking.find(STUDIES)
    responses = await asking.responses()
    assert statuses(responses) == [0xFF00] * 5 + [0xA700]
    assert "5 matches" in responses[-1][0].error_comment


async def test_as_many_matches_as_the_cap_are_a_success(ask, archive, autojump_clock):
    archive.rows = studies(5)
    asking = await ask(matches=5)
    await asking.find(STUDIES)
    assert statuses(await asking.responses()) == [0xFF00] * 5 + [0]


async def test_the_time_for_matching_is_capped(ask, archive, autojump_clock):
    archive.rows, archive.seconds = studies(300), 2.0
    asking = await ask(seconds=5.0)
    await asking.find({**STUDIES, 0x00100010: "NOBODY*"})
    ((message, _),) = await asking.responses()
    assert (message.status, archive.pages) == (0xA700, 3)


async def test_an_index_that_fails_is_told(ask, archive, autojump_clock):
    archive.error = ArchiveError("the index can't be read")
    asking = await ask()
    await asking.find(STUDIES)
    ((message, _),) = await asking.responses()
    assert (message.status, message.error_comment) == (0xA700, "the index can't be read")


async def test_a_long_query_does_not_keep_another_association_waiting(ask, archive, autojump_clock):
    archive.rows = studies(3000)
    asking, beside = await ask(matches=10_000), await ask()
    await asking.find(STUDIES)
    await asking.response()
    await beside.peer.send(beside.octets.echo(2))
    assert (await beside.peer.message()).status == 0
    assert archive.pages < 50  # of 1,000
    asking.peer.close()


async def test_a_request_that_comes_too_early_waits(ask, archive, autojump_clock):
    """In synchronous mode a peer has one operation outstanding (PS3.7 7.3); one that has two loses nothing."""
    archive.rows, archive.seconds = studies(7), 0.1
    asking = await ask()
    await asking.find(STUDIES, 1, asking.octets.echo(2), asking.octets.echo(3))
    assert statuses(await asking.responses()) == [0xFF00] * 7 + [0]
    assert [(await asking.peer.message()).message_id for _ in range(2)] == [2, 3]


async def test_a_flood_of_requests_while_a_query_runs_is_not_read(ask, archive, autojump_clock):
    """What came before its time is bounded: the rest stays with the peer until the query is over."""
    archive.rows, archive.seconds = studies(30), 1.0
    asking = await ask(seconds=100)
    await asking.find(STUDIES, 1, *(asking.octets.echo(number) for number in range(2, 2000)))
    await trio.sleep(3)
    assert len(asking.served.association._requests) == 1
    assert statuses(await asking.responses())[-1] == 0
    assert [(await asking.peer.message()).message_id for _ in range(1998)] == list(range(2, 2000))


async def test_release_in_the_middle_is_answered_after_the_final_response(ask, archive, autojump_clock):
    archive.rows, archive.seconds = studies(7), 0.1
    asking = await ask()
    await asking.find(STUDIES)
    await asking.response()
    await asking.peer.send(AReleaseRQ())
    assert statuses(await asking.responses())[-1] == 0
    assert isinstance(await asking.peer.pdu(), AReleaseRP)
    asking.peer.close()
    assert await asking.served.end() is None


async def test_a_peer_that_goes_away_ends_the_query(ask, archive, autojump_clock):
    archive.rows, archive.seconds = studies(3000), 1.0
    asking = await ask(seconds=1e6, matches=10_000)
    await asking.find(STUDIES)
    await asking.response()
    asking.peer.close()
    assert type(await asking.served.end()).__name__ == "ConnectionLostError"
    assert archive.pages < 10


@pytest.mark.parametrize("offered", [b"\1", b"\1\1\0\0\0"])
async def test_relational_queries_by_negotiation(ask, archive, offered, autojump_clock):
    archive.rows = [{"modality": "CT", "series_instance_uid": "1.3"}]
    item = SOPClassExtendedNegotiation(sop_class_uid=STUDY_ROOT_FIND, service_class_application_information=offered)
    asking = await ask(items=(item,))
    await asking.find({0x00080052: "SERIES", 0x00080060: "CT"})
    assert statuses(await asking.responses()) == [0xFF00, 0]


async def test_several_queries_at_once(ask, archive, octets, autojump_clock):
    """Asynchronous operations: each is cancelled by its own number."""
    archive.rows, archive.seconds = studies(30), 0.5
    asking = await ask(operations_invoked=3, items=(octets.window(3),), seconds=100)
    for number in (1, 2, 3):
        await asking.find(STUDIES, number)
    await asking.peer.send(asking.cancel(2))
    final = {}
    while len(final) < 3:
        message, _ = await asking.response()
        if message.status not in (0xFF00, 0xFF01):
            final[message.message_id] = message.status
    assert final == {1: 0, 2: 0xFE00, 3: 0}


async def test_the_next_query_is_answered_when_one_broke(ask, archive, autojump_clock):
    archive.rows = studies(1)
    asking = await ask()
    await asking.find({0x00080052: "FOO"})
    assert statuses(await asking.responses()) == [0xA900]
    await asking.find(STUDIES, 2)
    assert statuses(await asking.responses()) == [0xFF00, 0]


async def test_an_identifier_without_end_ends_the_association(ask, autojump_clock):
    """More than 1 MiB is no identifier: A-ABORT, and no memory for the rest."""
    asking = await ask()
    await asking.find(b"\x10\x00\x00\x40\xff\xff\xff\x00" + bytes(1024 * 1024))
    assert isinstance(await asking.peer.pdu(), AAbort)
    asking.peer.close()
    assert type(await asking.served.end()).__name__ == "PeerProtocolError"
