"""A copy of the project, as a newcomer has it, and the blocks of its pages that run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from harness.project import USERS_CHOICE
from stackctl.stack import PROJECT

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def copy(root: Path) -> Path:
    """What git has of the working tree, with this one's virtual environment."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (PROJECT / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, root / name, follow_symlinks=False)
    (root / ".venv").symlink_to(PROJECT / ".venv")
    return root


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each block of a page."""
    return BLOCK.findall(page.read_text())


def runnable(*pages: Path) -> list[str]:
    """The blocks of pages that run here: those in `sh`."""
    return [text for page in pages for language, text in blocks(page) if language == "sh"]


def session(root: Path, *texts: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run blocks in a copy, in their order, as one session with the defaults."""
    chosen = {*USERS_CHOICE, "VALKEY_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    done = subprocess.run(
        ["bash", "-c", "set -e\n" + "".join(texts)],
        cwd=root, env={**environment, "PULUMI_HOME": str(root.parent / "home"), **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done
