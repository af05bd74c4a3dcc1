"""What a run found: one result for each case, and the run they belong to."""

from dataclasses import dataclass, field
from datetime import datetime

from dulcet.conformance.kit.case import Case, Level
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.verdict import NO_CONNECTION, Ending, Judgement, Verdict
from dulcet.conformance.kit.visit import Findings


@dataclass(kw_only=True, slots=True)
class CaseResult:
    """One case, played or not."""

    case: Case
    judgement: Judgement
    outcome: Outcome | None = None
    ending: Ending = NO_CONNECTION
    findings: Findings = field(default_factory=Findings)
    started: datetime | None = None
    seconds: float = 0.0
    attempts: int = 0
    first: Judgement | None = None
    """What the first run gave, when a second one was made."""
    waiver: str = ""
    """The reason of a waiver: the verdict stands, but counts for nothing."""
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict on the behaviour."""
        return self.judgement.verdict

    @property
    def is_required_failure(self) -> bool:
        """A failure of something that the standard demands, without a waiver."""
        return self.verdict is Verdict.FAIL and self.case.level is Level.REQUIRED and not self.waiver

    @property
    def is_failure(self) -> bool:
        """Any failure without a waiver."""
        return self.verdict is Verdict.FAIL and not self.waiver


@dataclass(kw_only=True, slots=True)
class Observed:
    """What the kit learnt about the product before the first case."""

    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    maximum_length_received: int | None = None
    contexts: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Abstract syntax -> (result, transfer syntax)."""
    associations_at_once: int = 1
    """As many as the kit tried, or as the product served without having one wait for another."""
    is_blocked_by_silence: bool = False
    """A connection on which nothing is said keeps the product from serving others."""
    tls: str = ""
    """Version and cipher."""
    artim_seconds: float | None = None
    """As measured by `ul.tcp.artim.no-rq`."""


@dataclass(kw_only=True, slots=True)
class Run:
    """A whole run."""

    side: str
    """`scp`: the kit connected; `scu`: the kit listened."""
    peer: str
    command_line: str
    started: datetime
    again: str = "dulcet conform"
    """The command line that plays one case again, but for its `--case`."""
    seconds: float = 0.0
    declared: dict[str, object] = field(default_factory=dict)
    """From the configuration and the options."""
    claims: dict[str, str] = field(default_factory=dict)
    """Claim -> `declared` or `observed`."""
    observed: Observed = field(default_factory=Observed)
    configuration_digest: str = ""
    """SHA-256 of the configuration file."""
    results: list[CaseResult] = field(default_factory=list)
    died_in: list[str] = field(default_factory=list)
    """The cases in one of which the product stopped answering for good."""
    not_played: int = 0
    """Cases that were selected, and that were to come when the run was stopped."""
    interrupted_by: str = ""
    """What stopped it: `SIGINT`, `SIGTERM`."""

    @property
    def required_failures(self) -> list[CaseResult]:
        """What makes the exit code 1."""
        return [result for result in self.results if result.is_required_failure]

    @property
    def failures(self) -> list[CaseResult]:
        """What makes it 1 with --strict."""
        return [result for result in self.results if result.is_failure]
