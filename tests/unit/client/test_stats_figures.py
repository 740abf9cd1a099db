"""Windows, the slow log and the page of valkeykit stats, without a server."""

from __future__ import annotations

import io
from collections import deque
from dataclasses import replace

import pytest
from rich.console import Console
from valkeykit.settings import resolve_settings
from valkeykit.url import Node
from valkeykit_ops.commands import stats
from valkeykit_ops.stats import metrics, slow_log
from valkeykit_ops.stats.reading import Figures, Reading, between, read
from valkeykit_ops.stats.slow_log import SlowEntry, SlowLog
from valkeykit_ops.stats.watch import Watch

NODE = Node("10.0.0.1", 6379)

EXPORTER = {
    "redis_up", "redis_db_keys", "redis_commands_processed_total", "redis_keyspace_hits_total",
    "redis_keyspace_misses_total", "redis_evicted_keys_total", "redis_expired_keys_total",
    "redis_rejected_connections_total", "redis_cpu_user_main_thread_seconds_total",
    "redis_cpu_sys_main_thread_seconds_total", "redis_memory_used_bytes", "redis_memory_used_rss_bytes",
    "redis_memory_max_bytes", "redis_connected_clients", "redis_blocked_clients", "redis_slowlog_last_id",
    "redis_connected_slave_lag_seconds", "redis_master_last_io_seconds_ago",
    "redis_exporter_last_scrape_ping_time_seconds",
}  # fmt: skip
"""Names of redis_exporter."""


def reading(when: float, commands: int) -> Reading:
    info = {"total_commands_processed": commands, "server_time_usec": int((1_000 + when) * 1e6)}
    return read(NODE, info, when, slow=0, ping=0.001)


def test_the_last_minute_is_the_last_sixty_seconds() -> None:
    """A burst at the start leaves the window, and a younger node shows how long its window is."""
    watch, history = Watch(resolve_settings("redis://h")), deque([reading(0, 0)])
    watch._slow_logs[NODE] = SlowLog()
    watch._slow_logs[NODE].entries = [SlowEntry(when, 0.2, "c", "GET, 1 argument") for when in (1_099, 1_041, 1_030)]
    figures = []
    for second in range(1, 101):
        commands = 10_000 if second <= 10 else 10_000 + 7 * (second - 10)
        figures.append(watch._figures(history, reading(second, commands)))
        history.append(reading(second, commands))
    assert (figures[4].minute_window, figures[4].minute) == (5, 2_000)
    assert (figures[-1].window, figures[-1].operations) == (1, 7)
    assert (figures[-1].minute_window, figures[-1].minute) == (60, 7)
    assert len(history) == 61
    assert figures[-1].slow == 2
    assert [one.when for one in figures[-1].slow_log] == [1_099, 1_041]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([b"SET", b"session:1", b"secret-value"], "SET, 2 arguments"),
        ([b"config", b"set", b"requirepass", b"secret-value"], "CONFIG SET, 2 arguments"),
        ([b"AUTH", b"secret-value"], "AUTH, 1 argument"),
        ([b"PING"], "PING, 0 arguments"),
        ([], ""),
    ],
)
def test_a_slow_command_is_shown_without_values(words: list[bytes], shown: str) -> None:
    entry = slow_log._entry(7, 1_700_000_000, 250_000, words, b"10.0.0.9:5000", b"")
    assert entry == SlowEntry(1_700_000_000.0, 0.25, "10.0.0.9:5000", shown)
    assert slow_log._entry(7, 1, 1, words, b"10.0.0.9:5000", b"worker").client == "worker"


def figures(number: int) -> list[Figures]:
    plain = between(reading(0, 0), reading(2, 1_000))
    entry = SlowEntry(1_700_000_000, 0.25, "worker-1", "KEYS, 1 argument")
    return [replace(plain, node=f"10.0.0.{index}:6379", slow_log=[entry]) for index in range(1, number + 1)]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_page_fits_its_terminal(width: int) -> None:
    """Several nodes are side by side where there is room, else below each other; nothing is cut off."""
    console = Console(width=width, record=True, no_color=True, file=io.StringIO())
    console.print(stats._page(figures(5), Watch(resolve_settings("redis://h")), width))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for index in range(1, 6):
        assert f"10.0.0.{index}:6379" in text
    assert text.count("operations/s, last minute") == {60: 5, 80: 5, 100: 3, 200: 1}[width]
    for unit in ("1.00 ms", "250.0 ms", "0.0 MiB", "of one core"):
        assert unit in text


def test_metrics_have_the_names_of_redis_exporter() -> None:
    families = metrics._Collector(Watch(resolve_settings("redis://127.0.0.1:1")), strict=False).collect()
    names = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
    assert names == EXPORTER
