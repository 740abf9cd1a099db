"""The blocks of docs/embedded.md make a replicated stack; those of the policies and of the runbooks run on it."""

from __future__ import annotations

from pathlib import Path

from harness.project import link_policies
from tests.support import checkout as checkout_of

PAGES = ("README", "failover", "scale", "upgrade", "restore", "rotate", "diagnose")

BEGIN = 'export STACK=web; eval "$(make -s shell)"; pulumi stack select --create web\n'


def test_every_block_of_the_runbooks_runs(tmp_path: Path) -> None:
    checkout = checkout_of.copy(tmp_path / "checkout")
    link_policies(checkout)
    docs = checkout / "docs"
    elsewhere = {"repair"}  # tests/docker/test_docs.py
    assert {page.stem for page in (docs / "operations").glob("*.md")} == set(PAGES) | elsewhere
    runbooks = [docs / "operations" / f"{page}.md" for page in PAGES]
    blocks = checkout_of.runnable(docs / "embedded.md", docs / "policies.md", *runbooks)
    try:
        done = checkout_of.session(checkout, BEGIN, *blocks)
        assert "✅ valkey@" in done.stdout
        assert "acknowledged, none lost" in done.stdout
        assert "| down | on call |" in done.stdout
        assert done.stderr.count("Dry run: nothing was changed.") == 5
    finally:
        checkout_of.session(checkout, "make down STACK=web || true; make down STACK=web2 || true\n")
