"""The command line `stackctl`: `make` runs its commands, and errors are one line."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import typer

from stackctl import cli, invocation, lock
from stackctl.errors import StackError
from stackctl.invocation import make_command, running
from stackctl.stack import PROJECT

COMMANDS = typer.main.get_group(cli.app).commands


def recipes() -> dict[str, list[str]]:
    """What `make` runs for each target: the words of the command with every variable set."""
    text = re.sub(r"\$\(if \$\(\w+\),(.*?)\)(?=[ \n])", r"\1", (PROJECT / "Makefile").read_text())
    text = re.sub(r"\$\(foreach pair,\$\(SET\),(.*?)\)(?=\n)", r"\1", text).replace("$(DRY_RUN)", "--dry")
    return {name: shlex.split(line) for name, line in re.findall(r"^(\w+): .*\n\t@\$\(RUN\) (.*)$", text, re.MULTILINE)}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["stackctl", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_each_command_has_a_target_of_the_same_name_that_runs_it() -> None:
    assert {name: words[0] for name, words in recipes().items() if name != "test"} == {name: name for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_make_passes_every_option(name: str) -> None:
    words = recipes()[name]
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}
    passed = {word for word in words[: words.index("--") if "--" in words else None] if word.startswith("--")}
    assert passed == known - {"--help"}


def test_every_command_and_option_has_a_help_text() -> None:
    for name, command in COMMANDS.items():
        assert command.help, name
        assert all(getattr(parameter, "help", "") for parameter in command.params), name


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("upgrade", "--stack", "web", "--dry"), "TO is required -> make upgrade STACK=web TO=9.1"),
        (("scale", "--dry"), "MEMORY, SHARDS or REPLICAS is required -> make scale STACK=dev MEMORY=1gb"),
        (("restore", "--dry"), "INTO is required -> make restore STACK=dev INTO=<new stack>"),
        (("render", "--for", "compose", "--out", "/nowhere/x"), "/nowhere is not a folder -> mkdir -p /nowhere"),
    ],
)
def test_an_error_is_one_line_with_its_fix(
    arguments: tuple[str, ...], error: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 1
    assert capsys.readouterr() == ("", f"error: {error}\n")


@pytest.mark.parametrize("arguments", [("nothing",), ("up", "--nothing"), ("render", "--for", "x", "--out", "y"), ()])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, *arguments) == 2


def test_the_command_as_the_operator_types_it() -> None:
    assert make_command("up", "dev") == "make up STACK=dev"
    assert make_command("rotate", "web", FINISH=True, FORCE=False) == "make rotate STACK=web FINISH=1"
    assert make_command("restore", "web", INTO="new", FROM="a file") == "make restore STACK=web INTO=new FROM='a file'"


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (StackError("no memory", fix="make scale"), "error: no memory -> make scale\n"),
        (PermissionError(13, "Permission denied", "/root/x"), "error: Permission denied: /root/x\n"),
        (OSError(28, "No space left on device"), "error: No space left on device: make up STACK=x\n"),
        (KeyboardInterrupt(), "interrupted; run the same command again to resume\n"),
    ],
)
def test_an_error_ends_the_command_with_1(
    problem: BaseException, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end, running("make up STACK=x"):
        raise problem
    assert (end.value.exit_code, capsys.readouterr().err) == (1, message)


def test_a_command_that_changes_a_stack_locks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocation, "PROJECT", tmp_path)
    with (
        running("make up", locked="web"),
        pytest.raises(StackError, match=r"`make up` .* is changing the stack web"),
        lock.exclusive(tmp_path, "web", "make down"),
    ):
        pass


def test_an_error_beside_a_command_that_changes_the_stack_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(invocation, "PROJECT", tmp_path)
    with (
        lock.exclusive(tmp_path, "web", "make down STACK=web"),
        pytest.raises(typer.Exit),
        running("make backup STACK=web", reads="web"),
    ):
        raise StackError("the node does not respond", fix="make up STACK=web")
    error, note = capsys.readouterr().err.splitlines()
    assert error == "error: the node does not respond -> make up STACK=web"
    assert note.startswith("note: `make down STACK=web` (process ")
    assert note.endswith(") is changing the stack web")
