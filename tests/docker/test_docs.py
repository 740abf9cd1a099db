"""The blocks in the pages of the docker target and of what runs next to it, in their order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.docker import IMAGE, NEW, remove_leftovers
from harness.ports import CONTAINERS, reserve
from infra.drivers.docker.engine import Engine
from tests.docker.test_monitoring import EXPORTER, PROMETHEUS
from tests.support import checkout

OFFICIAL = {f"valkey/valkey:{NEW}": f"{IMAGE}:{NEW}", "oliver006/redis_exporter:v1.86.0": EXPORTER}
"""The images that the pages name, and those that take their names."""

FIRST = {"Pulumi.yaml": "    default: 0\n", "infra/drivers/docker/addresses.py": "FIRST_PORT = 6379"}
"""Where the first port is configured: a stack's, and a folder's."""

STACKS = ("valkey/web", "valkey/valkey-valkey")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A checkout; ports away from other tests'."""
    made = checkout.copy(tmp_path / "checkout")
    for file, first in FIRST.items():
        text = (made / file).read_text()
        assert first in text
        (made / file).write_text(text.replace(first, first.replace(first.split()[-1], str(reserve(CONTAINERS)))))
    engine = Engine()
    for name, image in OFFICIAL.items():
        engine.docker("tag", image, name)
    yield made
    for stack in STACKS:
        remove_leftovers(stack)
    engine.docker("rmi", *OFFICIAL)


def test_a_stack_with_its_monitoring_and_its_uploads(root: Path) -> None:
    docs = root / "docs"
    prometheus = root.parent / "prometheus"
    monitoring = [
        text.replace("/etc/prometheus", str(prometheus)) for text in checkout.runnable(docs / "monitoring.md")
    ]
    (root / "secret-key").write_text("made-up\n")
    done = checkout.session(
        root,
        *checkout.runnable(docs / "docker.md"),
        *monitoring,
        "make backup STACK=web\nmake drill STACK=web\n",
        *checkout.runnable(docs / "upload.md"),
        "pulumi preview\nmake down STACK=web\n",
        PATH=f"{promtool(root.parent / 'bin', prometheus)}:{os.environ['PATH']}",
    )
    assert "0 keys in" in done.stdout
    assert "SUCCESS" in done.stdout
    assert not Engine().list_by_labels("container", f"valkey.stack={STACKS[0]}")


SINGLE = """eval "$(make -s shell)"
pulumi stack select --create web
pulumi config set target docker
make up STACK=web
"""

DAMAGE = """docker kill valkey-web-node-0-1
docker run --rm --user 999:999 -v valkey-web_node-0:/data valkey/valkey:9.1.2 sh -c '
  printf nonsense >>/data/appendonlydir/appendonly.aof.1.incr.aof'
docker start valkey-web-node-0-1
until docker exec valkey-web-node-0-1 grep 'make repair' /tmp/waiting; do sleep 1; done
"""


def test_a_repair(root: Path) -> None:
    first, *manual = checkout.runnable(root / "docs" / "operations" / "repair.md")
    done = checkout.session(root, SINGLE, DAMAGE, first, DAMAGE, *manual, "make down STACK=web\n")
    assert done.stdout.count("node-0: appendonly.aof.1.incr.aof is damaged after byte") == 2
    assert "node-0 serves again, and the group is healthy" in done.stdout
    assert "Successfully truncated AOF" in done.stdout


def promtool(folder: Path, readable: Path) -> Path:
    """Prometheus's own, from its image, as a program in a folder for PATH."""
    folder.mkdir()
    box = f"docker run --rm --network none --user 0 --volume '{readable}:{readable}:ro' --entrypoint promtool"
    (folder / "promtool").write_text(f'#!/bin/sh\nexec {box} {PROMETHEUS} "$@"\n')
    (folder / "promtool").chmod(0o700)
    return folder


def test_folders_without_pulumi(root: Path) -> None:
    # The installed command has this project's code, whose ports the copy doesn't use.
    blocks = [
        text.replace(".venv/bin/stackctl", ".venv/bin/python -m stackctl")
        for text in checkout.runnable(root / "docs" / "native.md")
    ]
    checkout.session(root, *blocks)
    assert os.access(root / "debian" / "install", os.X_OK)
    assert Engine().list_by_labels("container", f"valkey.stack={STACKS[1]}")
