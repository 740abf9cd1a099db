"""docs/ as a site: every page is in it, every link leads somewhere, and the API is that of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import valkeykit
import valkeykit.cache
import valkeykit.queue
from valkeykit import errors
from valkeykit.settings import ConnectOptions

from stackctl.stack import PROJECT


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "not included in the" not in built.stderr
    api = (tmp_path / "client" / "api" / "index.html").read_text()
    assert all(name in api for name in ConnectOptions.__annotations__)


@pytest.mark.parametrize("package", [valkeykit, valkeykit.cache, valkeykit.queue])
def test_the_api_page_lists_every_exported_name(package: ModuleType) -> None:
    page = (PROJECT / "docs" / "client" / "api.md").read_text()
    listed = set(re.findall(r"^::: \S+\.(\w+)$", page, re.MULTILINE)) | set(vars(errors))
    assert set(package.__all__) - listed == set()
