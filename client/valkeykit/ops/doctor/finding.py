"""What is found, and the report of it all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

LAYERS = (
    "dns", "tcp", "tls", "protocol", "authentication", "permissions", "topology", "memory",
    "persistence", "replication", "latency", "clients", "version",
)  # fmt: skip
"""In the order in which they depend on each other: up to permissions, what fails in one stops the rest of a node."""

PROBLEM, WARNING, NOTE = "problem", "warning", "note"
CERTAIN, LIKELY, POSSIBLE = "certain", "likely", "possible"

_RANK = {PROBLEM: 0, WARNING: 1, NOTE: 2}


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    name: a stable word. severity: problem, warning or note. what: the state. why: what follows from it.
    fix: a command that mends it, or shows more where nothing can be mended from afar. node: host:port.
    """

    layer: str
    severity: str
    name: str
    what: str
    why: str
    fix: str
    sure: str = CERTAIN
    node: str = ""


@dataclass(frozen=True)
class Report:
    """target: what was looked at, without a password. reached: the layers that could be looked at."""

    target: str
    findings: tuple[Finding, ...]
    reached: tuple[str, ...]
    seconds: float

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is a problem; there may be warnings."""
        return not any(finding.severity == PROBLEM for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One line for all of it."""
        problems, warnings = (sum(one.severity == kind for one in self.findings) for kind in (PROBLEM, WARNING))
        if problems:
            first = next(one for one in self.findings if one.severity == PROBLEM)
            return f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}; first: {first.what}"
        return f"healthy, {_count(warnings, 'warning')}"

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "target": self.target,
            "healthy": self.is_healthy,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 2),
            "layers": {layer: self.state(layer) for layer in LAYERS},
            "findings": [asdict(finding) for finding in self.findings],
        }

    def state(self, layer: str) -> str:
        """problem, warning, ok, or skipped where it couldn't be looked at."""
        found = {finding.severity for finding in self.findings if finding.layer == layer}
        for severity in (PROBLEM, WARNING):
            if severity in found:
                return severity
        return "ok" if layer in self.reached else "skipped"


def order(findings: list[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by layer; what is the same on several nodes stays as it is."""
    return tuple(sorted(findings, key=lambda one: (_RANK[one.severity], LAYERS.index(one.layer), one.node, one.name)))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
