"""A copy of the project, as a newcomer has it, and the blocks of its pages that run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tools.stack import PROJECT

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
