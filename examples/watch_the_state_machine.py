"""PS3.8 Table 9-10 without a network: two machines, octets carried by hand from one to the other."""

from dulcet import Connection
from dulcet.ul.connection import Effect, Send
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Supported, answer, propose
from dulcet.ul.pdu import AReleaseRP, AReleaseRQ

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
SUPPORTED = Supported(transfer_syntaxes={VERIFICATION: [IMPLICIT]}, max_pdu_length=16384)


def carry(effects: tuple[Effect, ...], to: Connection) -> None:
    for effect in effects:
        print(f"  {type(effect).__name__}")
        if isinstance(effect, Send):
            print(f"  -> {b''.join(effect.buffers).hex(' ')[:60]}...")
            to.receive(b"".join(effect.buffers))
    print(f"requestor {requestor.state}, acceptor {acceptor.state}")


requestor, acceptor = Connection(is_requestor=True), Connection(is_requestor=False)
request = propose(
    called_ae_title="ACCEPTOR",
    calling_ae_title="REQUESTOR",
    contexts=[PresentationContextRQ.propose(1, VERIFICATION, [IMPLICIT])],
    max_pdu_length=16384,
)
requestor.send(request)
acceptor.transport_accepted()
carry(requestor.transport_connected(), acceptor)
carry(acceptor.send(answer(request, SUPPORTED)), requestor)
carry(requestor.send(AReleaseRQ()), acceptor)
carry(acceptor.send(AReleaseRP()), requestor)
