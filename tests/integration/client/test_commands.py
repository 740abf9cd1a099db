"""The command line."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console
from valkeykit.commands.tables import add_row, clean, table

from harness.servers import ServerProcess
from tests.integration.client.command_line import run


def test_a_server_that_is_down_is_one_error(tmp_path: Path) -> None:
    shown = run(ServerProcess(tmp_path), "queue", "mail")  # never started
    assert shown.returncode == 1
    assert shown.stderr.startswith("error: nothing listens")
    assert len(shown.stderr.splitlines()) == 1


def test_the_help_of_each_command(server: ServerProcess) -> None:
    for arguments in ([], ["worker"], ["queue"]):
        shown = run(server, *arguments, "--help")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "Usage" in shown.stdout


def test_a_survey_of_clients_whose_names_look_like_markup(server: ServerProcess) -> None:
    with closing(server.client()) as client:
        client.client_setname("[/worker]")
        shown = run(server, "migrate", "survey", server.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "[/worker]" in shown.stdout


@pytest.mark.parametrize("text", ["[/]", "[red]", "[/red]", "\\[x]", ":smile:", "[link=x]", "a[b]c", "[fe80::1]:6379"])
def test_tables_show_data_as_it_is(text: str) -> None:
    printed = io.StringIO()
    page = table(text, "column")
    add_row(page, text)
    Console(file=printed, width=100).print(page)
    assert printed.getvalue().count(text) == 2


def test_control_characters_are_escaped() -> None:
    assert clean("\x1b[1m\udcff\u2028é☃\tb\n") == "\\x1b[1m\\udcff\\u2028é☃\tb\n"
