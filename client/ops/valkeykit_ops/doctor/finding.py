"""Findings and the report of an examination."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from valkeykit.vocabulary import Confidence, Severity

from valkeykit_ops import vulnerabilities

LAYERS = (
    "dns", "tcp", "tls", "protocol", "authentication", "permissions", "topology", "memory",
    "persistence", "replication", "latency", "clients", "version",
)  # fmt: skip
"""Ordered by dependency: up to authentication, a failed layer stops the examination of a node."""

PROBLEM: Severity = "problem"
WARNING: Severity = "warning"
NOTE: Severity = "note"
CERTAIN: Confidence = "certain"
LIKELY: Confidence = "likely"
POSSIBLE: Confidence = "possible"

_RANK = {PROBLEM: 0, WARNING: 1, NOTE: 2}


@dataclass(frozen=True)
class Finding:
    """One result of an examination.

    Attributes:
        name: Stable identifier.
        what: The state.
        why: Its consequence.
        fix: Command that fixes it, or shows more if it cannot be fixed remotely.
        node: host:port.
    """

    layer: str
    severity: Severity
    name: str
    what: str
    why: str
    fix: str
    confidence: Confidence = CERTAIN
    node: str = ""


@dataclass(frozen=True)
class DoctorReport:
    """The report of an examination.

    Attributes:
        target: The endpoint, without a password.
        reached: The layers that were examined.
    """

    target: str
    findings: tuple[Finding, ...]
    reached: tuple[str, ...]
    seconds: float

    @property
    def is_healthy(self) -> bool:
        """Whether there is no problem; warnings are allowed."""
        return not any(finding.severity == PROBLEM for finding in self.findings)

    @property
    def vulnerability_data(self) -> str:
        """Date of the vulnerability data, as YYYY-MM-DD."""
        return vulnerabilities.load_table().date

    @property
    def verdict(self) -> str:
        """A one-line summary."""
        different = {(one.severity, one.name, one.what) for one in self.findings}  # several nodes may have the same
        counts = {kind: sum(severity == kind for severity, _, _ in different) for kind in _RANK}
        alarms = [_count(counts[kind], kind) for kind in (PROBLEM, WARNING) if counts[kind]]
        if alarms:
            return f"{', '.join(alarms)}; first: {self.findings[0].what}"
        return f"healthy, {_count(counts[NOTE], NOTE)}" if counts[NOTE] else "healthy"

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "target": self.target,
            "healthy": self.is_healthy,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 2),
            "vulnerability_data": self.vulnerability_data,
            "layers": {layer: self.state(layer) for layer in LAYERS},
            "findings": [asdict(finding) for finding in self.findings],
        }

    def state(self, layer: str) -> str:
        """problem, warning, ok, or skipped if the layer was not examined."""
        severities = {finding.severity for finding in self.findings if finding.layer == layer}
        for severity in (PROBLEM, WARNING):
            if severity in severities:
                return severity
        return "ok" if layer in self.reached else "skipped"


def by_severity(findings: list[Finding]) -> tuple[Finding, ...]:
    """Order findings by severity, then by layer."""
    return tuple(sorted(findings, key=lambda one: (_RANK[one.severity], LAYERS.index(one.layer), one.node, one.name)))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
