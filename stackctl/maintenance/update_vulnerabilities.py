"""Update of the vulnerability table from OSV (https://osv.dev): python -m stackctl.maintenance.update_vulnerabilities.

OSV has the advisories of Valkey and Redis in the ecosystem Bitnami, with the first fixed release of each minor version.
Entries that OSV does not have are kept, as is `needs_tls`, which advisories only mention in their text: review the
difference before committing it.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from valkeykit_ops import vulnerabilities
from valkeykit_ops.vulnerabilities import Release, Vulnerability, VulnerabilityTable, parse_release

from stackctl.stack import PROJECT

OSV_URL = "https://api.osv.dev/v1/query"
ECOSYSTEM = "Bitnami"
ADVISORY_TIMEOUT_SECONDS = 30

OLDEST_YEAR = 2024
"""Older vulnerabilities are fixed in all releases that still receive fixes."""

OLDEST_MINOR_VERSION = {"valkey": (7, 2), "redis": (6, 2)}
"""Older releases are reported as unsupported instead."""

TABLE = PROJECT / "client/ops/valkeykit_ops/vulnerabilities.json"

Query = Callable[[dict[str, Any]], dict[str, Any]]


def main() -> None:
    """Update the data file and print the number of entries."""
    table = vulnerabilities.parse_table(TABLE.read_text(encoding="utf-8"))
    updated = update(table, query_osv, date.today())  # noqa: DTZ011  (the day where the script runs)
    TABLE.write_text(render(updated), encoding="utf-8")
    print(f"{TABLE}: {len(updated.vulnerabilities)} vulnerabilities, {updated.date}", file=sys.stderr)


def update(table: VulnerabilityTable, query: Query, today: date) -> VulnerabilityTable:
    """Merge the advisories of OSV into a table.

    Args:
        table: the current table.
        query: sends a request to OSV and returns its response.
        today: the date of the new table.
    """
    entries = {one.cve: one for one in table.vulnerabilities}
    for engine in ("valkey", "redis"):
        for advisory in _advisories(engine, query):
            fixed = _fixed_releases(advisory, engine)
            for cve in (name for name in advisory.get("aliases", ()) if name.startswith("CVE-")):
                if fixed and int(cve.split("-")[1]) >= OLDEST_YEAR:
                    entry = entries.get(cve, Vulnerability(cve, (), ()))
                    entries[cve] = entry._replace(valkey=fixed) if engine == "valkey" else entry._replace(redis=fixed)
    ordered = sorted(entries.values(), key=lambda one: tuple(map(int, one.cve.split("-")[1:])))
    return VulnerabilityTable(today.isoformat(), tuple(ordered))


def query_osv(request: dict[str, Any]) -> dict[str, Any]:
    """Send a request to OSV."""
    http_request = urllib.request.Request(OSV_URL, json.dumps(request).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(http_request, timeout=ADVISORY_TIMEOUT_SECONDS) as response:  # noqa: S310  (the URL is constant)
        return dict(json.load(response))


def render(table: VulnerabilityTable) -> str:
    """The text of the data file, with one line per vulnerability."""
    rows = [
        json.dumps({k: v for k, v in one._asdict().items() if k != "needs_tls" or v}) for one in table.vulnerabilities
    ]
    return f'{{\n"date": "{table.date}",\n"vulnerabilities": [\n' + ",\n".join(rows) + "\n]\n}\n"


def _advisories(engine: str, query: Query) -> Iterator[dict[str, Any]]:
    request: dict[str, Any] = {"package": {"name": engine, "ecosystem": ECOSYSTEM}}
    while True:
        response = query(request)
        yield from response.get("vulns", ())
        if not (token := response.get("next_page_token")):
            return
        request = request | {"page_token": token}


def _fixed_releases(advisory: dict[str, Any], engine: str) -> tuple[str, ...]:
    versions: set[Release] = set()
    for affected in advisory.get("affected", ()):
        if affected.get("package", {}).get("name") != engine:
            continue
        for events in (version_range["events"] for version_range in affected.get("ranges", ())):
            parsed = (parse_release(event["fixed"]) for event in events if "fixed" in event)
            versions |= {version for version in parsed if version and version[:2] >= OLDEST_MINOR_VERSION[engine]}
    return tuple(".".join(map(str, version)) for version in sorted(versions))


if __name__ == "__main__":
    main()
