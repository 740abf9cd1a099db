"""Backups are copied to an S3-compatible service: moto's, as a process beside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.local.docker.plan import Backups, Upload
from tests.docker.bed import Bed, make_spec, running
from tests.servers import free_port

RCLONE = "rclone-test:1.60.1"
BUCKET = "valkey-tests"
KEYS = ("an-access-key", "a+secret/key")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the service, as containers reach it: the engine's machine, on their network's gateway."""
    port = free_port()
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "0.0.0.0", "--port", str(port)], stdout=out, stderr=out
        )
    try:
        _until(lambda: _asks(f"http://127.0.0.1:{port}/", "GET"))
        assert _asks(f"http://127.0.0.1:{port}/{BUCKET}", "PUT") is not None
        yield str(port)
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def bed(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    spec = make_spec(tmp_path_factory.mktemp("upload"), "single")
    gateway = spec.plan.subnet.replace(".0/24", ".128")  # the first of the addresses that aren't fixed
    upload = Upload(RCLONE, f"{BUCKET}/some/where", f"http://{gateway}:{service}")
    plan = replace(spec.plan, backups=Backups(3600, 3), upload=upload)
    with running(replace(spec, plan=plan, secrets=replace(spec.secrets, bucket=KEYS))) as made:
        yield made


def uploaded(port: str) -> str:
    return _asks(f"http://127.0.0.1:{port}/{BUCKET}", "GET") or ""


def test_a_complete_backup_is_copied(bed: Bed, service: str) -> None:
    _until(lambda: "node-0.rdb" in uploaded(service), 60)
    text = uploaded(service)
    assert "<Key>some/where/20" in text
    assert ".part" not in text
    assert bed.wrong() == []
    bed.ensure()
    assert uploaded(service).count("<Key>") == text.count("<Key>")


def test_the_keys_stand_in_no_container(bed: Bed) -> None:
    facts = str(bed.container("uploader"))
    assert not [key for key in KEYS if key in facts]


def test_what_is_wrong_is_seen_in_the_containers_health_and_log(bed: Bed) -> None:
    upload = bed.spec.plan.upload
    assert upload is not None
    nowhere = replace(upload, endpoint=upload.endpoint.rpartition(":")[0] + ":9")
    good = bed.spec.plan
    bed.ensure(plan=replace(good, upload=nowhere))
    _until(lambda: "uploader: it is unhealthy" in bed.wrong(), 120)
    assert "connection refused" in bed.deployment.compose("logs", "uploader")
    bed.ensure(plan=good)
    assert bed.wrong() == []


def _asks(url: str, method: str) -> str | None:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def _until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while condition() in (None, False):
        assert time.monotonic() < end, "it doesn't happen"
        time.sleep(0.5)
