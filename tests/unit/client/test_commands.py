"""The command line as a whole."""

from __future__ import annotations

from pathlib import Path

from tests.servers import Server
from tests.unit.client.command_line import run


def test_a_server_that_is_down_is_one_error(tmp_path: Path) -> None:
    shown = run(Server(tmp_path), "queue", "mail")  # never started
    assert shown.returncode == 1
    assert shown.stderr.startswith("error: nothing listens")
    assert len(shown.stderr.splitlines()) == 1


def test_the_help_of_each_command(server: Server) -> None:
    for arguments in ([], ["worker"], ["queue"]):
        shown = run(server, *arguments, "--help")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "Usage" in shown.stdout
