"""bench, on real servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from valkeykit.errors import ConfigurationError
from valkeykit.settings import resolve_settings
from valkeykit_ops.bench.benchmark_plan import BenchPlan, limit_of
from valkeykit_ops.bench.load_run import PREFIX, TTL_SECONDS, Bench

from harness import servers
from harness.endpoints.endpoint_servers import MEMORY_LIMIT
from harness.servers import ServerProcess, running
from tests.doctor.test_stats import command

SHORT = BenchPlan(seconds=1.6, connections=(1, 4), pipelines=(1, 20))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running(tmp_path / "server", *MEMORY_LIMIT) as made:
        yield made


def test_each_cell_is_measured_and_nothing_stays(server: ServerProcess) -> None:
    with closing(server.client()) as client:
        client.set("kept", "1")
        cells = []
        for cell in Bench(resolve_settings(server.url), SHORT).run():
            keys = [str(key) for key in client.scan_iter() if key != "kept"]
            assert keys
            assert all(key.startswith(PREFIX) and 0 < client.ttl(key) <= TTL_SECONDS for key in keys)
            cells.append(cell)
        assert client.keys() == ["kept"]
        calls = client.info("commandstats")
        assert calls["cmdstat_get"]["calls"] > 100
    assert [(one.command, one.pipeline, one.connections) for one in cells] == SHORT.cells
    for one in cells:
        assert one.rate > 0
        assert 0 < one.p50_ms <= one.p99_ms
        assert one.client > 0
        assert one.server > 0
        assert one.limit == limit_of(one.client, one.server)


def test_a_run_that_is_closed_early_deletes_its_keys(server: ServerProcess) -> None:
    run = Bench(resolve_settings(server.url), SHORT).run()
    next(run)
    run.close()
    with closing(server.client()) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_a_server_that_is_nearly_full_is_left_alone(server: ServerProcess, policy: str) -> None:
    with closing(server.client()) as client:
        client.setrange("a", 5_000_000, "x")
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.05))
        client.config_set("maxmemory-policy", policy)
        with pytest.raises(ConfigurationError, match="nearly full"):
            list(Bench(resolve_settings(server.url), SHORT).run())
        assert client.dbsize() == 1


def test_a_cluster(tmp_path: Path) -> None:
    with servers.cluster(tmp_path) as nodes:
        arguments = ("--seconds", "1", "--connections", "2", "--pipeline", "10", "--json")
        shown = command("bench", *arguments, VALKEY_URL=nodes[1].url)
        assert shown.returncode == 0, shown.stderr
        assert [one["command"] for one in json.loads(shown.stdout)] == ["GET", "SET"]
        for node in nodes:
            with closing(node.client()) as client:
                assert client.dbsize() == 0


def test_a_table(server: ServerProcess) -> None:
    shown = command("bench", "--seconds", "3.2", VALKEY_URL=server.url)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("CPU") == 2, "of the client and of the server"


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (BenchPlan(seconds=1000), "--seconds"),
        (BenchPlan(seconds=0.1), "--seconds"),
        (BenchPlan(seconds=float("nan")), "--seconds"),
        (BenchPlan(connections=(0,)), "--connections"),
        (BenchPlan(pipelines=(5000,)), "--pipeline"),
        (BenchPlan(value_bytes=0), "--size"),
    ],
)
def test_invalid_plans(plan: BenchPlan, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Bench(resolve_settings("redis://localhost:1"), plan)


@pytest.mark.parametrize(
    ("client", "server", "limit"),
    [(0.99, 0.4, "client"), (0.5, 0.97, "server"), (0.9, 0.95, "server"), (0.3, 0.3, "waiting")],
)
def test_the_limit(client: float, server: float, limit: str) -> None:
    assert limit_of(client, server) == limit
