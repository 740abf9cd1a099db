"""A driver that is killed at a given call: a process of its own, which leaves behind whatever it started."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from stackctl.stack import PROJECT

_SCRIPT = """
import importlib, os, pickle, signal, sys
from pathlib import Path
from unittest import mock
driver = importlib.import_module(sys.argv[1])
arguments = pickle.loads(Path(sys.argv[3]).read_bytes())
with mock.patch(sys.argv[2], side_effect=lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)):
    driver.ensure(*arguments)
"""


def ensure(driver: str, call: str, folder: Path, *arguments: Any) -> None:
    """Run the driver's `ensure` until it comes to the call, a dotted name, which kills it."""
    given = folder / "arguments"
    given.write_bytes(pickle.dumps(arguments))
    command = [sys.executable, "-c", _SCRIPT, driver, call, str(given)]
    run = subprocess.run(command, cwd=PROJECT, env=os.environ, stderr=subprocess.PIPE, text=True, check=False)
    given.unlink()
    assert run.returncode == -signal.SIGKILL, run.stderr
