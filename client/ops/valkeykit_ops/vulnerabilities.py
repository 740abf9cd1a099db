"""Known vulnerabilities of Valkey and Redis, and the releases that fix them.

The data file lists the first fixed release of each minor version for every CVE; older releases of that minor version
are vulnerable, and a minor version without a fixed release is not checked.
`python -m stackctl.maintenance.update_vulnerabilities` updates the file from OSV.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from valkeykit.version_numbers import minor_version, parse_version

Release = tuple[int, int, int]


class Vulnerability(NamedTuple):
    """A vulnerability.

    Attributes:
        valkey, redis: Fixed releases.
        needs_tls: Whether only servers with TLS are vulnerable.
    """

    cve: str
    valkey: tuple[str, ...]
    redis: tuple[str, ...]
    needs_tls: bool = False


class VulnerabilityTable(NamedTuple):
    """The content of the data file. date: day of the last update, as YYYY-MM-DD."""

    date: str
    vulnerabilities: tuple[Vulnerability, ...]


@lru_cache
def load_table() -> VulnerabilityTable:
    """The installed vulnerability table."""
    return parse_table(resources.files(__package__).joinpath("vulnerabilities.json").read_text(encoding="utf-8"))


def parse_table(text: str) -> VulnerabilityTable:
    """Parse the text of a data file."""
    record = json.loads(text)
    rows = (
        Vulnerability(row["cve"], tuple(row["valkey"]), tuple(row["redis"]), row.get("needs_tls", False))
        for row in record["vulnerabilities"]
    )
    return VulnerabilityTable(record["date"], tuple(rows))


def affecting(engine: str, version: Release, *, has_tls: bool) -> list[Vulnerability]:
    """The vulnerabilities of a version."""
    line = f"{version[0]}.{version[1]}"
    return [
        one
        for one in load_table().vulnerabilities
        if (has_tls or not one.needs_tls)
        and any(version < parse_version(fixed) for fixed in _of(one, engine) if minor_version(fixed) == line)
    ]


def fixed_release(vulnerabilities: Sequence[Vulnerability], engine: str, line: str) -> str:
    """The oldest release of a minor version, such as 8.1, that fixes all of them; empty if there is none."""
    fixed = [one for known in vulnerabilities for one in _of(known, engine) if minor_version(one) == line]
    return max(fixed, key=parse_version, default="")


def parse_release(text: str) -> Release | None:
    """The three numbers of a release; None if the text has fewer or more."""
    numbers = parse_version(text)
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None


def _of(one: Vulnerability, engine: str) -> Iterable[str]:
    return one.valkey if engine == "valkey" else one.redis
