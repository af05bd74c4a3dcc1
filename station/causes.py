"""What usually lies behind a refusal, and what to do about it: experience, not the standard."""

from typing import NamedTuple


class Cause(NamedTuple):
    """For one code."""

    cause: str
    advice: str


_TITLES = "AE titles are case sensitive; spaces at their ends don't count."

REJECTION_CAUSES: dict[tuple[int, int], Cause] = {
    (1, 1): Cause(
        "A product's catch-all: a title or address that it does not know, a limit, or nothing of what was proposed.",
        "Ask its administrator; its log names the reason.",
    ),
    (1, 2): Cause(
        "The application context is not DICOM's, or the port belongs to something else than DICOM.",
        "Check the port. Only 1.2.840.10008.3.1.1.1 is defined.",
    ),
    (1, 3): Cause(
        "The peer does not know our (calling) AE title.",
        f"Its administrator has to enter our title and address: `dulcet node snippet`. {_TITLES}",
    ),
    (1, 7): Cause(
        "The peer does not answer to the (called) AE title that we gave.",
        f"Ask for its title. {_TITLES}",
    ),
    (2, 1): Cause(
        "A user identity that was refused (PS3.7 D.3.3.7.3), or a product's catch-all.",
        "Check user, password or token; else ask the administrator.",
    ),
    (2, 2): Cause(
        "Bit 0 of the protocol version was not set.", "The requestor is at fault: version 1 is the only one."
    ),
    (3, 1): Cause("The peer is busy or stopping.", "Try again later."),
    (3, 2): Cause(
        "The peer has as many associations as it allows.", "Try again later, with fewer at once, or ask for more."
    ),
}
"""By (source, reason) of an A-ASSOCIATE-RJ."""

ABORT_CAUSES: dict[tuple[int, int | None], Cause] = {
    (0, None): Cause(
        "The other application gave up: cancelled, timed out, a status that it did not like, or an AE title that it "
        "checks only after it has accepted.",
        "Look at the last message before the abort (`-v`), and at the peer's log.",
    ),
    (2, 0): Cause("The peer's upper layer gave up without saying why.", "Look at the last PDU before it (`-vv`)."),
    (2, 1): Cause(
        "A PDU type that is none: something else than DICOM on the connection, or TLS against plain TCP.",
        "Check port and TLS on both sides.",
    ),
    (2, 2): Cause(
        "A PDU that its state does not allow, as by an A-ASSOCIATE-RQ on an association in force.",
        "`dulcet decode` of a capture shows both machines.",
    ),
    (2, 4): Cause("An item of a PDU that the peer does not know.", "Leave out what is optional: window, identity."),
    (2, 5): Cause(
        "Something where it may not be: a fragment on a context that was not accepted, or out of order.",
        "`dulcet decode` of a capture shows the octets.",
    ),
    (2, 6): Cause(
        "A value that can't be: often a P-DATA-TF longer than the peer takes, or a wrong length.",
        "`dulcet decode` of a capture shows the octets; `--max-pdu` on the other side.",
    ),
}
"""By (source, reason) of an A-ABORT; None: any reason."""

_AGAIN = "Try again later; `dulcet send` does so by itself."

STATUS_CAUSES: dict[tuple[int, str], Cause] = {
    (0xA700, "C-STORE"): Cause(
        "The peer's disk is full or its limits are reached; some use it for any failure.", _AGAIN
    ),
    (0xA900, "C-STORE"): Cause(
        "The object is not of the SOP class that the request names, or lacks what the class needs.",
        "Check (0008,0016) of the file against its meta information.",
    ),
    (0xC000, "C-STORE"): Cause(
        "The peer can't read the object: damaged, cut short, or an attribute that it insists on.",
        "The error comment often names the attribute; `dulcet send --report FILE` keeps it.",
    ),
    (0xB000, "C-STORE"): Cause("The peer stored the object and changed attributes, as a patient's ID.", "Nothing."),
    (0xB006, "C-STORE"): Cause("The peer stored the object without some elements.", "Mind it if you retrieve again."),
    (0xA700, "C-FIND"): Cause("More matches than the peer answers, or it is busy.", "Ask for less: a date, a name."),
    (0xA900, "C-FIND"): Cause(
        "The query does not fit the information model: a key of another level, a missing unique key, no level.",
        "`dulcet find` fills in what a level needs; --root study or patient changes the model.",
    ),
    (0xC000, "C-FIND"): Cause("The peer can't process the query, often for the reasons of A900H.", "See A900H."),
    (0xA701, "C-MOVE"): Cause("The peer can't count what matches.", "Ask for less: one study, one series."),
    (0xA702, "C-MOVE"): Cause(
        "The peer can't send: it can't connect to the destination, or every object failed there.",
        "Does the destination listen, at the address and port that the peer has for it? `dulcet retrieve` checks.",
    ),
    (0xA801, "C-MOVE"): Cause(
        "The peer does not know the destination's AE title.",
        "Its administrator has to enter title, address and port: `dulcet node snippet`; or use C-GET.",
    ),
    (0xB000, "C-MOVE"): Cause(
        "Some objects were not sent.", "The response's Failed SOP Instance UID List names them; retrieve them again."
    ),
    (0xB000, "C-GET"): Cause(
        "Some objects were not sent, often for want of a presentation context.", "`--sop-class` proposes more classes."
    ),
    (0xC000, "C-MOVE"): Cause("The peer can't process the request.", "Its error comment or log says why."),
    (0x0110, ""): Cause("A fault inside the peer.", "Its log says why."),
    (0x0111, ""): Cause("The peer has the instance already and keeps what it has.", "Nothing, if it is the same."),
    (0x0112, ""): Cause("The peer has no such instance.", "Check the UID."),
    (0x0117, ""): Cause("The instance's UID is none, or not one that may be.", "Check the UID: PS3.5 9.1."),
    (0x0122, ""): Cause(
        "The SOP class is not supported, or not on this presentation context.", "Check what the peer accepts: -v."
    ),
    (0x0124, ""): Cause("The peer's rules don't let us.", "Its administrator has to allow our AE title."),
    (0x0211, ""): Cause("The peer does not know the operation.", "It is another kind of server: -v shows its name."),
    (0x0212, ""): Cause("A parameter of the command is missing or of the wrong kind.", "The requestor is at fault."),
    (0xFE00, ""): Cause("Somebody cancelled the operation.", "Nothing."),
}
"""By (status, service); a code of a range by its first."""
