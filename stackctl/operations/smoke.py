"""The smoke tests, run on a stack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from stackctl.messages import is_verbose
from stackctl.stack import PROJECT

_STYLE = ("-q", "--no-header", "--tb=no", "-rN", "-p", "no:cacheprovider")
_BRIEF = ("--brief", "-q", "-o", "console_output_style=classic")


def run_tests(stack: str, pytest_options: Sequence[str] = (), *, accept: bool = False) -> int:
    """Run tests/smoke on a stack and print the failures and totals, with VERBOSE each check; return pytest's exit code.

    Args:
        stack: its name.
        pytest_options: more options.
        accept: accept the current number of keys.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/smoke",
        "--stack",
        stack,
        *_STYLE,
        *(() if is_verbose() else _BRIEF),
        *pytest_options,
    ]
    command += ["--accept-keys"] if accept else []
    return subprocess.run(command, cwd=PROJECT, check=False).returncode
