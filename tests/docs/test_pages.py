"""Every page: Python runs, and what a command names is there.

Blocks in `sh` are run too, each page's by a test that has what they need; those in `console` aren't.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import servers
from infra.settings import loading
from stackctl.stack import PROJECT
from tests.support import checkout

PAGES = sorted((PROJECT / "docs").rglob("*.md"))
PYTHON = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in (PROJECT / "docs" / "aws.md", *sorted((PROJECT / "docs" / "client").glob("*.md")))
    for number, (language, text) in enumerate(checkout.blocks(page))
    if language == "python"
]

RUN_BY = {
    "tests/aws/test_docs.py": {"aws.md"},
    "tests/gcp/test_docs.py": {"gcp.md"},
    "tests/docker/test_docs.py": {"docker.md", "monitoring.md", "native.md", "upload.md"},
    "tests/docs/test_operations.py": {"embedded.md", "policies.md"},
    "tests/doctor/test_docs.py": {"client/doctor.md", "client/operations.md"},
    "tests/migrate/test_docs.py": {"migration.md", "client/migrate.md"},
}
"""Which test runs which page's blocks in `sh`; the one of the runbooks looks for new ones itself."""

NOT_RUN = {
    "pip install './client[aws]'": "it would replace the environment that runs the tests",
    "pip install './client[gcp]'": "it would replace the environment that runs the tests",
    "pip install ./client ./component": "likewise; tests/engine/test_component.py installs it elsewhere",
    "pulumi config set workload queue": "it needs an account; tests/gcp/test_updates.py makes such updates",
    "pulumi config set --path gcp.existing": "it needs an account; tests/gcp/test_recovery.py imports an instance",
    "make backup STACK=cloud": "it needs an account; tests/unit/stackctl/test_managed_services.py makes the request",
    "pulumi config set --path gcp.deletionPolicy": "it needs an account; tests/gcp/test_life.py destroys such a stack",
    "make smoke STACK=cloud": "it asks the cloud's own servers",
    "HOST=$(pulumi stack output endpoint": "it goes through a machine in the cloud's network",
    "pulumi up --policy-pack infra/policy": "it takes the policy host of the official CLI",
    "sudo apt install valkey-server": "it sets up this machine; tests/docker/test_render.py does a container",
}
"""How the blocks in `console` begin, and why no test runs them."""


def lines(page: Path) -> list[str]:
    """Of all blocks that a shell is meant to run."""
    texts = [text for language, text in checkout.blocks(page) if language in {"sh", "console"}]
    return [line.strip() for text in texts for line in text.splitlines()]


@pytest.mark.parametrize("text", PYTHON)
def test_the_client_s_examples_run(text: str, tmp_path: Path) -> None:
    with servers.running(tmp_path / "server") as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", text],
            env={**os.environ, "VALKEY_URL": server.url}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_what_runs_is_run_by_a_test() -> None:
    names = {page.relative_to(PROJECT / "docs").as_posix() for page in PAGES if checkout.runnable(page)}
    assert {name for name in names if not name.startswith("operations/")} == set[str]().union(*RUN_BY.values())
    for test, pages in RUN_BY.items():
        source = (PROJECT / test).read_text()
        assert [page for page in pages if Path(page).name not in source] == []


def test_what_is_not_run_has_its_reason() -> None:
    not_run = {text for page in PAGES for language, text in checkout.blocks(page) if language == "console"}
    begun = {text: [start for start in NOT_RUN if text.startswith(start)] for text in not_run}
    assert [text for text, starts in begun.items() if not starts] == []
    assert {start for starts in begun.values() for start in starts} == set(NOT_RUN)


def test_every_key_that_a_command_sets_is_one() -> None:
    keys = {key for key, _ in loading.describe_keys()} | {"contacts.down", "contacts.full"}
    set_by = re.compile(r"pulumi config (?:set|rm) (?:--path |--secret )*(?:valkey:)?([\w.]+)")
    named = {(page.name, key) for page in PAGES for line in lines(page) for key in set_by.findall(line)}
    assert len(named) > 20
    assert {(page, key) for page, key in named if key not in keys} == set()


def test_every_target_that_a_command_makes_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (page.name, name) for page in PAGES for line in lines(page) for name in re.findall(r"^make ([a-z-]+)", line)
    }
    assert len(named) > 10
    assert {(page, name) for page, name in named if name not in targets} == set()
