"""Running a fix as the doctor prints it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOOLS = ("bash", "sh", "cat", "sed", "test", "sleep", "seq", "env", "grep")
"""What every machine has; no valkey-cli, openssl, nc or curl."""


def run(fix: str, folder: Path, typed: str = "") -> dict[str, str]:
    """Run a fix in bash, with nothing on PATH but this package and a few tools of every machine.

    Args:
        typed: What the operator types at its prompts.

    Returns:
        The variables of this package that it sets.
    """
    bin_folder, variables = folder / "bin", folder / "variables"
    if not bin_folder.exists():
        _link_tools(bin_folder)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VALKEY_", "REDIS_"))}
    done = subprocess.run(
        ["bash", "-c", f"set -e; {fix}\nenv -0 > {variables}"], cwd=folder, input=typed,
        env=clean | {"PATH": str(bin_folder)}, capture_output=True, text=True, check=False, timeout=120,
        start_new_session=True,  # a prompt for a password must not read the terminal of who runs the tests
    )  # fmt: skip
    assert done.returncode == 0, f"{fix}\n{done.stdout}{done.stderr}"
    pairs = (entry.partition("=") for entry in variables.read_text().split("\0"))
    return {name: value for name, _, value in pairs if name.startswith("VALKEY_")}


def _link_tools(folder: Path) -> None:
    folder.mkdir()
    (folder / "valkeykit").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from valkeykit.cli import main; main()" "$@"\n'
    )
    (folder / "valkeykit").chmod(0o755)
    (folder / "python3").symlink_to(sys.executable)
    for tool in TOOLS:
        path = next((place for place in (Path("/bin") / tool, Path("/usr/bin") / tool) if place.exists()), None)
        if path:
            (folder / tool).symlink_to(path)
