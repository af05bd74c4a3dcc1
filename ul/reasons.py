"""What the codes in A-ASSOCIATE-AC, A-ASSOCIATE-RJ and A-ABORT mean: PS3.8 Tables 9-18, 9-21 and 9-26."""

CONTEXT_RESULTS = {
    0: "acceptance",
    1: "user-rejection",
    2: "no-reason (provider rejection)",
    3: "abstract-syntax-not-supported (provider rejection)",
    4: "transfer-syntaxes-not-supported (provider rejection)",
}
"""Table 9-18, result/reason."""

REJECT_RESULTS = {1: "rejected-permanent", 2: "rejected-transient"}
"""Table 9-21, result."""

REJECT_SOURCES = {
    1: "DICOM UL service-user",
    2: "DICOM UL service-provider (ACSE related function)",
    3: "DICOM UL service-provider (Presentation related function)",
}
"""Table 9-21, source."""

REJECT_REASONS = {
    (1, 1): "no-reason-given",
    (1, 2): "application-context-name-not-supported",
    (1, 3): "calling-AE-title-not-recognized",
    (1, 7): "called-AE-title-not-recognized",
    (2, 1): "no-reason-given",
    (2, 2): "protocol-version-not-supported",
    (3, 1): "temporary-congestion",
    (3, 2): "local-limit-exceeded",
}
"""Table 9-21, reason, by (source, reason); every other pair is reserved."""

ABORT_SOURCES = {0: "DICOM UL service-user", 1: "source 1 (reserved)", 2: "DICOM UL service-provider"}
"""Table 9-26, source."""

ABORT_REASONS = {
    0: "reason-not-specified",
    1: "unrecognized-PDU",
    2: "unexpected-PDU",
    3: "reserved",
    4: "unrecognized-PDU-parameter",
    5: "unexpected-PDU-parameter",
    6: "invalid-PDU-parameter-value",
}
"""Table 9-26, reason/diag; significant when the source is the service-provider."""


def explain_rejection(result: int, source: int, reason: int) -> str:
    """One line in the standard's words for an A-ASSOCIATE-RJ."""
    parts = (
        REJECT_RESULTS.get(result, f"result {result} (not defined)"),
        REJECT_REASONS.get((source, reason), f"reason {reason} (reserved)"),
        REJECT_SOURCES.get(source, f"source {source} (not defined)"),
    )
    return f"{parts[0]}, {parts[1]}, by the {parts[2]}"


def explain_abort(source: int, reason: int) -> str:
    """One line in the standard's words for an A-ABORT."""
    who = ABORT_SOURCES.get(source, f"source {source} (not defined)")
    if source != 2:
        return f"aborted by the {who}"
    return f"aborted by the {who}, {ABORT_REASONS.get(reason, f'reason {reason} (not defined)')}"
