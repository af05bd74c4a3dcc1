"""C-GET as SCU: objects come as C-STORE requests of the peer on our association (PS3.4 C.4.3, C.5.3)."""

import struct

import pytest
import trio

from dulcet.dimse.messages import CEchoRQ, CGetRQ, CStoreRQ, CStoreRSP, NEventReportRQ
from dulcet.dimse.uids import STORAGE_SOP_CLASSES, STUDY_ROOT_GET, VERIFICATION
from dulcet.errors import ConnectionLostError, PeerTimeoutError, StorageError
from dulcet.services.find import UID_LIST_SYNTAXES
from dulcet.services.get import COMPRESSED, STORAGE_BY_USE, UNCOMPRESSED, get, get_contexts, receivable
from dulcet.services.requestor import associate
from dulcet.services.retrieving.responses import FOR_EVER, Patience
from dulcet.services.retrieving.retrieve import SubOperations
from dulcet.services.storage import Durability, Storage, StorageOptions
from dulcet.services.storage_scp import storage_operation
from dulcet.services.storing.placing import StoredObject
from dulcet.ul.items import RoleSelection

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
KEYS = {0x00080052: "STUDY", 0x0020000D: "1.2.3"}
PENDING, SUCCESS, CANCEL, WARNING = 0xFF00, 0, 0xFE00, 0xB000
PROPOSED, ROLES = get_contexts([STUDY_ROOT_GET], [CT])
CONTEXTS = PROPOSED[:2]
AGREED = RoleSelection(sop_class_uid=CT, scu_role=0, scp_role=1)


def data_set(uid, sop_class=CT):
    def element(number, value):
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HH2sH", 8, number, b"UI", len(value)) + value

    return element(0x16, sop_class.encode()) + element(0x18, uid.encode())


async def sub_operation(scp, uid, message_id, *, context_id=3, sop_class=CT, octets=None):
    """Have an object stored; the status that comes back."""
    request = CStoreRQ(
        affected_sop_class_uid=sop_class, message_id=message_id, affected_sop_instance_uid=uid, priority=0
    )
    data = data_set(uid, sop_class) if octets is None else octets
    await scp.send(scp.octets.message(request, context_id=context_id), scp.octets.data(data, context_id=context_id))
    response = await scp.peer.message()
    assert isinstance(response, CStoreRSP)
    assert response.message_id_being_responded_to == message_id
    return response.status


@pytest.fixture
def storage(tmp_path):
    kept = Storage(StorageOptions(directory=tmp_path / "kept", durability=Durability.NONE, min_free_octets=0))
    yield kept
    kept.close()


@pytest.fixture
def outcomes():
    """What became of each object that came."""
    return []


@pytest.fixture
def got(storage, outcomes):
    """Get from a network; (the retrieval, what was counted, what the peer got wrong)."""

    async def run(network, *, patience=FOR_EVER):
        store = storage_operation(storage, observe=lambda _association, _request, outcome: outcomes.append(outcome))
        try:
            async with associate(network.peer, CONTEXTS, user_items=ROLES) as association:
                async with get(association, STUDY_ROOT_GET, KEYS, store, patience=patience) as retrieval:
                    counts = [counts async for counts in retrieval]
                return retrieval, counts, [deviation.explanation for deviation in association.deviations]
        finally:
            await network.finished()

    return run


async def test_objects_between_pending_responses(answering, got, outcomes, autojump_clock):
    async def play(scp):
        request = await scp.next_request()
        assert request == CGetRQ(affected_sop_class_uid=STUDY_ROOT_GET, message_id=1)
        assert {tag: scp.identifier.text(tag) for tag in scp.identifier.elements} == KEYS
        for number in range(3):
            assert await sub_operation(scp, f"1.2.3.{number}", message_id=number + 1) == SUCCESS
            await scp.send(scp.counted(PENDING, 2 - number, number + 1))
        await scp.send(scp.counted(SUCCESS, None, 3))
        await scp.release()

    retrieval, counts, deviations = await got(answering(play, AGREED))
    assert [each.completed for each in counts] == [1, 2, 3]
    assert retrieval.sub_operations == SubOperations(completed=3)
    assert [outcome.sop_instance_uid for outcome in outcomes] == ["1.2.3.0", "1.2.3.1", "1.2.3.2"]
    assert all(outcome.path.is_file() for outcome in outcomes)
    assert deviations == []


async def test_objects_and_nothing_but_a_final_response(answering, got, outcomes, autojump_clock):
    async def play(scp):
        await scp.next_request()
        assert await sub_operation(scp, "1.2.3.1", message_id=9) == SUCCESS
        assert await sub_operation(scp, "1.2.3.2", message_id=1) == SUCCESS  # the peer's IDs are its own
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    retrieval, counts, _ = await got(answering(play, AGREED))
    assert (counts, len(outcomes), retrieval.failure) == ([], 2, None)


@pytest.mark.parametrize(
    "uid", ["../../x", "/etc/passwd", "..", ".", "1.2..3", "1.2\0.3", "1." * 33, "a.b", "1.02", "", "1.2.3\\1.2.4"]
)
async def test_a_sub_operation_whose_uid_is_a_path(answering, got, outcomes, tmp_path, uid, autojump_clock):
    async def play(scp):
        await scp.next_request()
        assert await sub_operation(scp, uid, message_id=1, octets=data_set("1.2.3.4")) == 0x0117
        assert await sub_operation(scp, "1.2.3.4", message_id=2) == SUCCESS
        await scp.send(scp.counted(WARNING, None, 1, 1))
        await scp.release()

    before = sorted(tmp_path.rglob("*"))
    await got(answering(play, AGREED))
    stored = [outcome for outcome in outcomes if isinstance(outcome, StoredObject)]
    assert [outcome.sop_instance_uid for outcome in stored] == ["1.2.3.4"]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - set(before) == {stored[0].path}


async def test_an_object_that_is_not_what_its_command_says(answering, got, outcomes, autojump_clock):
    async def play(scp):
        await scp.next_request()
        assert await sub_operation(scp, "1.2.3.4", message_id=1, octets=data_set("1.2.3.5")) == 0xA900
        assert await sub_operation(scp, "1.2.3.4", message_id=2, octets=b"\x08\0\x18\0UI\xf0\x001.") == 0xC000
        await scp.send(scp.counted(0xA702, None, 0, 2))
        await scp.release()

    retrieval, _, _ = await got(answering(play, AGREED))
    assert retrieval.failure.status == 0xA702
    assert [type(outcome) for outcome in outcomes] == [StorageError, StorageError]


async def test_a_sub_operation_of_another_class_than_its_context(answering, got, outcomes, autojump_clock):
    async def play(scp):
        await scp.next_request()
        assert await sub_operation(scp, "1.2.3.4", message_id=1, sop_class=MR) == 0x0122
        await scp.send(scp.counted(0xA702, None, 0, 1))
        await scp.release()

    await got(answering(play, AGREED))
    assert outcomes == []


async def test_a_sub_operation_on_the_context_of_the_retrieval(answering, got, outcomes, autojump_clock):
    async def play(scp):
        await scp.next_request()
        assert await sub_operation(scp, "1.2.3.4", message_id=1, context_id=1) == 0x0122
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    await got(answering(play, AGREED))
    assert outcomes == []


async def test_a_sub_operation_without_the_role_is_stored_and_noted(answering, got, outcomes, autojump_clock):
    async def play(scp):
        await scp.next_request()
        assert await sub_operation(scp, "1.2.3.4", message_id=1) == SUCCESS
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    _, _, deviations = await got(answering(play))
    assert len(outcomes) == 1
    assert deviations == [f"C-STORE-RQ on {CT}, without our role as SCP"]


@pytest.mark.parametrize(
    "request_",
    [
        CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=5),
        NEventReportRQ(
            affected_sop_class_uid=CT,
            message_id=5,
            affected_sop_instance_uid="1.2",
            event_type_id=1,
            has_data_set=False,
        ),
    ],
    ids=lambda request: request.NAME,
)
async def test_another_request_of_the_peer_is_refused(answering, got, request_, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.octets.message(request_, context_id=3))
        assert (await scp.peer.message()).status == 0x0211
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    retrieval, _, _ = await got(answering(play, AGREED))
    assert retrieval.failure is None


async def test_counters_that_run_backwards_do_not_count(answering, got, outcomes, autojump_clock):
    async def play(scp):
        await scp.next_request()
        for number, told in enumerate((2, 1, 65535)):
            await sub_operation(scp, f"1.2.3.{number}", message_id=number + 1)
            await scp.send(scp.counted(PENDING, 9, told))
        await scp.send(scp.counted(SUCCESS, None, 3))
        await scp.release()

    retrieval, counts, deviations = await got(answering(play, AGREED))
    assert [each.completed for each in counts] == [2, 2, 65535]
    assert "ran back from 2 to 1" in deviations[0]
    assert len(outcomes) == 3  # what came is what is relied on
    assert retrieval.final.status == SUCCESS


async def test_cancelled_between_objects(answering, storage, outcomes, autojump_clock):
    async def play(scp):
        await scp.next_request()
        assert await sub_operation(scp, "1.2.3.1", message_id=1) == SUCCESS
        await scp.send(scp.counted(PENDING, 9, 1))
        await scp.cancel()
        assert await sub_operation(scp, "1.2.3.2", message_id=2) == SUCCESS  # it was on its way
        await scp.send(scp.counted(CANCEL, 8, 2))
        await scp.release()

    network = answering(play, AGREED)
    store = storage_operation(storage, observe=lambda _association, _request, outcome: outcomes.append(outcome))
    async with associate(network.peer, CONTEXTS, user_items=ROLES) as association:
        async with get(association, STUDY_ROOT_GET, KEYS, store) as retrieval:
            async for _ in retrieval:
                break
        assert (retrieval.final.status, len(outcomes)) == (CANCEL, 2)
    await network.finished()


async def test_patience_counts_from_one_object_to_the_next(answering, got, outcomes, autojump_clock):
    async def play(scp):
        await scp.next_request()
        for number in range(4):
            await trio.sleep(20)
            assert await sub_operation(scp, f"1.2.3.{number}", message_id=number + 1) == SUCCESS
        await scp.peer.rest()

    with pytest.raises(PeerTimeoutError, match="no response to the C-GET within 30 s"):
        await got(answering(play, AGREED), patience=Patience(response=30))
    assert len(outcomes) == 4


async def test_the_connection_is_lost_in_an_object(answering, got, outcomes, tmp_path, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await sub_operation(scp, "1.2.3.1", message_id=1)
        request = CStoreRQ(affected_sop_class_uid=CT, message_id=2, affected_sop_instance_uid="1.2.3.2")
        part = data_set("1.2.3.2")[:20]
        await scp.send(scp.octets.message(request, context_id=3), scp.octets.data(part, is_last=False))

    with pytest.raises(ConnectionLostError):
        await got(answering(play, AGREED))
    assert [outcome.sop_instance_uid for outcome in outcomes] == ["1.2.3.1"]
    assert [path.name for path in tmp_path.rglob("*.dcm")] == [outcomes[0].path.name]


# Contexts and roles -------------------------------------------------------------------------------------------------


async def test_which_classes_the_peer_agreed_to_send(answering, autojump_clock):
    async def play(scp):
        await scp.release()

    contexts, roles = get_contexts([STUDY_ROOT_GET], [CT, MR])
    refused = RoleSelection(sop_class_uid=MR, scu_role=0, scp_role=0)
    network = answering(play, AGREED, refused)
    async with associate(network.peer, contexts, user_items=roles) as association:
        assert receivable(association) == {CT}
    await network.finished()


def test_contexts_for_known_classes():
    contexts, roles = get_contexts([STUDY_ROOT_GET], [CT, MR, CT])
    assert [context.context_id for context in contexts] == list(range(1, 2 * len(contexts), 2))
    assert (contexts[0].abstract_syntax, tuple(contexts[0].transfer_syntaxes)) == (STUDY_ROOT_GET, UID_LIST_SYNTAXES)
    for index, uid in enumerate((CT, MR), 1):
        assert (contexts[index].abstract_syntax, tuple(contexts[index].transfer_syntaxes)) == (uid, UNCOMPRESSED)
    compressed = [(context.abstract_syntax, *context.transfer_syntaxes) for context in contexts[3:]]
    assert compressed == [(uid, syntax) for syntax in COMPRESSED for uid in (CT, MR)]
    assert roles == tuple(RoleSelection(sop_class_uid=uid, scu_role=0, scp_role=1) for uid in (CT, MR))


def test_all_places_are_used_and_no_more():
    contexts, roles = get_contexts([STUDY_ROOT_GET, "1.2.840.10008.5.1.4.1.2.1.3"])
    assert len(contexts) == 128
    assert contexts[-1].context_id == 255
    assert [context.abstract_syntax for context in contexts[2:]] == [role.sop_class_uid for role in roles]
    assert roles[0].sop_class_uid == CT


def test_every_storage_class_has_its_place():
    assert sorted(STORAGE_BY_USE) == sorted(STORAGE_SOP_CLASSES)
    assert not any("retired" in STORAGE_SOP_CLASSES[uid] for uid in STORAGE_BY_USE[:126])
