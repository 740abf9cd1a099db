"""The command line `stackctl`: `make` runs its commands, and errors are one line."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
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
    text = text.replace('"$$@"', '--set "$$pair"').replace("$(DRY_RUN)", "--dry")
    lines = re.findall(r"^(\w+): .*\n\t@(?:.*; )?\$\(RUN\) (.*)$", text, re.MULTILINE)
    return {name: shlex.split(line) for name, line in lines}


def run_make(*words: str) -> list[str]:
    """The arguments that a target of the Makefile passes to stackctl."""
    command = f"{shlex.quote(sys.executable)} -c 'import sys; print(sys.argv[1:])'"
    # The environment isn't renewed, however old it is.
    unchanged = ("--old-file", ".venv/.ready", "--no-print-directory")
    done = subprocess.run(
        ["make", *unchanged, f"RUN={command}", *words], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return list(ast.literal_eval(done.stdout))


@pytest.mark.parametrize("value", ["x`touch injected`", 'a"; touch injected; "', "a b", "$$(touch injected)", "ü"])
def test_no_variable_of_make_is_run_by_a_shell(value: str) -> None:
    passed = value.replace("$$", "$")
    assert run_make("card", f"STACK={value}") == ["card", "--stack", passed]
    assert run_make("restore", f"INTO={value}", f"FROM={value}")[3:] == ["--into", passed, "--from", passed]
    assert run_make("render", "FOR=compose", f"OUT={value}", "SET=memory=1gb contacts=*")[3:] == [
        *("--out", passed, "--set", "memory=1gb", "--set", "contacts=*")
    ]
    assert not (PROJECT / "injected").exists()


@pytest.mark.parametrize("name", ["", "a b", "../x", "..", "a/b", "-h", 'a"b', "ü", "x" * 101])
@pytest.mark.parametrize("command", ["up", "card", "down"])
def test_an_invalid_stack_name_is_rejected_before_anything_is_locked(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock, "exclusive", None)
    assert run(monkeypatch, command, "--stack", name) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.endswith("-> STACK=dev\n")


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


def test_an_error_names_a_concurrent_command_that_changes_the_stack(
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
