"""What is fuzzed: one function for each decoder of what a peer sends. Any octets go in; a broken rule raises.

The rules are those of the property tests: only typed errors, what was understood says the same when it is sent again,
the pieces in which octets come make no difference, after an error only A-ABORTs go out. No fuzzer is imported here:
`fuzz.py` runs these under atheris, `test_fuzz_corpus.py` over the committed corpus.
"""

from collections.abc import Callable, Iterator

from dulcet.dimse.messages import UnacceptableMessage, decode_message
from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES
from dulcet.errors import DecodeError
from dulcet.services.storing.data_set_walk import DataSetWalk
from dulcet.ul.connection import Connection, Effect, Indicate, IndicateProviderAbort, Send
from dulcet.ul.items import (
    ApplicationContext,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
    decode_association_item,
)
from dulcet.ul.negotiation import Supported, answer, outcome
from dulcet.ul.pdu import (
    PROTOCOL_VERSION,
    AAbort,
    AAssociateAC,
    AAssociateRQ,
    AETitle,
    AnyPDU,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    decode_pdu,
)
from dulcet.ul.table import State
from dulcet.ul.user_items import USER_SUB_ITEMS
from dulcet.ul.validity import why_invalid

VERIFICATION = "1.2.840.10008.1.1"
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"]
TITLES = {"called_ae_title": AETitle("CALLED"), "calling_ae_title": AETitle("CALLING")}
USER = UserInformation(sub_items=())
CONTEXTS = [PresentationContextRQ.propose(context_id, VERIFICATION, SYNTAXES) for context_id in range(1, 7, 2)]
RQ = AAssociateRQ(**TITLES, items=(ApplicationContext(), *CONTEXTS, USER))
AC = AAssociateAC(**TITLES, items=(ApplicationContext(), PresentationContextAC.answer(1, 0, SYNTAXES[0]), USER))
SUPPORTED = Supported(
    transfer_syntaxes={VERIFICATION: SYNTAXES},
    max_pdu_length=16384,
    requestor_may_be_scp={VERIFICATION},
    operations_invoked=0,
    extended=lambda _uid, information: information,
    authenticate=lambda identity: identity.primary_field or None,
)


def pdu(octets: bytes) -> None:
    """The PDU decoder, validity and negotiation."""
    try:
        decoded = decode_pdu(octets).pdu
    except DecodeError as error:
        _check_error(error, octets)
        return
    assert decode_pdu(decoded.encode()).pdu == decoded
    why_invalid(decoded, RQ)
    if isinstance(decoded, AAssociateRQ) and decoded.protocol_version & PROTOCOL_VERSION:
        _negotiate(decoded)


def _negotiate(request: AAssociateRQ) -> None:
    """As AE-6 does and who is asked after it."""
    if why_invalid(request, None) is not None:
        return
    reply = answer(request, SUPPORTED)
    if isinstance(reply, AAssociateAC):
        assert [each.context_id for each in reply.presentation_contexts] == [
            each.context_id for each in request.presentation_contexts
        ]
        assert why_invalid(reply, request) is None
        assert outcome(request, reply, is_requestor=True).contexts == (
            outcome(request, reply, is_requestor=False).contexts
        )


def items(octets: bytes) -> None:
    """The item parser: the first octet chooses which, the others are a whole item or nearly one."""
    decoders = [decode_association_item, *(item.decode for item in USER_SUB_ITEMS)]
    if len(octets) < 2:
        return
    decode, octets = decoders[octets[0] % len(decoders)], octets[1:]
    for whole in (octets, octets[:1] + b"\0" + (len(octets) - 1).to_bytes(4, "big")[-2:] + octets[1:]):
        try:
            item = decode(whole, [])
        except DecodeError as error:
            _check_error(error, whole)
            continue
        if item.encode()[0] == whole[0]:
            assert decode(item.encode(), []) == item


def _check_error(error: DecodeError, octets: bytes) -> None:
    assert error.table, error
    assert 0 <= error.offset <= len(octets), error
    assert error.abort_reason in (1, 6), error


# The whole connection -----------------------------------------------------------------------------------------------


def connection(octets: bytes) -> None:
    """A stream of PDUs: the first octet chooses role and phase, eight more where the stream is cut.

    The user answers what is asked.
    """
    head, cuts, stream = octets[:1] or b"\0", octets[1:9], octets[9:]
    whole, pieces = _in_phase(head[0]), _in_phase(head[0])
    is_over = whole.state is State.STA13
    expected = list(_effects(whole, [stream]))
    assert list(_effects(pieces, _cut(stream, cuts))) == expected
    assert (pieces.state, pieces.pending_octets) == (whole.state, whole.pending_octets)
    for word, detail in expected:
        if word == "send":
            assert isinstance(detail, bytes)
            assert detail[0] == 7 or not is_over
            is_over = is_over or detail[0] in (3, 7)
        assert word != "indicate" or not is_over


def _in_phase(choice: int) -> Connection:
    """Both roles at the beginning, associated, with a release requested, aborted."""
    is_requestor, phase = bool(choice & 1), choice >> 1 & 3
    side = Connection(is_requestor=is_requestor, max_pdu_length=2048, max_associate_octets=2048)
    if is_requestor:
        side.send(RQ)
        side.transport_connected()
    else:
        side.transport_accepted()
    if phase:
        side.receive((AC if is_requestor else RQ).encode())
        if not is_requestor:
            side.send(AC)
    if phase > 1:
        side.send(AReleaseRQ() if phase == 2 else AAbort())
    return side


def _cut(stream: bytes, cuts: bytes) -> Iterator[bytes]:
    start = 0
    for length in cuts:
        yield stream[start : start + length]
        start += length
    yield stream[start:]


def _effects(side: Connection, chunks: "Iterator[bytes] | list[bytes]") -> Iterator[tuple[str, object]]:
    for chunk in chunks:
        while chunk:
            buffer = side.receive_buffer()
            count = min(len(buffer), len(chunk))
            buffer[:count] = chunk[:count]
            side.received(count)
            chunk = chunk[count:]
            while (effects := side.next_effects()) is not None:
                yield from map(_words, effects)
                for effect in effects:
                    if isinstance(effect, Indicate):
                        yield from map(_words, _user(side, effect.pdu))


def _user(side: Connection, told: AnyPDU) -> tuple[Effect, ...]:
    if isinstance(told, AAssociateRQ):
        return side.send(answer(told, SUPPORTED))
    must_release = side.state in (State.STA8, State.STA9, State.STA12)
    return side.send(AReleaseRP()) if must_release and isinstance(told, AReleaseRQ | AReleaseRP) else ()


def _words(effect: Effect) -> tuple[str, object]:
    if isinstance(effect, Send):
        return "send", b"".join(effect.buffers)
    if isinstance(effect, Indicate):
        pdu = effect.pdu
        return "indicate", (pdu.encode() if isinstance(pdu, PDataTF) else pdu, effect.deviations)
    if isinstance(effect, IndicateProviderAbort):
        return "provider abort", str(effect.cause)
    return type(effect).__name__, None


# What is in a P-DATA-TF ---------------------------------------------------------------------------------------------


def command_set(octets: bytes) -> None:
    """The command-set decoder: a message, one that is refused with a status, or an error."""
    try:
        message = decode_message(octets).message
    except DecodeError as error:
        _check_error(error, octets)
        return
    if isinstance(message, UnacceptableMessage):
        assert 0 <= message.status <= 0xFFFF
        return
    assert decode_message(message.encode()).message == message


def data_set(octets: bytes) -> None:
    """The data set walker: the first octet chooses the transfer syntax, eight more where the data set is cut."""
    syntaxes = sorted(TRANSFER_SYNTAXES)
    syntax, cuts, stream = syntaxes[(octets[:1] or b"\0")[0] % len(syntaxes)], octets[1:9], octets[9:]
    whole = _walked(syntax, [stream])
    assert _walked(syntax, list(_cut(stream, cuts))) == whole
    assert whole[0] is None or 0 <= whole[0] <= len(stream)


def _walked(syntax: str, fragments: list[bytes]) -> tuple[int | None, object]:
    """Where it went wrong, and what it says it is."""
    walk = DataSetWalk(syntax)
    try:
        for fragment in fragments:
            walk.feed(memoryview(fragment))
        walk.finish()
    except DecodeError as error:
        return error.offset, str(error)
    return None, (walk.octets, walk.sop_class_uid, walk.sop_instance_uid)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "pdu": pdu,
    "items": items,
    "connection": connection,
    "command_set": command_set,
    "data_set": data_set,
}
