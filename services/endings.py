"""How an association ended, as the error that tells it: what each PDU and each fault means for who waits."""

from dulcet.errors import (
    AssociationAbortedError,
    AssociationError,
    AssociationRejectedError,
    ConnectionLostError,
    DecodeError,
    PeerProtocolError,
)
from dulcet.ul.pdu import AAbort, AAssociateRJ
from dulcet.ul.reasons import explain_abort, explain_rejection


def aborted(pdu: AAbort) -> AssociationAbortedError:
    """The peer's A-ABORT."""
    text = f"the peer aborted the association ({explain_abort(pdu.source, pdu.reason)})"
    return AssociationAbortedError(text, source=pdu.source, reason=pdu.reason)


def provider_aborted(cause: DecodeError | None) -> AssociationError:
    """A-P-ABORT indication: the connection was lost, or we aborted because of `cause`."""
    if cause is None:
        return ConnectionLostError("the connection was lost")
    return PeerProtocolError(f"the peer broke the protocol, so the association was aborted: {cause}{_else(cause)}")


_OTHER_PROTOCOLS = {
    **dict.fromkeys(b"H<", "it answers in HTTP, so that is a web server"),
    **dict.fromkeys(b"GP", "it asks in HTTP, as a browser does"),
    ord("S"): "it speaks SSH",
    0x15: "it speaks TLS (--tls)",  # an alert, RFC 8446 5.1
    0x16: "it speaks TLS (--tls)",  # a handshake
}
"""By the first octet, which is no PDU type."""


def _else(cause: DecodeError) -> str:
    """What speaks there instead of DICOM, if its first octet tells."""
    if cause.field != "pdu_type":
        return ""
    found = (what for octet, what in _OTHER_PROTOCOLS.items() if cause.explanation.startswith(f"type {octet:02X}H "))
    return "".join(f"; {what}" for what in found)


def no_association(rejection: AAssociateRJ | None, *, is_aborted: bool) -> AssociationError:
    """Nothing more will come and no indication said why: our A-ASSOCIATE-RJ, our A-ABORT (AA-1), or a close."""
    if rejection is None:
        if is_aborted:
            return PeerProtocolError("the peer did not begin with an A-ASSOCIATE-RQ, so it was sent an A-ABORT")
        return ConnectionLostError("the peer ended the connection")
    result, source, reason = rejection.result, rejection.source, rejection.reason
    explanation = f"the association was rejected: {explain_rejection(result, source, reason)}"
    return AssociationRejectedError(explanation, result=result, source=source, reason=reason)


def unfinished() -> AssociationAbortedError:
    """A message of ours that was not sent whole: no other can follow it (PS3.8 E.1)."""
    text = "a message could not be sent to its end, so the association can only be aborted"
    return AssociationAbortedError(text, source=0, reason=0, by_peer=False)
