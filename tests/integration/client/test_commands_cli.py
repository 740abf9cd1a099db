"""`valkeykit cli` without a command: each line of the input is one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.servers import ServerProcess
from tests.integration.client.command_line import MAIN, environment


def test_each_line_is_sent_until_the_end(server: ServerProcess, tmp_path: Path) -> None:
    typed = 'SET greeting "hello world"\n\nGET greeting\nNOSUCH\nGET "open\nmonitor\nDEL greeting\nquit\nPING\n'
    shown = subprocess.run(
        [*MAIN, "cli"], env=environment(server, tmp_path), input=typed, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0
    assert shown.stdout.splitlines() == ["OK", "hello world", "1"]
    errors = shown.stderr.splitlines()
    assert [line.startswith("error: ") for line in errors] == [True, True, True]
    assert "monitor needs valkey-cli" in errors[2]
