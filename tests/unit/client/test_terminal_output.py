"""What commands print: at 80 columns without losing data, and line by line where it is no terminal."""

from __future__ import annotations

import io

from rich.console import Console
from valkeykit_ops.bench.benchmark_plan import Cell
from valkeykit_ops.commands import bench, stats
from valkeykit_ops.stats.reading import Figures

FIGURES = Figures(
    node="127.0.0.1:6379", role="primary", version="9.1.2", operations=1234.0, hit_rate=0.5, evicted=0.0, expired=0.0,
    cpu=0.25, memory=2**20, maxmemory=2**28, fragmentation=1.1, keys=3, clients=2, blocked=0, lag=None, slow=0,
    ping_ms=0.5, window=1.0,
)  # fmt: skip


def test_bench_fits_80_columns_and_loses_nothing() -> None:
    cells = [Cell("GET", 50, 64, 1_199_345.0, 10.25, 120.75, 0.99, 0.97, "waiting")]
    printed = io.StringIO()
    Console(file=printed, width=80).print(bench._table(cells))
    lines = printed.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if "GET" in line)
    assert row.split() == ["GET", "50", "64", "1,199,345", "10.25", "120.75", "99%", "97%", "waiting"]
    heading = " ".join(lines[: lines.index(row)])
    assert all(word in heading for word in ("pipeline", "conns", "commands", "client", "server", "limit"))
    assert "…" not in heading


def test_stats_prints_a_line_for_each_node() -> None:
    first, missing = stats.plain_lines([FIGURES], {"127.0.0.1:6380": "nothing listens there"})
    assert " 127.0.0.1:6379 primary: operations/s 1,234" in first
    assert "replication lag -" in first
    assert missing.endswith(" 127.0.0.1:6380: nothing listens there")
