"""What a failure means and what to do about it, in words for an operator, and what to mail to the other side."""

from dulcet.errors import (
    AssociationAbortedError,
    AssociationRejectedError,
    ConnectionLostError,
    DulcetError,
    NoAcceptedContextError,
    PeerProtocolError,
    PeerTimeoutError,
    PeerUnavailableError,
    TLSError,
    UnknownHostError,
)
from dulcet.escape import quote
from dulcet.services.requestor import Peer


def advice(error: DulcetError, peer: Peer) -> list[str]:
    """Lines to print under the error; empty when there is nothing sensible to say."""
    match error:
        case AssociationRejectedError():
            return _rejected(error, peer)
        case UnknownHostError():
            return ["Check the spelling, or use the address. `getent hosts NAME` shows what this machine knows."]
        case PeerUnavailableError():
            return [
                "Is the address right, and the program there running?",
                "DICOM's usual ports are 104 and 11112 (2762 for TLS); Orthanc listens on 4242.",
            ]
        case TLSError():
            return [
                "--tls-ca names the authority that signed the peer's certificate, --tls-name the name on it,",
                "--tls-cert and --tls-key our own certificate, if the peer wants one.",
            ]
        case NoAcceptedContextError():
            return [
                "The peer is there and talks, but not about this: its configuration says what it stores or answers."
            ]
        case AssociationAbortedError() if error.by_peer:
            return ["Products abort for a wrong AE title, too: check both titles with the peer's administrator."]
        case PeerTimeoutError():
            return ["Something accepts connections there but does not answer as DICOM does; --timeout waits longer."]
        case ConnectionLostError():
            return ["The log of the program there usually says why it closed the connection."]
        case PeerProtocolError():
            return ["Is the port right? If it is DICOM that listens there, `dulcet tap` shows all that is said."]
        case _:
            return []


def _rejected(error: AssociationRejectedError, peer: Peer) -> list[str]:
    called, calling = quote(peer.ae_title), quote(peer.calling_ae_title)
    match error.source, error.reason:
        case 1, 7:
            return [
                f"The peer does not answer to the AE title {called!r}. AE titles are case sensitive.",
                "Ask its administrator for its title, or mail:",
                f"    What is the AE title of your system at {peer.host}, port {peer.port}?",
                f"    We ({calling}) called it {called!r} and were told: called-AE-title-not-recognized.",
            ]
        case 1, 3:
            return [
                f"The peer does not know us as {calling!r} (--aet sets our title).",
                "Its administrator has to enter us; mail:",
                f"    Please let our system send to your {called} ({peer.host}:{peer.port}):",
                f"    AE title {calling}, the address of this machine, and our port if you should answer to us.",
                "    It was told: calling-AE-title-not-recognized.",
            ]
        case 1, 2:
            return ["The peer does not speak DICOM's application context: it is another kind of server."]
        case 2, 1:
            return ["If a user identity was given, it was refused: check --user and its files."]
        case 3, _:
            return ["The peer has too many associations at the moment: try again, or with fewer --jobs."]
        case _ if error.result == 2:
            return ["It is a refusal for the moment: try again later."]
        case _:
            return [
                "The peer gave no reason: usually one of the AE titles, a limit that its administrator set,",
                "or it takes nothing of what was proposed.",
            ]
