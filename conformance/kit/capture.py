"""A capture of a case: what went over its connections, as pcapng."""

from collections.abc import Iterator
from io import BytesIO

from dulcet.conformance.captures.pcapng import PcapngWriter
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.writer import ConversationWriter
from dulcet.conformance.kit.exchange import Kind, Record, Wire
from dulcet.conformance.kit.result import CaseResult

DICOM_PORT = 104  # so that a dissector knows what it is, whatever the port was
_KIT, _PRODUCT = "192.0.2.1", "192.0.2.2"  # RFC 5737: addresses for documentation
_FIRST_PORT = 50000
SEGMENT_OCTETS = 1400


def capture(result: CaseResult) -> bytes:
    """The file; the octets that were not kept are missing in it."""
    started = 0.0 if result.started is None else result.started.timestamp()
    file = BytesIO()
    comment = f"dulcet conform: {result.case.id}, {result.verdict.value} {result.judgement.code}"
    writer = PcapngWriter(file, comment=comment)
    conversations = {wire.number: _conversation(wire, writer) for wire in result.findings.wires}
    for time, _, _, wire, record in sorted(_moments(result), key=lambda moment: moment[:3]):
        _write(conversations[wire.number], wire, record, int((started + time) * 1e9))
    return file.getvalue()


def _moments(result: CaseResult) -> Iterator[tuple[float, int, int, Wire, Record]]:
    for wire in result.findings.wires:
        for index, record in enumerate(wire.records):
            yield record.time, wire.number, index, wire, record


def _conversation(wire: Wire, writer: PcapngWriter) -> ConversationWriter:
    client, server = (_KIT, _PRODUCT) if wire.kit_connected else (_PRODUCT, _KIT)
    ends = (client, _FIRST_PORT + wire.number), (server, DICOM_PORT)
    return ConversationWriter(writer, *ends, segment_octets=SEGMENT_OCTETS)


def _write(conversation: ConversationWriter, wire: Wire, record: Record, time: int) -> None:
    kit = Direction.TO_SERVER if wire.kit_connected else Direction.TO_CLIENT
    match record.kind:
        case Kind.CONNECTED:
            conversation.open(time)
        case Kind.SENT:
            conversation.send(time, kit, record.octets)
        case Kind.RECEIVED:
            conversation.send(time, kit.opposite, record.octets)
        case Kind.FIN_SENT | Kind.FIN:
            conversation.close(time, kit if record.kind is Kind.FIN_SENT else kit.opposite)
        case Kind.RST_SENT | Kind.RST:
            conversation.close(time, kit if record.kind is Kind.RST_SENT else kit.opposite, is_reset=True)
