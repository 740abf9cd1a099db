"""The blocks of docs/embedded.md make a replicated stack, and those of the runbooks run on it, page after page."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import checkout as checkout_of
from tests.project import USERS_CHOICE

PAGES = ("README", "failover", "scale", "upgrade", "restore", "rotate", "diagnose")

BEGIN = 'set -e; export STACK=web; eval "$(make -s shell)"; pulumi stack select --create web\n'


def test_every_block_of_the_runbooks_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*USERS_CHOICE, "VALKEY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    checkout = checkout_of.copy(tmp_path / "checkout")
    pages = checkout / "docs" / "operations"
    assert {page.stem for page in pages.glob("*.md")} == set(PAGES)
    paths = [checkout / "docs" / "embedded.md", *(pages / f"{page}.md" for page in PAGES)]
    blocks = [text for path in paths for _, text in checkout_of.blocks(path)]
    try:
        session = subprocess.run(
            ["bash", "-c", BEGIN + "".join(blocks)], cwd=checkout, capture_output=True, text=True, check=False
        )
        said = session.stdout + session.stderr
        assert session.returncode == 0, said
        assert "acknowledged, none lost" in session.stdout
        assert "| down | on call |" in session.stdout
        assert session.stderr.count("A rehearsal: nothing was changed.") == 5
    finally:
        for stack in ("web", "web2"):
            subprocess.run(["make", "down", f"STACK={stack}"], cwd=checkout, capture_output=True, check=False)
