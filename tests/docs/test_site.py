"""docs/ as a site: every page is in it, every link leads somewhere, and the API is that of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from valkeykit.settings import ConnectOptions

from tools.stack import PROJECT


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "not included in the" not in built.stderr
    api = (tmp_path / "client" / "api" / "index.html").read_text()
    assert all(name in api for name in ConnectOptions.__annotations__)
