"""`pip install` with progress: `python -m stackctl.install WHAT ARGUMENT…`. It needs only the standard library."""

from __future__ import annotations

import subprocess
import sys

from stackctl.progress import Progress

_STEPS = ("Collecting ", "Obtaining ", "Building ")
_NO_NETWORK = ("name resolution", "Failed to establish a new connection", "Network is unreachable", "timed out")


def install(what: str, arguments: list[str]) -> int:
    """Run pip; print a line at the beginning and at the end, and on failure what pip printed last."""
    sys.stderr.write(f"Installing {what} into .venv, once; this takes one to five minutes\n")
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    printed: list[str] = []
    found: set[str] = set()
    with (
        Progress(f"Installing {what}", lambda: f"{len(found)} packages found" if found else "") as progress,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,
    ):
        for line in pip.stdout or ():
            printed.append(line)
            if line.lstrip().startswith(_STEPS):
                found.add(line.split()[1])
    if not pip.returncode:
        sys.stderr.write(f"Installed {what} in {progress.seconds:.0f} s\n")
        return 0
    sys.stderr.writelines(printed[-20:])
    is_offline = any(sign in line for line in printed for sign in _NO_NETWORK)
    reason = "the package index does not respond" if is_offline else "pip failed, see above"
    fix = "connect to the network or set PIP_INDEX_URL, then run the same command again"
    sys.stderr.write(f"error: {what} cannot be installed: {reason} -> {fix}\n")
    return pip.returncode


if __name__ == "__main__":
    sys.exit(install(sys.argv[1], sys.argv[2:]))
