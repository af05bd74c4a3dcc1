"""What a peer got wrong but can be understood: recorded beside the result, never raised."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """One departure from the standard in what was received. The command line warns with it, the kit reports it."""

    clause: str
    """Where the standard says otherwise: `PS3.8 9.3.1`, `PS3.7 Table 9.3-1`."""
    field: str
    """The field's path in the standard's words: `Presentation Context Item 3 / Abstract Syntax`."""
    explanation: str
    """What was found and what was expected, in a sentence."""
    octets: bytes = b""
    """The octets in question, at most 64 of them."""
