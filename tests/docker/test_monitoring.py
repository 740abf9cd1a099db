"""The exporter with real servers, and its metrics in Prometheus and Grafana."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from harness.docker import SHAPES, DeploymentHarness, make_spec, new_secrets, running
from harness.ports import free_port
from harness.waiting import wait_until
from infra.drivers.docker import exporter
from infra.drivers.docker.engine import Engine
from infra.drivers.docker.plan import Backups, Upload
from infra.hardening import Topology
from stackctl.stack import PROJECT
from tests.docker.alerts import CASES, unit_tests
from tests.docker.test_upload import BUCKET, RCLONE, Service, service

EXPORTER = "exporter-test:1.69.0"
PROMETHEUS = "prometheus-test:2.53.3"
MONITORING = PROJECT / "compose" / "monitoring"
RULES: dict[str, Any] = yaml.safe_load((MONITORING / "rules.yaml").read_text())
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())

__all__ = ["service"]  # a fixture

_STRINGS = re.compile(r'"[^"]*"')
_METRIC = re.compile(r"\bredis_[a-z_]+")


@pytest.fixture(scope="module", params=list(SHAPES), ids=list(SHAPES))
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    topology: Topology = request.param
    with running(make_spec(tmp_path_factory.mktemp(topology), topology, exporter=EXPORTER)) as harness:
        with harness.client() as client:
            client.set("a", "b")
            with contextlib.suppress(redis.exceptions.NoPermissionError):
                client.config_get("dir")  # so that there is a refused command to count
        yield harness


_SEEN: set[str] = set()
"""Names of the metrics of all topologies."""


def scrape(harness: DeploymentHarness, target: dict[str, Any], **parameters: str) -> str:
    query = urllib.parse.urlencode({"target": target["targets"][0], **parameters})
    context = ssl.create_default_context(cadata=harness.spec.secrets.ca)
    url = f"https://{target['labels']['exporter']}/scrape?{query}"
    with urllib.request.urlopen(url, context=context, timeout=10) as answer:
        return str(answer.read().decode())


def failed_uploads(harness: DeploymentHarness) -> int | None:
    """The metric of the uploader, as Prometheus reads it; None before it listens."""
    labels = exporter.targets(harness.deployment.plan)[-1]["labels"]
    context = ssl.create_default_context(cadata=harness.spec.secrets.ca)
    url = f"https://{labels['exporter']}{labels['__metrics_path__']}"
    with contextlib.suppress(OSError), urllib.request.urlopen(url, context=context, timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        (value,) = re.findall(r"^valkey_upload_failed_attempts (\d+)$", answer.read().decode(), re.MULTILINE)
        return int(value)
    return None


def expressions() -> list[str]:
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return rules + shown


def promtool(folder: Path, *arguments: str) -> str:
    box = ["--rm", "--network", "none", "-v", f"{folder}:/m:ro", "--entrypoint", "promtool"]
    return Engine().docker("run", *box, PROMETHEUS, *arguments)


def test_every_server_is_seen_by_the_exporter_over_tls(watched: DeploymentHarness) -> None:
    plan = watched.deployment.plan
    found = exporter.targets(plan)
    assert [target["labels"]["node"] for target in found] == [m.name for m in (*plan.nodes, *plan.sentinels)]
    for target in found:
        text = scrape(watched, target)
        assert "\nredis_up 1\n" in text
        assert 'redis_exporter_last_scrape_error{err=""} 0' in text
        _SEEN.update(re.findall(r"^(redis_[a-z_]+)", text, re.MULTILINE))
    watched.assert_healthy()


@pytest.mark.parametrize("watched", ["replicated"], indirect=True)
def test_a_backup_is_counted_and_a_replica_is_not(watched: DeploymentHarness) -> None:
    """The alerts about backups depend on it."""
    target, node = exporter.targets(watched.deployment.plan)[0], watched.deployment.plan.nodes[0]
    copies = 'redis_commands_total{cmd="sync"}'
    assert copies not in scrape(watched, target)
    copy = ["sh", "/etc/valkey/bin/cli", "replica", node.host, str(node.port), "--rdb", "/tmp/copy.rdb"]
    watched.spec.engine.docker("exec", watched.deployment.container(node.name), *copy)
    assert f"\n{copies} 1\n" in scrape(watched, target)


KEY = "customer:alice@example.org"


@pytest.mark.parametrize("parameter", ["check-keys", "check-single-keys", "check-streams", "check-single-streams"])
def test_no_parameter_has_the_exporter_name_keys(watched: DeploymentHarness, parameter: str) -> None:
    """Nor the ones that count: a number for a pattern reveals names too, one character after the other."""
    with watched.client() as client:
        client.xadd(KEY, {"a": "b"})
    for target in exporter.targets(watched.deployment.plan):
        asked = {
            parameter: KEY if "single" in parameter else "*",
            "count-keys": "customer:*",
            "check-key-groups": "(.*)",
        }
        text = scrape(watched, target, **asked)
        assert "\nredis_up 1\n" in text
        assert KEY not in text
        assert not re.findall(r"^redis_(?:key|stream)s?_.*", text, re.MULTILINE)
    with watched.client() as client:
        client.delete(KEY)


@pytest.mark.parametrize("user", ["monitor", "app", "admin", "replica", "health", "default", ""])
def test_the_exporter_has_the_password_of_its_own_user_only(watched: DeploymentHarness, user: str) -> None:
    target = exporter.targets(watched.deployment.plan)[0]
    other = target["targets"][0].replace("exporter@", f"{user}@" if user else "")
    assert "\nredis_up 0\n" in scrape(watched, {**target, "targets": [other]})


def test_another_server_as_target_is_sent_no_password(watched: DeploymentHarness) -> None:
    target = exporter.targets(watched.deployment.plan)[0]
    (network,) = watched.container("exporter")["NetworkSettings"]["Networks"].values()
    with socket.create_server((network["Gateway"], 0)) as other, ThreadPoolExecutor() as pool:
        other.settimeout(60)
        address = f"redis://exporter@{network['Gateway']}:{other.getsockname()[1]}"
        answer = pool.submit(scrape, watched, {**target, "targets": [address]})
        connection, _ = other.accept()
        with connection:
            received = connection.recv(4096)
        other.close()
        assert "\nredis_up 0\n" in answer.result()
    assert received
    assert b"AUTH" not in received.upper()
    assert not [user for user, password in watched.spec.secrets.passwords.items() if password.encode() in received]


def test_inspecting_the_exporter_shows_no_secret(watched: DeploymentHarness) -> None:
    shown = json.dumps(watched.container("exporter"))
    assert not [user for user, password in watched.spec.secrets.passwords.items() if password in shown]


@pytest.mark.parametrize("watched", ["replicated"], indirect=True)
def test_prometheus_with_the_shipped_files_scrapes_every_node_without_alerts(
    watched: DeploymentHarness, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    for file in MONITORING.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace("15s", "2s"))
    (tmp_path / "ca.pem").write_text(watched.spec.secrets.ca)
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "stack.json").write_text(json.dumps(exporter.targets(watched.deployment.plan)))
    port = free_port()
    with _prometheus(tmp_path, port):
        expected = len(watched.deployment.plan.addresses)
        found = _eventually(lambda: _query(port, "redis_up == 1"), expected)
        assert {sample["metric"]["instance"] for sample in found} == {
            f"{watched.spec.plan.project}/{target['labels']['node']}"
            for target in exporter.targets(watched.deployment.plan)
        }
        assert _query(port, 'ALERTS{alertstate="firing"}') == []
        (keys,) = _eventually(lambda: _query(port, "stack:valkey_keys:sum"), 1)
        assert keys["value"][1] == "1"
        assert len(_query(port, "instance:valkey_keys:sum")) == len(watched.deployment.plan.nodes)
        assert _broken_rules(port) == []


def test_prometheus_reads_the_uploader_without_the_exporter(tmp_path: Path) -> None:
    upload = Upload("rclone:1", "bucket/path")
    plan = make_spec(tmp_path, "single", exporter=EXPORTER, backups=Backups(3600), upload=upload).plan
    tmp_path.chmod(0o755)
    (tmp_path / "prometheus.yaml").write_text((MONITORING / "prometheus.yaml").read_text())
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "stack.json").write_text(json.dumps(exporter.targets(replace(plan, ports=(1, 2, 3)))))
    report = promtool(tmp_path, "check", "service-discovery", "--timeout=5s", "/m/prometheus.yaml", "valkey")
    *_, found = (target["labels"] for target in json.loads(report))
    assert {name: found[name] for name in ("__scheme__", "__address__", "__metrics_path__", "instance", "job")} == {
        "__scheme__": "https",
        "__address__": f"{plan.host}:3",
        "__metrics_path__": "/metrics.txt",
        "instance": f"{plan.stack_name}/uploader",
        "job": "valkey",
    }


def test_every_metric_of_rules_and_dashboard_is_there() -> None:
    used = {name for text in expressions() for name in _METRIC.findall(_STRINGS.sub("", text))}
    assert len(used) > 30
    assert used - _SEEN == set()


def test_an_exporter_and_an_uploader_come_and_go_and_the_servers_stay(tmp_path: Path, service: Service) -> None:
    with running(make_spec(tmp_path, "single")) as harness:
        plan, ports = harness.spec.plan, harness.known.ports
        node = harness.container("node-0")
        started, (network,) = node["State"]["StartedAt"], node["NetworkSettings"]["Networks"].values()
        upload = Upload(RCLONE, BUCKET, f"http://{network['Gateway']}:{service.port}")
        old = replace(harness.spec.secrets, bucket=(service.keys[0], "another"))
        harness.ensure(plan=replace(plan, exporter=EXPORTER, backups=Backups(3600), upload=upload), secrets=old)
        assert harness.known.ports[:-2] == ports
        assert "redis_up 1" in scrape(harness, exporter.targets(harness.deployment.plan)[0])
        wait_until(lambda: failed_uploads(harness), 300)
        new = replace(new_secrets(["x"], harness.spec.plan.users), certificate=old.certificate, ca=old.ca)
        new = replace(new, bucket=service.keys)
        harness.ensure(secrets=replace(new, previous=old.passwords, login=old.passwords["admin"]))
        harness.ensure(secrets=new)
        assert "redis_up 1" in scrape(harness, exporter.targets(harness.deployment.plan)[0])
        wait_until(service.uploaded, 300)
        wait_until(lambda: failed_uploads(harness) == 0, 300)
        harness.ensure(plan=plan)
        assert harness.known.ports == ports
        assert harness.container("node-0")["State"]["StartedAt"] == started


def test_each_rule_fires_only_where_it_should(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "rules.yaml").write_text((MONITORING / "rules.yaml").read_text())
    assert "SUCCESS" in promtool(tmp_path, "check", "rules", "/m/rules.yaml")
    names = []
    for group in RULES["groups"]:
        names.append(name := group["name"])
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"groups": [group]}))
        (tmp_path / f"{name}-tests.yaml").write_text(yaml.safe_dump(unit_tests(f"{name}.yaml", group)))
    report = promtool(tmp_path, "test", "rules", *(f"/m/{name}-tests.yaml" for name in names))
    assert report.count("SUCCESS") == len(names)


def test_each_rule_has_cases_and_a_fix() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
    assert {rule["alert"] for rule in rules} == set(CASES)
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert all(rule["annotations"][key] for key in ("summary", "description", "runbook"))


def test_the_dashboard_is_complete() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [v["name"] for v in DASHBOARD["templating"]["list"]] == ["datasource", "stack", "instance"]
    for panel in panels:
        assert panel["title"]
        assert set(panel["gridPos"]) == {"h", "w", "x", "y"}
        assert panel["type"] == "row" or panel["targets"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel.get("targets", []))


@contextlib.contextmanager
def _prometheus(folder: Path, port: int) -> Iterator[None]:
    command = [
        "--config.file=/m/prometheus.yaml", "--storage.tsdb.path=/tmp", f"--web.listen-address=127.0.0.1:{port}"
    ]  # fmt: skip
    engine = Engine()
    container = engine.docker(
        "run", "--detach", "--network", "host", "-v", f"{folder}:/m:ro", PROMETHEUS, *command
    ).strip()
    try:
        yield
    finally:
        engine.docker("rm", "--force", "--volumes", container)


def _query(port: int, expression: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5) as answer:
        result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result


def _broken_rules(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=5) as answer:
        groups = json.load(answer)["data"]["groups"]
    return [
        f"{rule['name']}: {rule['lastError']}" for group in groups for rule in group["rules"] if rule["health"] == "err"
    ]


def _eventually(ask: Any, count: int) -> list[dict[str, Any]]:
    end = time.monotonic() + 240  # rules are evaluated once a minute
    found: list[dict[str, Any]] = []
    while len(found) < count and time.monotonic() < end:
        with contextlib.suppress(OSError):
            found = ask()
        time.sleep(0.5)
    assert len(found) == count
    return found
