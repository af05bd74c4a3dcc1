"""A capture of a case: what went over its connections, as pcapng."""

from collections.abc import Iterator

from dulcet.conformance.captures.pcapng_writer import Conversation, write
from dulcet.conformance.kit.exchange import Kind, Record, Wire
from dulcet.conformance.kit.result import CaseResult

DICOM_PORT = 104  # so that a dissector knows what it is, whatever the port was
_KIT, _PRODUCT = "192.0.2.1", "192.0.2.2"  # RFC 5737: addresses for documentation
_FIRST_PORT = 50000


def capture(result: CaseResult) -> bytes:
    """The file; the octets that were not kept are missing in it."""
    started = 0.0 if result.started is None else result.started.timestamp()
    conversations = {wire.number: _conversation(wire) for wire in result.findings.wires}
    moments = sorted(_moments(result), key=lambda moment: moment[:3])
    blocks = (_block(conversations[wire.number], wire, record, started + time) for time, _, _, wire, record in moments)
    return write(blocks, f"dulcet conform: {result.case.id}, {result.verdict.value} {result.judgement.code}")


def _moments(result: CaseResult) -> Iterator[tuple[float, int, int, Wire, Record]]:
    for wire in result.findings.wires:
        for index, record in enumerate(wire.records):
            yield record.time, wire.number, index, wire, record


def _conversation(wire: Wire) -> Conversation:
    client, server = (_KIT, _PRODUCT) if wire.kit_connected else (_PRODUCT, _KIT)
    return Conversation((client, _FIRST_PORT + wire.number), (server, DICOM_PORT))


def _block(conversation: Conversation, wire: Wire, record: Record, time: float) -> bytes:
    by_kit = wire.kit_connected
    match record.kind:
        case Kind.CONNECTED:
            return conversation.opened(time)
        case Kind.SENT:
            return conversation.sent(time, by_kit, record.octets)
        case Kind.RECEIVED:
            return conversation.sent(time, not by_kit, record.octets)
        case Kind.FIN_SENT | Kind.FIN:
            return conversation.finished(time, by_kit is (record.kind is Kind.FIN_SENT))
        case Kind.RST_SENT | Kind.RST:
            return conversation.reset(time, by_kit is (record.kind is Kind.RST_SENT))
        case _:
            return b""
