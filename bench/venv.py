"""Virtual environments for the peers, so that none shares a dependency with another or with us."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TIMEOUT_SECONDS = 120
"""Seconds that one run of a peer may take."""


def python(name: str) -> str:
    """The Python of a peer's environment, which is made at its first use."""
    folder = ROOT / "build" / "peers" / name
    program = folder / "bin" / "python"
    requirements = ROOT / "bench" / "requirements" / f"{name}.txt"
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        venv.create(folder, with_pip=True)
        subprocess.run([program, "-m", "pip", "install", "-q", "-r", requirements], check=True)
        installed.write_text(requirements.read_text())
    return str(program)


def measure(program: str, script: str, *arguments: str, limit: float = TIMEOUT_SECONDS) -> dict[str, Any]:
    """Run a script that prints its figures as the last line, as JSON."""
    command = [program, "-W", "ignore", str(ROOT / "bench" / script), *arguments]
    done = subprocess.run(command, capture_output=True, timeout=limit, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{script} failed: {done.stderr.decode()[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


OURS = sys.executable
