"""Every command of the pages is run, in their order, as one migration after the other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from valkeykit.commands import app

from harness import binaries
from harness.servers import ServerProcess
from tests.support import checkout

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "migration.md", DOCS / "client" / "migrate.md")


def programs(folder: Path) -> str:
    """PATH with what a reader has: our command, redis-cli and valkey-server."""
    folder.mkdir()
    old = Path(binaries.program("redis-7.0")).parent
    lines = {
        "valkeykit": f'exec "{sys.executable}" -c "from valkeykit.cli import main; main()" "$@"',
        "redis-cli": f'LD_LIBRARY_PATH="{old}/usr/lib/x86_64-linux-gnu" exec "{old}/usr/bin/redis-cli" "$@"',
        "valkey-server": f'exec "{binaries.program(binaries.VALKEY_9_BUILD)}" "$@"',
    }
    for name, line in lines.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_runs(
    page: Path, old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, tmp_path: Path
) -> None:
    ours.mset({f"key:{number}": number for number in range(100)})
    ours.save()
    (tmp_path / "dump.rdb").write_bytes((old.folder / "dump.rdb").read_bytes())
    blocks = checkout.blocks(page)
    assert {language for language, _ in blocks} <= {"sh", "text"}
    ours.connection_pool.disconnect()
    environment = os.environ | {
        "PATH": programs(tmp_path / "bin"), "SOURCE_URL": old.url, "TARGET_URL": new.url, "COLUMNS": "160",
    }  # fmt: skip
    for language, text in blocks:
        if language == "sh":
            if text.startswith("valkeykit migrate run dump.rdb"):  # a page's other commands have filled the target
                theirs.flushall()
            if text.startswith("valkeykit migrate cut-over --pause-writes"):  # instead of the block before
                shutil.rmtree(tmp_path / "valkeykit-migration")
                theirs.flushall()
            theirs.connection_pool.disconnect()
            done = subprocess.run(
                ["bash", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    assert theirs.dbsize() == 100


def test_every_option_is_on_the_page() -> None:
    page = PAGES[1].read_text()
    plain = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    shown = "".join(
        CliRunner().invoke(app, ["migrate", name, "--help"], env=plain).stdout
        for name in ("plan", "run", "verify", "cut-over", "reverse", "survey")
    )
    options = set(re.findall(r"--[a-z-]+", shown)) - {"--help"}
    assert {"--idle", "--conflict", "--follow", "--quiet"} <= options
    assert not [option for option in options if f"{option}" not in page]
