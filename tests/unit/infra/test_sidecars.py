"""Sidecars of the servers: an exporter, and an uploader of backups."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from valkeykit.errors import ConfigurationError

from infra import hardening
from infra.drivers.certificates import CertificatePair
from infra.drivers.docker import compose, deployment_files, exporter
from infra.drivers.docker.plan import Backups, DeploymentPlan, Secrets, Upload
from infra.settings import load
from infra.targets.docker.planning import create_plan

PASSWORDS = {user.name: f"secret of {user.name}" for user in (*hardening.USERS, *hardening.SYSTEM_USERS)}
SECRETS = Secrets(PASSWORDS, {}, CertificatePair("certificate", "key"), "ca", bucket=("access", "key+of/it"))


@pytest.fixture
def plan() -> DeploymentPlan:
    settings = load({"valkey:target": "docker", "valkey:topology": "replicated"})
    return replace(
        create_plan(settings, "valkey/dev"),
        image="valkey:1",
        ports=tuple(range(7000, 7008)),
        exporter="exporter:1",
        backups=Backups(3600, 3),
        upload=Upload("rclone:1", "bucket/path", "https://s3.example.com"),
    )


def test_the_exporters_port_follows_those_of_the_servers(plan: DeploymentPlan) -> None:
    assert [member.port for member in (*plan.nodes, *plan.sentinels)] == list(range(7000, 7006))
    assert (plan.exporter_port, plan.uploader_port) == (7006, 7007)
    assert plan.port_count == 8
    assert replace(plan, upload=Upload()).port_count == 7
    assert replace(plan, exporter="").port_count == 6


def test_every_server_is_a_target_with_a_password(plan: DeploymentPlan) -> None:
    passwords = json.loads(deployment_files.render(plan, SECRETS)[deployment_files.EXPORTER_PASSWORDS])
    *servers, _ = exporter.targets(plan)
    targets = [target["targets"][0] for target in servers]
    assert passwords == dict.fromkeys(targets, PASSWORDS["exporter"])
    assert len(targets) == 6


def test_prometheus_reads_the_uploader_at_its_own_port(plan: DeploymentPlan) -> None:
    *_, target = exporter.targets(plan)
    assert target["targets"] == [target["labels"]["exporter"]] == [f"{plan.host}:7007"]
    service = compose.render(plan)["services"]["uploader"]
    assert service["ports"] == [f"{plan.bind}:7007:7007"]
    assert service["command"][-1] == "7007"


def test_a_state_of_an_earlier_release_has_an_uploader_without_metrics(plan: DeploymentPlan) -> None:
    earlier = replace(plan, ports=plan.ports[:-1])
    assert [target["labels"]["kind"] for target in exporter.targets(earlier)] == ["node"] * 3 + ["sentinel"] * 3
    assert "ports" not in compose.render(earlier)["services"]["uploader"]


@pytest.mark.parametrize(
    ("hours", "frequency"),
    [(0, "none"), (1, "daily"), (24, "daily"), (25, "weekly"), (168, "weekly"), (720, "monthly")],
)
def test_the_alerts_use_the_interval_of_backups(plan: DeploymentPlan, hours: int, frequency: str) -> None:
    targets = exporter.targets(replace(plan, backups=Backups(hours * 3600)))
    assert {target["labels"]["backups"] for target in targets if target["labels"]["kind"] == "node"} == {frequency}


def test_only_the_file_of_rclone_has_the_keys(plan: DeploymentPlan) -> None:
    rendered = deployment_files.render(plan, SECRETS)
    assert [path for path, text in rendered.items() if "key+of/it" in text] == ["upload/rclone.conf"]
    assert "provider = Other\nendpoint = https://s3.example.com\n" in rendered["upload/rclone.conf"]
    assert "key+of/it" not in json.dumps(compose.render(plan)) + repr(SECRETS)


def definitions(plan: DeploymentPlan) -> dict[str, str]:
    """Which container would be recreated, by service."""
    services = compose.render(plan)["services"]
    return {name: service["labels"][compose.DEFINITION] for name, service in services.items()}


@pytest.mark.parametrize("changed", ["login", "certificate"])
def test_an_exporter_is_recreated_when_its_start_files_change(plan: DeploymentPlan, changed: str) -> None:
    changes: dict[str, Any] = {changed: "another"}
    assert definitions(plan)["exporter"] != definitions(replace(plan, **changes))["exporter"]


def test_an_uploader_starts_again_with_another_certificate(plan: DeploymentPlan) -> None:
    assert definitions(plan)["uploader"] != definitions(replace(plan, certificate="another"))["uploader"]


@pytest.fixture
def cluster() -> DeploymentPlan:
    settings = load({"valkey:target": "docker", "valkey:topology": "cluster"})
    planned = create_plan(settings, "valkey/dev")
    return replace(planned, image="valkey:1", ports=tuple(range(7000, 7006)), backups=Backups(3600, 3))


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Make this package one that brings another script."""

    def change(name: str) -> None:
        shutil.copytree(deployment_files.SCRIPTS, tmp_path / "bin")
        (tmp_path / "bin" / name).write_text(f"{deployment_files.scripts()[name]}# changed\n")
        monkeypatch.setattr(deployment_files, "SCRIPTS", tmp_path / "bin")

    return change


@pytest.mark.parametrize(("script", "service"), [("keep-cluster", "keeper"), ("backup", "backup")])
def test_a_helper_whose_script_changed_is_recreated_and_no_server_is(
    cluster: DeploymentPlan, upgrade: Callable[[str], None], script: str, service: str
) -> None:
    before, digest = definitions(cluster), deployment_files.digest(cluster)
    upgrade(script)
    after = definitions(cluster)
    assert [name for name in before if before[name] != after[name]] == [service]
    assert deployment_files.digest(cluster) != digest  # so a plain `pulumi up` comes by


def test_an_upgrade_that_lets_a_user_do_more_is_seen(cluster: DeploymentPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    before = deployment_files.digest(cluster)
    assert deployment_files.digest(replace(cluster, ports=())) == before
    first, *others = hardening.USERS
    monkeypatch.setattr(hardening, "USERS", (replace(first, rules=f"{first.rules} +role"), *others))
    assert deployment_files.digest(cluster) != before


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"backupUrl": "s3://bucket/p"}, "docker.backupEvery is 0"),
        ({"backupUrl": "s3://bucket/p", "backupEvery": 1}, "docker.backupAccessKey is empty"),
        ({"backupUrl": "https://b/p"}, "expected s3://bucket/path"),
        ({"exporter": "example/exporter:latest"}, "docker.exporter is not pinned to a version"),
    ],
)
def test_invalid_values_are_reported(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load({"valkey:target": "docker", "valkey:docker": json.dumps(values)})
