"""What stands beside the servers: an exporter, and an uploader of backups."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from valkeykit.errors import ConfigurationError

from infra import hardening
from infra.local.certificates import Pair
from infra.local.docker import compose, exporter, files
from infra.local.docker.plan import Backups, Plan, Secrets, Upload
from infra.settings import load
from infra.targets import docker

PASSWORDS = {user.name: f"secret of {user.name}" for user in (*hardening.USERS, *hardening.SYSTEM_USERS)}
SECRETS = Secrets(PASSWORDS, {}, Pair("certificate", "key"), "ca", bucket=("access", "key+of/it"))


@pytest.fixture
def plan() -> Plan:
    settings = load({"valkey:target": "docker", "valkey:topology": "replicated"})
    return replace(
        docker.plan_of(settings, "valkey/dev"),
        image="valkey:1",
        ports=tuple(range(7000, 7007)),
        exporter="exporter:1",
        backups=Backups(3600, 3),
        upload=Upload("rclone:1", "bucket/path", "https://s3.example.com"),
    )


def test_the_exporters_port_follows_those_of_the_servers(plan: Plan) -> None:
    assert [member.port for member in (*plan.nodes, *plan.sentinels)] == list(range(7000, 7006))
    assert plan.exporter_port == 7006


def test_every_server_is_a_target_whose_password_is_known(plan: Plan) -> None:
    passwords = json.loads(files.render(plan, SECRETS)[files.EXPORTER_PASSWORDS])
    targets = [target["targets"][0] for target in exporter.targets(plan)]
    assert passwords == dict.fromkeys(targets, PASSWORDS["monitor"])
    assert len(targets) == 6


def test_the_keys_stand_in_the_file_of_rclone_alone(plan: Plan) -> None:
    rendered = files.render(plan, SECRETS)
    assert [path for path, text in rendered.items() if "key+of/it" in text] == ["upload/rclone.conf"]
    assert "provider = Other\nendpoint = https://s3.example.com\n" in rendered["upload/rclone.conf"]
    assert "key+of/it" not in json.dumps(compose.render(plan)) + repr(SECRETS)


@pytest.mark.parametrize("changed", ["monitor", "certificate"])
def test_an_exporter_starts_anew_with_what_it_reads_at_its_start(plan: Plan, changed: str) -> None:
    changes: dict[str, Any] = {changed: "another"}

    def definition(of: Plan) -> str:
        return str(compose.render(of)["services"]["exporter"]["labels"][compose.DEFINITION])

    assert definition(plan) != definition(replace(plan, **changes))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"backupUrl": "s3://bucket/p"}, "docker.backupEvery is 0"),
        ({"backupUrl": "s3://bucket/p", "backupEvery": 1}, "docker.backupAccessKey is empty"),
        ({"backupUrl": "https://b/p"}, "allowed is s3://bucket/path"),
        ({"exporter": "example/exporter:latest"}, "docker.exporter has no fixed version"),
    ],
)
def test_what_can_not_be_is_told(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load({"valkey:target": "docker", "valkey:docker": json.dumps(values)})
