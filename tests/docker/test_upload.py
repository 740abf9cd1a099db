"""Backups are copied to an S3-compatible service: moto, in another process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest

from harness.docker import DeploymentHarness, make_spec, running
from harness.ports import free_port
from harness.waiting import wait_until
from infra.drivers.docker.plan import Backups, Upload

RCLONE = "rclone-test:1.60.1"
BUCKET = "valkey-tests"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
UNCHECKED = 4
"""Actions that moto lets anybody do: those that make the bucket and who may write to it."""


@dataclass(frozen=True)
class Service:
    """keys: access key and secret key of who may write."""

    port: int
    keys: tuple[str, str]

    def uploaded(self) -> list[str]:
        found = _client("s3", self.port, self.keys).list_objects_v2(Bucket=BUCKET)
        return [item["Key"] for item in found.get("Contents", [])]


def _client(kind: str, port: int, keys: tuple[str, str] = ("x", "x")) -> Any:
    return boto3.client(
        kind,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
    )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    port, log = free_port(), tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "--host", "0.0.0.0", "--port", str(port)]
    variables = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(UNCHECKED)}
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env=variables)
    try:
        wait_until(lambda: _listens(port))
        _client("s3", port).create_bucket(Bucket=BUCKET)
        iam = _client("iam", port)
        iam.create_user(UserName="uploader")
        iam.put_user_policy(UserName="uploader", PolicyName="writes", PolicyDocument=json.dumps(POLICY))
        key = iam.create_access_key(UserName="uploader")["AccessKey"]
        yield Service(port, (key["AccessKeyId"], key["SecretAccessKey"]))
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def harness(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    spec = make_spec(tmp_path_factory.mktemp("upload"), "single")
    gateway = spec.plan.subnet.replace(".0/24", ".128")  # the first of the addresses that aren't fixed
    upload = Upload(RCLONE, f"{BUCKET}/some/where", f"http://{gateway}:{service.port}")
    plan = replace(spec.plan, backups=Backups(3600, 3), upload=upload)
    with running(replace(spec, plan=plan, secrets=replace(spec.secrets, bucket=service.keys))) as made:
        yield made


def test_a_complete_backup_is_copied_once(harness: DeploymentHarness, service: Service) -> None:
    wait_until(lambda: any(key.endswith("node-0.rdb") for key in service.uploaded()), 60)
    found = service.uploaded()
    assert all(key.startswith("some/where/20") and ".part" not in key for key in found)
    harness.assert_healthy()
    harness.ensure()
    assert service.uploaded() == found


def test_no_container_has_the_keys_in_its_environment(harness: DeploymentHarness, service: Service) -> None:
    facts = str(harness.container("uploader"))
    assert not [key for key in service.keys if key in facts]


def test_a_wrong_key_or_address_is_reported_and_a_correct_one_fixes_it(
    harness: DeploymentHarness, service: Service
) -> None:
    secrets, plan, upload = harness.spec.secrets, harness.spec.plan, harness.spec.plan.upload
    harness.ensure(secrets=replace(secrets, bucket=(service.keys[0], "another")))
    wait_until(lambda: "uploader: it is unhealthy" in harness.wrong(), 300)
    assert "status code: 403" in harness.deployment.compose("logs", "uploader")
    harness.ensure(secrets=secrets)
    harness.assert_healthy()
    nowhere = replace(upload, endpoint=f"{upload.endpoint.rpartition(':')[0]}:9")
    harness.ensure(plan=replace(plan, upload=nowhere))
    wait_until(lambda: "connection refused" in harness.deployment.compose("logs", "uploader"), 150)
    harness.ensure(plan=plan)
    harness.assert_healthy()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
