"""Which source goes to which target, type by type: tried on real servers, printed as a table, kept in docs/."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from valkeykit.version_numbers import parse_version
from valkeykit_ops.migrate.payload import Format

from harness.servers import ServerProcess
from tests.migrate import data, harness

FILE = Path(__file__).parents[2] / "docs" / "client" / "migrate-matrix.md"

SOURCES = ("redis-5.0", "redis-6.2", "redis-7.0", "redis-7.4", "redis-8.2", "valkey-8.1", "valkey-9.1")
TARGETS = ("valkey-8.1", "valkey-9.1")
BACK = ("redis-6.2", "redis-7.0", "redis-7.4", "redis-8.2")
"""Targets of a reverse migration from Valkey 9.1."""

PAIRS = [*((source, target) for source in SOURCES for target in TARGETS), *(("valkey-9.1", old) for old in BACK)]

FIELD_TTL = "field TTLs"
COLUMNS = (*data.KINDS, FIELD_TTL)
KNOW_FIELD_TTL = {"redis-7.4", "redis-8.2", "valkey-9.1"}
KNOW_ENDS = {*SOURCES, *BACK} - {"redis-5.0", "redis-6.2"}

_INTRODUCTION = """# Compatibility matrix

Generated with `python -m tests.migrate.matrix` on the servers it lists; a test keeps this page up to date.
Each cell shows how small values of a type are transferred, after each of them was verified at the target.
`as it is` uses DUMP and RESTORE; **rewritten** also changes the footer of the payload.
**by commands** reads and writes the elements.
`no` is rejected unless `--accept-loss` is given, and `-` cannot occur.
Keys above 1 MiB are always copied with commands, in chunks.
The last rows are reverse migrations.

"""


@contextlib.contextmanager
def all_servers(folder: Path) -> Iterator[dict[str, ServerProcess]]:
    """One server of each build, and a second one of each that is source and target."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(harness.started(folder / name, name.partition("+")[0]))
            for name in {*SOURCES, *BACK, *(f"{target}+" for target in TARGETS)}
        }


def cells(servers: dict[str, ServerProcess], source: str, target: str, folder: Path) -> dict[str, str]:
    """How each type is transferred between two servers.

    Raises:
        AssertionError: a value differs at the target.
    """
    old, new = servers[source], servers[f"{target}+" if f"{target}+" in servers else target]
    ours, theirs = data.raw(old.port), data.raw(new.port)
    with contextlib.closing(ours), contextlib.closing(theirs):
        ours.flushall()
        theirs.flushall()
        back = target in BACK
        if back:
            harness.switched(new.url, old.url, folder)
        dice = random.Random(f"{source}{target}")
        for kind in data.KINDS:
            for number in range(6):
                data.MAKERS[kind](ours, dice, f"{kind}:{number}".encode())
                ours.pexpire(f"{kind}:{number}", data.DAY * (number + 1))
        knows = source in KNOW_FIELD_TTL
        if knows:
            data.fields_that_end(ours, FIELD_TTL.encode() + b":0")
        lost = knows and target not in KNOW_FIELD_TTL
        if back:
            report = harness.reverse(new.url, old.url, folder, accept_loss=lost)
        else:
            report = harness.migrate(old.url, new.url, folder, accept_loss=lost)
        assert report.complete, report.record()
        assert bool(report.unmovable) == lost
        plain = not {source, target} <= KNOW_ENDS
        assert data.snapshot(ours, plain=plain) == data.snapshot(theirs, plain=plain)
        if knows and not lost:
            assert _field_ends(ours) == _field_ends(theirs)
        ways = {kind: _way(ours, target, kind) for kind in data.KINDS}
        return ways | {FIELD_TTL: "-" if not knows else "no" if lost else _way(ours, target, FIELD_TTL)}


def _field_ends(client: Any) -> Any:
    names = [f"f{number}" for number in range(10)]
    return client.execute_command("HPEXPIRETIME", f"{FIELD_TTL}:0", "FIELDS", len(names), *names)


def _way(client: Any, target: str, kind: str) -> str:
    engine, _, version = target.partition("-")
    reads = Format.of(engine, parse_version(version))
    ways = {reads.transfer_mode(client.dump(key)).value for key in client.scan_iter(f"{kind}:*")}
    return " / ".join(sorted(ways))


def table(rows: dict[tuple[str, str], dict[str, str]]) -> str:
    """The page."""
    head = ("from", "to", *COLUMNS)
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    for (source, target), row in rows.items():
        lines.append(f"| {' | '.join((source, target, *(row[column] for column in COLUMNS)))} |")
    return _INTRODUCTION + "\n".join(lines) + "\n"


def measure(folder: Path) -> str:
    """Try all pairs; the page.

    Raises:
        AssertionError: a value differs at the target.
    """
    with all_servers(folder) as servers:
        rows = {
            (source, target): cells(servers, source, target, folder / f"{source} {target}") for source, target in PAIRS
        }
    return table(rows)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        FILE.write_text(measure(Path(place)))
