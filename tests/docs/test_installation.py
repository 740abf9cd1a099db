"""Installation from the checkout, as its pages describe it, and the fixes that errors print where a part is missing."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import valkeykit
from valkeykit.installation import OPERATOR_TOOLS, install_extra

from tests.support import checkout


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the virtual environment in the checkout."""
    name, *arguments = shlex.split(command, comments=True)
    quiet = ["--quiet", "--disable-pip-version-check"] if name == "pip" else []
    return subprocess.run(
        [folder / "venv/bin" / name, *arguments, *quiet],
        cwd=folder / "checkout",
        capture_output=True,
        text=True,
        check=False,
    )


def fix_of(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return result.stderr.strip().partition(" -> ")[2]


def test_printed_fixes_install_what_is_missing(tmp_path: Path) -> None:
    checkout.copy(tmp_path / "checkout")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    installed = run(tmp_path, "pip install ./client")
    assert installed.returncode == 0, installed.stderr
    assert run(tmp_path, "python -c 'from valkeykit import Cache, Queue, connect'").returncode == 0
    without_cli = fix_of(run(tmp_path, "valkeykit --version"))
    assert without_cli == install_extra("cli")
    assert run(tmp_path, without_cli).returncode == 0
    assert run(tmp_path, "valkeykit --version").stdout == f"valkeykit {valkeykit.__version__}\n"
    without_tools = fix_of(run(tmp_path, "valkeykit doctor"))
    assert without_tools == OPERATOR_TOOLS
    tools = run(tmp_path, without_tools)
    assert tools.returncode == 0, tools.stderr
    for command in ("doctor", "migrate", "stats", "metrics", "bench"):
        assert run(tmp_path, f"valkeykit {command} --help").returncode == 0


@pytest.mark.parametrize(("extra", "package"), [("aws", "botocore"), ("gcp", "google-auth[requests]"), ("otel", "ope")])
def test_each_extra_has_a_command_that_installs_it(extra: str, package: str) -> None:
    assert install_extra(extra).startswith(f"pip install '{package}")
