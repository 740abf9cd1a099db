"""Commands of other distributions."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

import pytest
import typer
from typer.testing import CliRunner
from valkeykit import cli, commands
from valkeykit.errors import UnreachableError
from valkeykit.installation import OPERATOR_TOOLS


def test_each_command_of_valkeykit_ops_is_installed() -> None:
    assert set(entry_points(group=commands.ENTRY_POINT_GROUP).names) == set(commands.OPS_COMMANDS)
    shown = CliRunner().invoke(commands.app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    names = [line.split()[1] for line in shown.stdout.splitlines() if line.startswith("│ ") and "--" not in line]
    assert names == [*commands.COMMANDS, *commands.OPS_COMMANDS]


@pytest.mark.parametrize("name", commands.OPS_COMMANDS)
def test_a_command_without_its_distribution(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: EntryPoints())
    monkeypatch.setattr("sys.argv", ["valkeykit", name, "--help"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == f"error: `valkeykit {name}` is not installed -> {OPERATOR_TOOLS}"


def test_a_command_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(**_: Any) -> EntryPoints:
        return EntryPoints([EntryPoint("hello", f"{__name__}:hello", commands.ENTRY_POINT_GROUP)])

    monkeypatch.setattr("importlib.metadata.entry_points", other)
    shown = CliRunner().invoke(commands.app, ["hello"])
    assert (shown.exit_code, shown.stdout) == (0, "hello\n")


def test_sub_commands_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_point = EntryPoint("hello", f"{__name__}:greetings", commands.ENTRY_POINT_GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: EntryPoints([entry_point]))
    shown = CliRunner().invoke(commands.app, ["hello", "world"])
    assert (shown.exit_code, shown.stdout) == (0, "hello\n")


def hello() -> None:
    """Print a greeting."""
    print("hello")


greetings = typer.Typer(name="hello")
greetings.callback()(lambda: None)
greetings.command("world")(hello)


@pytest.mark.parametrize(
    ("url", "arguments", "message", "shown"),
    [
        ("", ["stats"], "nothing listens at localhost:6379", "; VALKEY_URL is not set"),
        ("", ["stats"], "the server rejected the login", "; VALKEY_URL is not set: tried localhost:6379"),
        ("redis://a:1", ["stats"], "the server rejected the login", "; VALKEY_URL is a:1"),
        ("redis://a:1", ["stats"], "nothing listens at a:1", ""),
        ("redis://a:1", ["stats", "redis://b:2"], "the server rejected the login", ""),
    ],
)
def test_an_error_names_its_server(
    url: str, arguments: list[str], message: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise UnreachableError(message, fix="start it")

    monkeypatch.setattr(commands, "app", fail)
    monkeypatch.setattr("sys.argv", ["valkeykit", *arguments])
    monkeypatch.setenv("VALKEY_URL", url)
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == f"error: {message} -> start it{shown}"
