"""Known vulnerabilities of Valkey and Redis, and the releases that mend them.

Of each CVE the first release that has the fix, a line each; a version of that line below it is affected. A line
that isn't named is not judged. Sources: the release notes in valkey-io/valkey (00-RELEASENOTES of 7.2 to 9.1) and
redis/redis (6.2 to 8.10), and the CVE records of the CVE Program, read in November 2026. The three of May 2026 stand
with the first release of each Valkey line after the disclosure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

Version = tuple[int, int, int]


class Vulnerability(NamedTuple):
    """valkey, redis: fixed releases. needs_tls: only a server with TLS has it."""

    cve: str
    valkey: tuple[str, ...]
    redis: tuple[str, ...]
    needs_tls: bool = False


_LUA = ("7.2.11", "8.0.6", "8.1.4"), ("6.2.20", "7.2.11", "7.4.6", "8.0.4", "8.2.2")
_MAY = ("7.2.13", "8.0.8", "8.1.7", "9.0.4"), ("7.2.14", "8.6.3")
_FEBRUARY = ("7.2.12", "8.0.7", "8.1.6", "9.0.2")

VULNERABILITIES = (
    Vulnerability("CVE-2024-46981", ("7.2.8", "8.0.2"), ("6.2.17", "7.2.7", "7.4.2")),
    Vulnerability("CVE-2024-51741", ("7.2.8", "8.0.2"), ("7.2.7", "7.4.2")),
    Vulnerability("CVE-2025-21605", ("7.2.9", "8.0.3", "8.1.1"), ("6.2.18", "7.2.8", "7.4.3")),
    Vulnerability("CVE-2025-27151", ("7.2.10", "8.0.4", "8.1.2"), ("7.2.9", "7.4.4", "8.0.2")),
    Vulnerability("CVE-2025-32023", ("7.2.10", "8.0.4", "8.1.3"), ("6.2.19", "7.2.10", "7.4.5", "8.0.3")),
    Vulnerability("CVE-2025-48367", ("7.2.10", "8.0.4", "8.1.3"), ("6.2.19", "7.2.10", "7.4.5", "8.0.3")),
    Vulnerability("CVE-2025-49844", *_LUA),
    Vulnerability("CVE-2025-46817", *_LUA),
    Vulnerability("CVE-2025-46818", *_LUA),
    Vulnerability("CVE-2025-46819", *_LUA),
    Vulnerability("CVE-2025-67733", _FEBRUARY, ()),
    Vulnerability("CVE-2026-21863", _FEBRUARY, ()),
    Vulnerability("CVE-2026-27623", ("9.0.3",), ()),
    Vulnerability("CVE-2026-23479", *_MAY),
    Vulnerability("CVE-2026-25243", *_MAY),
    Vulnerability("CVE-2026-23631", *_MAY),
    Vulnerability("CVE-2026-63639", ("8.0.10", "8.1.9", "9.0.5", "9.1.1"), ()),
    Vulnerability("CVE-2026-56684", ("7.2.14", "8.0.10", "8.1.9", "9.0.5", "9.1.1"), (), needs_tls=True),
    Vulnerability(
        "CVE-2026-81934",
        (),
        ("6.2.24", "7.2.16", "7.4.11", "8.2.9", "8.4.6", "8.6.6", "8.8.2", "8.10.1"),
        needs_tls=True,
    ),
)


def affecting(engine: str, version: Version, *, has_tls: bool) -> list[Vulnerability]:
    """Those that a version is open to."""
    line = f"{version[0]}.{version[1]}"
    return [
        one for one in VULNERABILITIES
        if (has_tls or not one.needs_tls)
        and any(version < (parse_version(fixed) or version) for fixed in _of(one, engine) if _line(fixed) == line)
    ]  # fmt: skip


def fixed_release(vulnerabilities: Sequence[Vulnerability], engine: str, line: str) -> str:
    """The least release of a line, such as 8.1, that has the fixes of all of them; empty where the line has none."""
    fixed = [one for known in vulnerabilities for one in _of(known, engine) if _line(one) == line]
    return max(fixed, key=lambda one: parse_version(one) or (0, 0, 0), default="")


def parse_version(text: str) -> Version | None:
    """The three numbers; None for what isn't a version."""
    parts = text.split("-", maxsplit=1)[0].split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


def _of(one: Vulnerability, engine: str) -> Iterable[str]:
    return one.valkey if engine == "valkey" else one.redis


def _line(version: str) -> str:
    return version.rsplit(".", 1)[0]
