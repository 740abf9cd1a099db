"""Every command of the two pages runs against a healthy server, and every option is on its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner
from valkeykit.commands import app

from harness.endpoints.endpoint_servers import MEMORY_LIMIT
from harness.servers import running
from tests.support import checkout

DOCS = Path(__file__).parents[2] / "docs" / "client"
PAGES = {"doctor.md": ("doctor", "cli"), "operations.md": ("stats", "metrics", "slowlog", "bench")}
COMMANDS = PAGES | {"web.md": ("web",)}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_runs(page: str, tmp_path: Path) -> None:
    blocks = checkout.blocks(DOCS / page)
    assert blocks
    assert {language for language, _ in blocks} == {"sh"}
    program = tmp_path / "valkeykit"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from valkeykit.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    with running(tmp_path / "server", *MEMORY_LIMIT, "--appendonly", "yes") as server:
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VALKEY_URL": server.url}
        for _, text in blocks:
            done = subprocess.run(
                ["bash", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", COMMANDS)
def test_every_option_is_on_the_page(page: str) -> None:
    text = (DOCS / page).read_text()
    for command in COMMANDS[page]:
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
        options = set(re.findall(r"--[a-z-]+", shown.stdout)) - {"--help"}
        assert options
        assert not [option for option in options if option not in text]
