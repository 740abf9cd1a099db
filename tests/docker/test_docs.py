"""docs/docker.md: its blocks run, in their order, as one session of a reader."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.docker.engine import Engine
from tests import checkout
from tests.docker.bed import IMAGE, NEW, first_port, sweep
from tests.project import USERS_CHOICE

OFFICIAL = f"valkey/valkey:{NEW}"
LABEL = "valkey.stack=valkey/web"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout on an engine that has an image under the official one's name; ports away from other tests'."""
    for name in (*USERS_CHOICE, "VALKEY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    made = checkout.copy(tmp_path / "checkout")
    schema = made / "Pulumi.yaml"
    schema.write_text(schema.read_text().replace("    default: 0\n", f"    default: {first_port(8)}\n"))
    engine = Engine()
    engine.docker("tag", f"{IMAGE}:{NEW}", OFFICIAL)
    yield made
    sweep("valkey/web")
    engine.docker("rmi", OFFICIAL)


def test_every_block_runs(root: Path) -> None:
    blocks = checkout.blocks(root / "docs" / "docker.md")
    assert {language for language, _ in blocks} == {"sh"}
    script = "set -e\n" + "".join(text for _, text in blocks)
    end = "make backup STACK=web\nmake drill STACK=web\nmake down STACK=web\n"
    session = subprocess.run(["bash", "-c", script + end], cwd=root, capture_output=True, text=True, check=False)
    assert session.returncode == 0, session.stdout + session.stderr
    assert "0 keys in" in session.stdout
    assert not Engine().labelled("container", LABEL)
