"""The component in a program that isn't this project: examples/component, installed as its page describes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeykit.connection import connect

from harness.project import NO_PIP, USERS_CHOICE, Project
from stackctl.stack import PROJECT, Stack
from tests.support import checkout

EXAMPLE = PROJECT / "examples" / "component"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The example with a folder `infra` of its own, and the installed distribution."""
    for name in (*USERS_CHOICE, "PULUMI_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    root, packages = tmp_path / "shop", tmp_path / "packages"
    shutil.copytree(EXAMPLE, root)
    (root / ".venv").symlink_to(PROJECT / ".venv")
    (root / "infra").mkdir()
    (root / "infra" / "__init__.py").write_text('raise ImportError("the infra of the shop")\n')
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *offline]
    subprocess.run([*install, "--target", packages, PROJECT / "component"], check=True, capture_output=True)
    created = Project(root, Stack.open("test", root))
    path = f"{packages / 'bin'}:{created.stack.environment['PATH']}"
    created.stack.environment.update(NO_PIP | {"PATH": path, "PYTHONPATH": f"{packages}:{NO_PIP['PYTHONPATH']}"})
    yield created
    created.end()


def test_two_instances_in_another_program(shop: Project) -> None:
    shop.configure()
    created = shop.pulumi("up", "--yes", "--skip-preview")
    assert created.returncode == 0, created.stdout + created.stderr
    urls = json.loads(shop.pulumi("stack", "output", "--json", "--show-secrets").stdout)
    policies = {}
    for name in ("CACHE_URL", "QUEUE_URL"):
        with connect(urls[name]) as client:
            client.set("who", name)
            policies[name] = client.info("memory")["maxmemory_policy"]
    assert policies == {"CACHE_URL": "allkeys-lru", "QUEUE_URL": "noeviction"}
    resources = shop.resources()
    assert sorted(resource["urn"] for resource in resources if resource["type"] == "valkey:index:Valkey") == [
        f"urn:pulumi:test::shop::valkey:index:Valkey::{name}" for name in ("cache", "queue")
    ]
    assert urls["CACHE_URL"] not in str(resources)
    again = shop.pulumi("preview", "--expect-no-changes")
    assert again.returncode == 0, again.stdout + again.stderr
    destroyed = shop.pulumi("destroy", "--yes", "--skip-preview")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr


REMOTE = """
import pulumi

arguments = {arguments}
cache = pulumi.ComponentResource("valkey:index:Valkey", "cache", arguments | {{"url": None}}, remote=True)
pulumi.export("url", cache.url)
"""
"""What the SDKs of other languages do."""


def test_a_program_in_any_language_uses_the_plugin(shop: Project) -> None:
    program = shop.root / "__main__.py"
    program.write_text(REMOTE.format(arguments={"memory": "2 gigs", "port": 80, "docker": {"bnid": "x"}}))
    shop.configure()
    rejected = shop.pulumi("preview")
    assert rejected.returncode != 0
    output = rejected.stdout + rejected.stderr
    assert "Valkey 'cache': 3 configuration errors; nothing was changed:" in output
    assert "port is 80, expected 1024 to 65535, or 0 for the first free port from 6379 -> set port to 6380" in output
    program.write_text(REMOTE.format(arguments={"memory": "32mb", "workload": "cache"}))
    created = shop.pulumi("up", "--yes", "--skip-preview")
    assert created.returncode == 0, created.stdout + created.stderr
    with connect(json.loads(shop.pulumi("stack", "output", "--json", "--show-secrets").stdout)["url"]) as client:
        assert client.info("memory")["maxmemory_policy"] == "allkeys-lru"
    again = shop.pulumi("preview", "--expect-no-changes")
    assert again.returncode == 0, again.stdout + again.stderr
    destroyed = shop.pulumi("destroy", "--yes", "--skip-preview")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr


def test_the_page_shows_the_example() -> None:
    programs = [text for language, text in checkout.blocks(PROJECT / "docs" / "component.md") if language == "python"]
    assert programs[0] == (EXAMPLE / "__main__.py").read_text()
