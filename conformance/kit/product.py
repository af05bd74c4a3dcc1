"""The product under test: where it is, what it claims, and how patient the kit is with it."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.gate import Gate
from dulcet.dimse import uids


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """Something that a product can do or not: cases that need it are skipped without it."""

    name: str
    meaning: str
    abstract_syntaxes: tuple[str, ...] = ()
    """What is proposed to find out whether the product has it; none when only a declaration tells."""


CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
SECONDARY_CAPTURE_STORAGE = "1.2.840.10008.5.1.4.1.1.7"

CLAIMS = (
    Claim(name="verification", meaning="C-ECHO as SCP", abstract_syntaxes=(uids.VERIFICATION,)),
    Claim(
        name="storage",
        meaning="C-STORE as SCP",
        abstract_syntaxes=(CT_IMAGE_STORAGE, SECONDARY_CAPTURE_STORAGE, MR_IMAGE_STORAGE),
    ),
    Claim(name="find", meaning="C-FIND as SCP", abstract_syntaxes=(uids.STUDY_ROOT_FIND, uids.PATIENT_ROOT_FIND)),
    Claim(name="move", meaning="C-MOVE as SCP", abstract_syntaxes=(uids.STUDY_ROOT_MOVE, uids.PATIENT_ROOT_MOVE)),
    Claim(name="get", meaning="C-GET as SCP", abstract_syntaxes=(uids.STUDY_ROOT_GET, uids.PATIENT_ROOT_GET)),
    Claim(name="mpps", meaning="N-CREATE as SCP", abstract_syntaxes=(uids.MODALITY_PERFORMED_PROCEDURE_STEP,)),
    Claim(
        name="storage-commitment", meaning="N-ACTION as SCP", abstract_syntaxes=(uids.STORAGE_COMMITMENT_PUSH_MODEL,)
    ),
    Claim(name="user-identity", meaning="checks user identities; credentials are in the configuration"),
    Claim(name="move-destination", meaning="knows the kit's second listener as a C-MOVE destination"),
    Claim(name="byte-exact", meaning="gives back stored data sets octet for octet"),
    Claim(name="tls", meaning="speaks TLS"),
    Claim(name="tls-client-certificate", meaning="demands a client certificate"),
)
"""In the order of the reports."""

CLAIM_NAMES = tuple(claim.name for claim in CLAIMS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Seconds. A wait that ends in nothing is repeated with `patient` before the product is blamed for it."""

    answer: float = 2.0
    """For what has to come."""
    settle: float = 0.25
    """For what has to stay away."""
    patient: float = 5.0
    """For what has to come, the second time."""
    artim: float = 30.0
    """The product's ARTIM as declared."""
    artim_declared: bool = False
    """Without that, a connection that stays open says nothing."""
    artim_margin: float = 3.0
    """Added to it: timers are seldom exact."""

    @property
    def until_artim(self) -> float:
        """How long a product may keep a connection that it should close by ARTIM."""
        return self.artim + self.artim_margin


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """What is known about the product before a case starts."""

    host: str
    port: int
    called: str
    calling: str = "DULCET"
    claims: Mapping[str, str] = field(default_factory=dict)
    """Name of a claim -> `declared` or `observed`."""
    sop_classes: Mapping[str, str] = field(default_factory=dict)
    """Abstract syntax -> transfer syntax that the product accepted for it."""
    promiscuous: bool | None = None
    """Whether it answers to any called AE title; None when that was not declared."""
    user: tuple[bytes, ...] = ()
    """Sub-items that every request carries: a user identity."""
    bad_user: tuple[bytes, ...] = ()
    """A user identity that the product should refuse."""
    tls: ssl.SSLContext | None = None
    tls_name: str | None = None
    make_tls: Callable[[], ssl.SSLContext] | None = None
    """A new context as `tls` is, for a case to restrict."""
    make_tls_without_certificate: Callable[[], ssl.SSLContext] | None = None
    """The same without our certificate."""
    move_destination: str = ""
    """The AE title by which the product knows the kit's second listener."""
    move_port: int = 0
    """Where that listener listens."""
    is_blocked_by_silence: bool = False
    """A connection on which nothing is said keeps it from serving others."""
    known_problems: frozenset[str] = frozenset()
    """Codes of what goes wrong on every ordinary association: only the cases meant for them report them."""
    known_outcomes: frozenset[str] = frozenset()
    """What it gives, wrongly, to an ordinary C-ECHO or A-RELEASE-RQ: as the outcome of another case it says nothing."""
    can_be_probed: bool = True
    """It answered a C-ECHO on an association of its own before the first case."""
    parallel: int = 1
    """How many associations the product serves at once, as far as the kit uses it."""
    gate: Gate | None = None
    """One case at a time goes in; None where they don't keep each other out."""

    def request(self, *contexts: bytes) -> stimuli.Request:
        """A proper A-ASSOCIATE-RQ to this product; Verification when no context is given."""
        asked = stimuli.Request(called=stimuli.title(self.called), calling=stimuli.title(self.calling))
        if contexts:
            asked = asked.but(contexts=contexts)
        return asked.with_user(*self.user) if self.user else asked

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def has(self, claim: str) -> bool:
        """Whether the product claims this."""
        return claim in self.claims
