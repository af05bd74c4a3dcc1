"""C-MOVE as SCP: sub-operations counted at every step, whatever the destination does (PS3.4 C.4.2)."""

import os

import pytest
import trio

from dulcet.dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN
from dulcet.errors import ArchiveError, PeerUnavailableError, SourceError, UnknownHostError
from dulcet.services import requestor
from dulcet.services.requestor import Peer
from dulcet.services.retrieving.failure_reasons import Reasons
from dulcet.ul.negotiation import REJECTED_CALLED_AE_TITLE
from dulcet.ul.pdu import AAbort, AReleaseRP, AReleaseRQ

MR = "1.2.840.10008.5.1.4.1.1.4"
JPEG = "1.2.840.10008.1.2.4.50"


def counters(message):
    return (
        message.number_of_remaining_suboperations,
        message.number_of_completed_suboperations,
        message.number_of_failed_suboperations,
        message.number_of_warning_suboperations,
    )


def failed_uids(data_set):
    value = data_set.FailedSOPInstanceUIDList
    return [str(value)] if isinstance(value, str) else list(map(str, value))


async def test_an_unknown_destination(ask, archive, make_objects, network, autojump_clock):
    archive.found = make_objects(2)
    asking = await ask()
    await asking.move(to="10.0.0.1:104")
    ((message, data_set),) = await asking.responses()
    assert (message.status, data_set, counters(message)) == (0xA801, None, (None, None, None, None))
    assert asking.told == [("C-MOVE", 0xA801, {}, message.error_comment)]
    assert message.error_comment == "10.0.0.1:104 is not in the node book"
    assert not archive.asked
    assert not network.streams


@pytest.mark.parametrize("title", ["DULCET", "DULCET          ", "  DULCET"])
async def test_every_step_is_counted(ask, archive, make_objects, destination, title, autojump_clock):
    archive.found = make_objects(4)
    asking = await ask()
    await asking.move(to=title, message_id=77, priority=1)
    responses = await asking.responses()
    assert [(message.status, *counters(message)) for message, _ in responses] == [
        (0xFF00, 3, 1, 0, 0),
        (0xFF00, 2, 2, 0, 0),
        (0xFF00, 1, 3, 0, 0),
        (0x0000, None, 4, 0, 0),
    ]
    assert [data_set for _, data_set in responses] == [None] * 4
    assert [request.affected_sop_instance_uid for request in destination.requests] == [
        f"1.9.{number}" for number in (1, 2, 3, 4)
    ]
    for request in destination.requests:
        assert request.move_originator_application_entity_title == "PEER"
        assert request.move_originator_message_id == 77
        assert request.priority == 1
    assert destination.is_released
    assert destination.association_request.calling_ae_title == "ARCHIVE"


async def test_nothing_to_send_is_a_success_with_zero_counters(ask, network, autojump_clock):
    asking = await ask()
    await asking.move()
    ((message, data_set),) = await asking.responses()
    assert (message.status, data_set, counters(message)) == (0, None, (None, 0, 0, 0))
    assert not network.streams


@pytest.mark.parametrize(
    ("answers", "status", "final", "failed"),
    [
        ([0, 0xA700, 0xB000, 0], 0xB000, (None, 2, 1, 1), ["1.9.2"]),
        ([0xA700, 0x0110, 0xC000, 0x0122], 0xA702, (None, 0, 4, 0), ["1.9.1", "1.9.2", "1.9.3", "1.9.4"]),
        ([0xB000, 0xB006, 0xB007, 0xB000], 0xB000, (None, 0, 0, 4), None),
        ([0xB000, 0xA700, 0xA700, 0xA700], 0xB000, (None, 0, 3, 1), ["1.9.2", "1.9.3", "1.9.4"]),
        ([0, 0, 0, 0xABCD], 0xB000, (None, 3, 1, 0), ["1.9.4"]),
    ],
)
async def test_the_final_status(
    ask, archive, make_objects, destination, answers, status, final, failed, autojump_clock
):
    archive.found = make_objects(4)
    destination.statuses = answers
    asking = await ask()
    await asking.move()
    *pending, (message, data_set) = await asking.responses()
    assert (message.status, counters(message)) == (status, final)
    assert (None if data_set is None else failed_uids(data_set)) == failed
    assert len(pending) == 3
    for each, nothing in pending:
        assert sum(counters(each)) == 4
        assert nothing is None


async def refuse(*_arguments):
    raise PeerUnavailableError("pacs.example:11112 refused the connection: nothing listens")


async def unknown_host(*_arguments):
    raise UnknownHostError("the name has no address")


async def hang(*_arguments):
    await trio.sleep_forever()


AT = "DULCET at pacs.example:11112"
UNREACHABLE = [
    (refuse, f"{AT} refused the connection", "DULCET@pacs.example:11112 refused the connection: nothing listens"),
    (
        unknown_host,
        f"{AT} has no address",
        "DULCET@pacs.example:11112: the name has no address",
    ),
    (hang, f"{AT} did not answer in time", "DULCET@pacs.example:11112: the destination did not answer in time"),
]


@pytest.mark.parametrize(("connect", "comment", "reason"), UNREACHABLE)
async def test_a_destination_that_cannot_be_reached(
    ask, archive, make_objects, monkeypatch, connect, comment, reason, autojump_clock
):
    monkeypatch.setattr(requestor, "connect", connect)
    archive.found = make_objects(3)
    asking = await ask()
    started = trio.current_time()
    await asking.move()
    ((message, data_set),) = await asking.responses()
    assert (message.status, counters(message)) == (0xA702, (None, 0, 3, 0))
    assert failed_uids(data_set) == ["1.9.1", "1.9.2", "1.9.3"]
    assert message.error_comment == comment
    assert asking.told == [("C-MOVE", 0xA702, {"completed": 0, "failed": 3, "warnings": 0}, reason)]
    assert trio.current_time() - started <= 30


async def reject(peer):
    await peer.pdu()
    await peer.send(REJECTED_CALLED_AE_TITLE)


async def say_nothing(peer):
    await trio.sleep_forever()


async def close(peer):
    await peer.pdu()


@pytest.mark.parametrize(
    ("script", "words", "comment"),
    [
        (reject, "called-AE-title-not-recognized", "DULCET rejected us: called-AE-title-not-recognized"),
        (say_nothing, "did not answer in time", f"{AT} did not answer in time"),
        (close, "closed the connection before it answered", f"{AT} closed the connection"),
    ],
)
async def test_a_destination_that_wants_no_association(
    ask, archive, make_objects, network, script, words, comment, autojump_clock
):
    archive.found = make_objects(2)
    network.script = script
    asking = await ask()
    await asking.move()
    ((message, _),) = await asking.responses()
    assert (message.status, counters(message)) == (0xA702, (None, 0, 2, 0))
    assert message.error_comment == comment
    ((*_, reason),) = asking.told
    assert words in reason
    assert reason.startswith("DULCET@pacs.example:11112")


async def test_a_destination_that_refuses_every_context(ask, archive, make_objects, network, octets, autojump_clock):
    async def refuse_contexts(peer):
        await peer.send(octets.accept(await peer.pdu(), result=3))
        assert isinstance(await peer.pdu(), AReleaseRQ)
        await peer.send(AReleaseRP())

    network.script = refuse_contexts
    archive.found = make_objects(2)
    asking = await ask()
    await asking.move()
    ((message, _),) = await asking.responses()
    assert (message.status, counters(message)) == (0xA702, (None, 0, 2, 0))
    assert message.error_comment == f"{AT} accepted no presentation context"
    assert "abstract-syntax-not-supported" in asking.told[0][3]


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_destination_that_vanishes(ask, archive, make_objects, destination, after, autojump_clock):
    archive.found = make_objects(5)
    destination.vanishes_after = after
    asking = await ask()
    await asking.move()
    *_, (message, data_set) = await asking.responses()
    assert (message.status, counters(message)) == (0xB000 if after else 0xA702, (None, after, 5 - after, 0))
    assert failed_uids(data_set) == [f"1.9.{number}" for number in range(after + 1, 6)]
    assert message.error_comment == f"{AT} closed the connection" + (f" ({5 - after} of 5)" if after else "")


async def test_a_destination_that_aborts(ask, archive, make_objects, network, octets, autojump_clock):
    async def abort(peer):
        await peer.send(octets.accept(await peer.pdu()))
        await peer.whole_message()
        await peer.send(AAbort())

    network.script = abort
    archive.found = make_objects(2)
    asking = await ask()
    await asking.move()
    *_, (message, _) = await asking.responses()
    assert (message.status, counters(message)) == (0xA702, (None, 0, 2, 0))
    assert message.error_comment == f"{AT} aborted the association"
    assert "aborted by the DICOM UL service-user" in asking.told[0][3]


async def test_a_destination_that_refuses_objects(ask, archive, make_objects, destination, autojump_clock):
    """The first reason, and how often; nothing of what the destination wrote."""
    archive.found = make_objects(5)
    destination.statuses = [0, 0xA700, 0x0110, 0xA700, 0]
    asking = await ask()
    await asking.move()
    *_, (message, _) = await asking.responses()
    assert (message.status, counters(message)) == (0xB000, (None, 2, 3, 0))
    assert message.error_comment == "DULCET answered the C-STORE with A700H (2 of 5)"
    assert asking.told[0][3] == "DULCET answered A700H: Refused: Out of resources (2 of 3 that failed)"


async def test_a_reason_keeps_to_an_error_comment(ask, archive, make_objects, monkeypatch, autojump_clock):
    """An LO has 64 characters, no backslash and no control; a long address is left out."""
    reasons = Reasons(
        "A\x1b\\B", Peer(host="a-very-long-name.of-a-host.in-a-hospital.example", port=11112, ae_title="A")
    )
    reasons.add(PeerUnavailableError("a-very-long-name.of-a-host.in-a-hospital.example:11112 did not answer: wrong"))
    assert reasons.comment(1) == "A\\x1b\\x5cB did not answer"
    archive.found = make_objects(1)
    monkeypatch.setattr(requestor, "connect", refuse)
    asking = await ask()
    await asking.move()
    ((message, _),) = await asking.responses()
    assert len(message.error_comment) <= 64


def test_many_different_reasons_are_one_line():
    reasons = Reasons("DULCET", None)
    for number in range(1000):
        reasons.add(SourceError(f"/secret/{number}.dcm can't be read"))
    reasons.add(0xA700)
    assert reasons.text == "/secret/0.dcm can't be read (1000 of 1001 that failed)"
    assert reasons.comment(1001) == "an object can't be read here, or not be converted (1000 of 1001)"


async def test_a_destination_that_never_answers(ask, archive, make_objects, destination, autojump_clock):
    archive.found = make_objects(5)
    destination.silent_after = 2
    asking = await ask(response_seconds=60)
    started = trio.current_time()
    await asking.move()
    *_, (message, _) = await asking.responses()
    assert (message.status, counters(message)) == (0xB000, (None, 2, 3, 0))
    assert 60 <= trio.current_time() - started <= 65


async def test_a_destination_that_answers_nonsense(ask, archive, make_objects, network, octets, autojump_clock):
    async def nonsense(peer):
        await peer.send(octets.accept(await peer.pdu()))
        message, _ = await peer.whole_message()
        await peer.send(octets.message(message.response(status=0), context_id=1)[:-20] + b"\xff" * 20)

    network.script = nonsense
    archive.found = make_objects(2)
    asking = await ask()
    await asking.move()
    *_, (message, _) = await asking.responses()
    assert (message.status, counters(message)) == (0xA702, (None, 0, 2, 0))


async def test_a_cancel_between_sub_operations(ask, archive, make_objects, destination, autojump_clock):
    archive.found = make_objects(50)
    asking = await ask()
    await asking.move()
    await asking.response()
    await asking.peer.send(asking.cancel(context_id=5))
    *_, (message, data_set) = await asking.responses()
    remaining, completed, failed, warning = counters(message)
    assert (message.status, data_set, failed, warning) == (0xFE00, None, 0, 0)
    assert remaining + completed == 50
    assert completed == len(destination.requests) < 40
    assert destination.is_released
    await asking.peer.send(asking.octets.echo(2))
    assert (await asking.peer.message()).NAME == "C-ECHO-RSP"


async def test_a_cancel_in_one_write_with_the_request(ask, archive, make_objects, destination, autojump_clock):
    archive.found = make_objects(5)
    asking = await ask()
    archive.seconds = 1.0
    await asking.move()
    await asking.peer.send(asking.cancel(context_id=5))
    *_, (message, _) = await asking.responses()
    assert message.status == 0xFE00
    assert sum(counters(message)) == 5


async def test_a_cancel_while_the_destination_hangs(ask, archive, make_objects, destination, autojump_clock):
    """What is under way gets some seconds, and counts as failed."""
    archive.found = make_objects(5)
    destination.silent_after = 1
    asking = await ask(cancel_seconds=5, response_seconds=600)
    await asking.move()
    await asking.response()
    await trio.sleep(100)
    started = trio.current_time()
    await asking.peer.send(asking.cancel(context_id=5))
    ((message, data_set),) = await asking.responses()
    assert (message.status, counters(message)) == (0xFE00, (3, 1, 1, 0))
    assert failed_uids(data_set) == ["1.9.2"]
    assert trio.current_time() - started < 10


async def test_who_asked_goes_away(ask, archive, make_objects, destination, network, autojump_clock):
    """PS3.4 C.4.2.3.1, note: whether sub-operations go on is undefined. Ours end, and nothing hangs."""
    archive.found = make_objects(50)
    asking = await ask()
    await asking.move()
    await asking.response()
    await asking.peer.send(AAbort())
    asking.peer.close()
    assert type(await asking.served.end()).__name__ == "AssociationAbortedError"
    await network.finished()
    assert len(destination.requests) < 40


async def test_release_before_the_final_response(ask, archive, make_objects, destination, autojump_clock):
    archive.found = make_objects(5)
    asking = await ask()
    await asking.move()
    await asking.response()
    await asking.peer.send(AReleaseRQ())
    assert (await asking.responses())[-1][0].status == 0
    assert isinstance(await asking.peer.pdu(), AReleaseRP)
    asking.peer.close()
    assert await asking.served.end() is None


async def test_more_objects_than_one_request_may_ask_for(ask, archive, make_objects, network, autojump_clock):
    archive.found = make_objects(4)
    asking = await ask(suboperations=3)
    await asking.move()
    ((message, data_set),) = await asking.responses()
    assert (message.status, data_set) == (0xA702, None)
    assert "3 objects" in message.error_comment
    assert not network.streams


async def test_an_index_that_fails(ask, archive, autojump_clock):
    archive.error = ArchiveError("the index can't be read")
    asking = await ask()
    await asking.move()
    ((message, _),) = await asking.responses()
    assert message.status == 0xA701


async def test_a_file_that_is_gone_or_changed_fails_alone(ask, archive, make_objects, destination, autojump_clock):
    archive.found = make_objects(4)
    os.unlink(archive.found[1].name)
    os.truncate(archive.found[2].name, 400)
    asking = await ask()
    await asking.move()
    responses = await asking.responses()
    message, data_set = responses[-1]
    assert (message.status, counters(message)) == (0xB000, (None, 2, 2, 0))
    assert failed_uids(data_set) == ["1.9.2", "1.9.3"]
    assert message.error_comment == "an object can't be read here, or not be converted (2 of 4)"
    assert [counters(each)[0] for each, _ in responses[:-1]] == [3, 2, 1] or len(responses) >= 3


async def test_what_the_destination_takes_only_in_another_syntax_is_converted(
    ask, archive, make_objects, network, octets, destination, autojump_clock
):
    archive.found = make_objects(1)

    async def implicit_only(peer):
        request = await peer.pdu()
        answer = octets.accept(request)
        implicit = [
            type(each).answer(each.context_id, 0, IMPLICIT_VR_LITTLE_ENDIAN) for each in answer.presentation_contexts
        ]
        await peer.send(
            type(answer)(
                called_ae_title=request.called_ae_title,
                calling_ae_title=request.calling_ae_title,
                items=(answer.items[0], *implicit, answer.items[-1]),
            )
        )
        message, data_set = await peer.whole_message()
        destination.data_sets.append(data_set)
        await peer.send(octets.message(message.response(status=0), context_id=1))
        await peer.pdu()
        await peer.send(AReleaseRP())

    network.script = implicit_only
    asking = await ask()
    await asking.move()
    ((message, _),) = await asking.responses()
    assert (message.status, counters(message)) == (0, (None, 1, 0, 0))
    assert destination.data_sets == [b"\x10\x00\x10\x00\x06\0\0\0DOE^J " + b"\xe0\x7f\x10\x00\x04\0\0\0\1\2\3\4"]
    asking.peer.close()


async def test_what_cannot_be_converted_fails_alone(
    ask, archive, make_objects, network, octets, destination, autojump_clock
):
    archive.found = [*make_objects(1), *make_objects(2, MR, JPEG, first=2)]

    async def no_jpeg(peer):
        request = destination.association_request = await peer.pdu()
        answer = octets.accept(request)
        contexts = [
            type(each).answer(each.context_id, 0 if each.context_id == 1 else 4, each.transfer_syntax)
            for each in answer.presentation_contexts
        ]
        await peer.send(
            type(answer)(
                called_ae_title=request.called_ae_title,
                calling_ae_title=request.calling_ae_title,
                items=(answer.items[0], *contexts, answer.items[-1]),
            )
        )
        message, _ = await peer.whole_message()
        await peer.send(octets.message(message.response(status=0), context_id=1))
        await peer.pdu()
        await peer.send(AReleaseRP())

    network.script = no_jpeg
    asking = await ask()
    await asking.move()
    *_, (message, data_set) = await asking.responses()
    assert (message.status, counters(message)) == (0xB000, (None, 1, 2, 0))
    assert failed_uids(data_set) == ["1.9.2", "1.9.3"]


async def test_more_than_128_contexts_take_a_second_association(
    ask, archive, make_objects, destination, network, autojump_clock
):
    classes = [f"1.2.840.10008.5.1.4.1.1.{number}" for number in range(600, 730)]
    archive.found = [each for n, uid in enumerate(classes, 1) for each in make_objects(1, uid, first=n)]
    asking = await ask()
    await asking.move()
    *_, (message, _) = await asking.responses()
    assert (message.status, counters(message)) == (0, (None, 130, 0, 0))
    assert len(network.streams) == 2
