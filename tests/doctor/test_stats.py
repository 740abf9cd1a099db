"""stats and metrics, on real servers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from valkeykit import Queue
from valkeykit.errors import ConfigurationError
from valkeykit.settings import resolve_settings
from valkeykit.url import Node
from valkeykit_ops.stats import metrics
from valkeykit_ops.stats.reading import between, read
from valkeykit_ops.stats.watch import Watch

from harness import binaries, servers
from harness.endpoints.endpoint_servers import MEMORY_LIMIT
from harness.ports import HOST, free_port
from harness.servers import Sentinels, ServerProcess, running
from harness.waiting import wait_until


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from valkeykit.cli import main; main()", *arguments],
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | variables,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running(tmp_path / "server", *MEMORY_LIMIT, "--maxmemory-policy", "allkeys-lfu") as made:
        yield made


def test_rates_and_sampled_keys(server: ServerProcess) -> None:
    with Watch(resolve_settings(server.url)) as watch, closing(server.client()) as client:
        client.set("small", "x")
        client.set("large", "x" * 100_000)
        assert watch.update() == []
        for _ in range(150):
            client.get("large")
        for _ in range(50):
            client.get("absent")
        client.config_set("slowlog-log-slower-than", 0)
        client.set("small", "secret")
        client.config_set("slowlog-log-slower-than", -1)
        [one] = watch.update()
        shown = command("slowlog", "--json", VALKEY_URL=server.url)
        plain = command("slowlog", "--limit", "1", VALKEY_URL=server.url)
    assert one.hit_rate == pytest.approx(0.75)
    assert one.operations == one.minute > 0
    assert one.slow == len(one.slow_log) == 2
    assert {entry.command for entry in one.slow_log} == {"SET, 2 arguments", "CONFIG SET, 2 arguments"}
    assert "secret" not in str(one.record()) + shown.stdout + plain.stdout
    assert json.loads(shown.stdout)["missing"] == {}
    commands = [entry["command"] for entry in json.loads(shown.stdout)["entries"]]
    assert commands == ["SET, 2 arguments", "CONFIG SET, 2 arguments"]
    assert ("SET, 2 arguments" in plain.stdout, plain.stdout.count(" ms ")) == (True, 1)
    assert all(abs(time.time() - entry.when) < 60 for entry in one.slow_log)
    assert (one.role, one.keys, one.maxmemory) == ("primary", 2, 300 * 2**20)
    assert one.big[0][0] == "large"
    assert one.big[0][1] > 100_000
    assert {name for name, _ in one.hot} == {"small", "large"}
    assert one.hot[0][0] == "large"


def test_sampling_counts_as_no_use(tmp_path: Path) -> None:
    with (
        running(tmp_path, *MEMORY_LIMIT, "--maxmemory-policy", "allkeys-lru") as server,
        closing(server.client()) as client,
    ):
        client.set("old", "x")
        time.sleep(2.1)
        with Watch(resolve_settings(server.url)) as watch:
            watch.update()
            [one] = watch.update()
        assert one.hot[0][1] <= -2
        assert client.object("IDLETIME", "old") >= 2


def test_counters_of_a_restarted_server_start_at_zero() -> None:
    node, many, few = Node("a", 1), {"total_commands_processed": 1000}, {"total_commands_processed": 30}
    before, after = (read(node, info, when, slow=0, ping=0) for info, when in ((many, 1.0), (few, 2.0)))
    assert between(before, after).operations == 30


@pytest.mark.parametrize("name", ["redis-6.2", "redis-8.2", "valkey-8.1"])
def test_other_servers(tmp_path: Path, name: str) -> None:
    with (
        running(tmp_path, *MEMORY_LIMIT, program=binaries.program(name)) as server,
        Watch(resolve_settings(server.url)) as watch,
    ):
        watch.update()
        [one] = watch.update()
        large = command("slowlog", "--log", "large-request", VALKEY_URL=server.url)
    assert (large.returncode, large.stdout) == ((0, "no entries\n") if name == "valkey-8.1" else (1, ""))
    assert ("doesn't support this command -> use a newer server" in large.stderr) == (name != "valkey-8.1")
    assert one.version.startswith(name.partition("-")[2])
    assert one.operations > 0


@pytest.mark.parametrize("replicas", [0, 1])
def test_all_nodes_of_a_cluster(tmp_path: Path, replicas: int) -> None:
    with servers.cluster(tmp_path, 3, replicas) as nodes:
        shown = json.loads(command("stats", "--json", VALKEY_URL=nodes[-1].url).stdout)
        assert {one["node"] for one in shown["nodes"]} == {f"{HOST}:{node.port}" for node in nodes}
        assert sum(one["role"] == "replica" for one in shown["nodes"]) == 3 * replicas
        for dead in (nodes[1], nodes[-1]) if replicas else ():
            dead.kill()
        if replicas:  # CLUSTER SLOTS does not list them
            shown = json.loads(command("stats", "--json", VALKEY_URL=nodes[0].url).stdout)
            assert set(shown["missing"]) == {f"{HOST}:{node.port}" for node in (nodes[1], nodes[-1])}
            assert len(shown["nodes"]) == 4


def test_the_replicas_that_a_sentinel_lists(tmp_path: Path) -> None:
    group = Sentinels(tmp_path)
    try:
        group.start()
        with closing(group.primary.client()) as client:
            wait_until(lambda: "online" in str(client.info("replication").get("slave0")))
        with Watch(resolve_settings(group.url)) as watch:
            watch.update()
            figures = {one.node: one for one in watch.update()}
            assert {one.role for one in figures.values()} == {"primary", "replica"}
            assert all(one.lag is not None for one in figures.values())
            group.replica.kill()
            watch.update()
            assert [node.port for node in watch.missing] == [group.replica.port]
    finally:
        group.kill()


def test_the_live_view_ends_after_its_seconds(server: ServerProcess) -> None:
    shown = command("stats", "--seconds", "1.5", VALKEY_URL=server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    for label in ("operations/s", "hit rate", "fragmentation", "evicted/s", "clients", "lag", "slow", "PING", "CPU"):
        assert label in shown.stdout


def test_metrics_once_and_served(server: ServerProcess) -> None:
    once = command("metrics", "--once", VALKEY_URL=server.url).stdout
    assert f'redis_up{{node="{HOST}:{server.port}"}} 1.0' in once
    port = free_port()
    served = metrics.serve(resolve_settings(server.url), HOST, port)
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics") as answer:
            names = set(re.findall(r"^(redis_\w+)", answer.read().decode(), re.MULTILINE))
        assert {
            "redis_commands_processed_total",
            "redis_memory_used_bytes",
            "redis_exporter_last_scrape_ping_time_seconds",
            "redis_up",
        } <= names
        server.kill()
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics") as answer:
            assert "redis_up" in answer.read().decode()
        with pytest.raises(ConfigurationError, match="cannot listen"):
            metrics.serve(resolve_settings(server.url), HOST, port)
    finally:
        served.shutdown()
        served.server_close()


def test_metrics_of_queues(server: ServerProcess) -> None:
    with Queue("mail", server.url, allow_eviction=True) as queue:
        queue.add("send")
    once = command("metrics", "--once", "--queues", VALKEY_URL=server.url)
    assert (once.returncode, once.stderr) == (0, "")
    assert 'valkeykit_queue_jobs{queue="mail",state="waiting"} 1.0' in once.stdout
    assert 'valkeykit_queue_workers{queue="mail"} 0.0' in once.stdout
    assert "redis_up" in once.stdout
    assert "valkeykit_queue" not in command("metrics", "--once", VALKEY_URL=server.url).stdout


def test_an_address_for_scrapes_that_is_none(server: ServerProcess) -> None:
    for address in ("127.0.0.1:99999", "a:1,b:2", "localhost:0"):
        shown = command("metrics", "--listen", address, VALKEY_URL=server.url)
        assert (shown.returncode, "is not HOST:PORT -> --listen 127.0.0.1:9121" in shown.stderr) == (1, True)


def test_metrics_without_the_library(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match="need prometheus_client"):
        metrics.text(resolve_settings(server.url))


def test_a_user_who_may_read_only_info(tmp_path: Path) -> None:
    rule = "monitor on >right +ping +info"
    with running(tmp_path, *MEMORY_LIMIT, "--user", *rule.split()) as server:
        url = f"redis://monitor:right@{HOST}:{server.port}"
        with Watch(resolve_settings(url)) as watch:
            watch.update()
            [one] = watch.update()
        assert (one.slow, one.big) == (0, [])


def test_no_server(tmp_path: Path) -> None:
    for arguments in (["stats", "--json"], ["metrics", "--once"], ["slowlog"], ["bench"]):
        shown = command(*arguments, VALKEY_URL=ServerProcess(tmp_path).url)
        assert (shown.returncode, shown.stdout) == (1, "")
        assert shown.stderr.startswith("error: nothing listens")
