"""The command line `stackctl`: its commands and their options. What an operation needs is imported when it runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer
from valkeykit.vocabulary import UserRole

from stackctl.invocation import make_command, running
from stackctl.messages import show, show_dry_run
from stackctl.stack import Stack

DEFAULT_STACK = "dev"

STACK_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}")
"""What Pulumi accepts as the name of a stack; it is part of file names too."""


def _check_name(name: str) -> str:
    if name and (not STACK_NAME.fullmatch(name) or not name.strip(".")):
        show(
            f"error: {name!r:.110} is not a stack name, expected at most 100 letters, digits, hyphens, underscores and "
            "dots -> STACK=dev"
        )
        raise typer.Exit(2)
    return name


def _check_stack(name: str) -> str:
    if not name:
        show("error: the name of the stack is empty -> STACK=dev")
        raise typer.Exit(2)
    return _check_name(name)


StackName = Annotated[str, typer.Option("--stack", help="Name of the stack.", callback=_check_stack)]
Dry = Annotated[bool, typer.Option("--dry", help="Preview only; change nothing.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command; exit 1 on an error that has a name, 2 on wrong usage."""
    app()


@app.callback()
def stackctl() -> None:
    """Deploy and operate stacks. `make COMMAND STACK=NAME` runs the same commands."""


@app.command()
def up(stack: StackName = DEFAULT_STACK, dry: Dry = False) -> None:
    """Deploy the stack, run the smoke tests and print connection details."""
    from stackctl.operations.up import deploy

    with running(make_command("up", stack), locked="" if dry else stack):
        raise typer.Exit(deploy(Stack.open(stack), dry=dry))


@app.command()
def smoke(
    pytest_options: Annotated[list[str] | None, typer.Argument(help="Options for pytest, after `--`.")] = None,
    stack: StackName = DEFAULT_STACK,
    accept: Annotated[bool, typer.Option("--accept", help="Accept the current number of keys.")] = False,
) -> None:
    """Run the smoke tests on a deployed stack."""
    from stackctl.operations.smoke import run_tests

    with running(make_command("smoke", stack), reads=stack):
        raise typer.Exit(run_tests(stack, pytest_options or (), accept=accept))


@app.command()
def env(
    stack: StackName = DEFAULT_STACK,
    form: Annotated[str, typer.Option("--format", help="One of dotenv, shell, json and k8s.")] = "dotenv",
    out: Annotated[Path | None, typer.Option(help="File; default: a file in .valkey.")] = None,
    only_valkey_url: Annotated[bool, typer.Option("--only-valkey-url", help="Leave REDIS_URL out.")] = False,
) -> None:
    """Write a stack's URLs to a file and print its path."""
    from stackctl.operations.env import write_variables

    with running(make_command("env", stack), reads=stack):
        print(write_variables(Stack.open(stack), form, out, only_valkey_url=only_valkey_url))


@app.command()
def backup(stack: StackName = DEFAULT_STACK) -> None:
    """Back up the data to .valkey/<stack>/backups/<time> and print that path."""
    from stackctl.operations.backup import take

    with running(make_command("backup", stack), reads=stack):
        print(take(Stack.open(stack)))


@app.command()
def restore(
    stack: StackName = DEFAULT_STACK,
    into: Annotated[str, typer.Option(help="Name of the new stack.", callback=_check_name)] = "",
    source: Annotated[str, typer.Option("--from", help="File or folder; default: the newest backup.")] = "",
    dry: Dry = False,
) -> None:
    """Restore a backup into a new stack."""
    from stackctl.operations.restore import restore

    with running(make_command("restore", stack, INTO=into, FROM=source), locked="" if dry else into or stack):
        raise typer.Exit(restore(stack, into, source, dry=dry))


@app.command()
def repair(
    stack: StackName = DEFAULT_STACK,
    node: Annotated[str, typer.Option(help="The damaged node, such as node-0.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Accept the loss of all of its data.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Report only; change nothing.")] = False,
) -> None:
    """Repair a damaged node that has no healthy copy; keeps its files."""
    from stackctl.operations import repair

    with running(make_command("repair", stack, NODE=node, FORCE=force), locked="" if dry else stack):
        for line in (repair.preview if dry else repair.run)(Stack.open(stack), node, force=force):
            print(line, flush=True)
        if dry:
            show_dry_run()


@app.command()
def rotate(
    stack: StackName = DEFAULT_STACK,
    finish: Annotated[bool, typer.Option("--finish", help="Revoke the passwords before the last rotation.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if clients may still use them.")] = False,
    dry: Dry = False,
) -> None:
    """Rotate passwords; the old ones stay valid until --finish."""
    from stackctl.operations.rotation import rotate

    command = make_command("rotate", stack, FINISH=finish, FORCE=force)
    with running(command, locked="" if dry else stack):
        raise typer.Exit(rotate(Stack.open(stack), command, is_last_step=finish, force=force, dry=dry))


@app.command()
def failover(stack: StackName = DEFAULT_STACK, dry: Dry = False) -> None:
    """Fail over every primary and report the impact on clients."""
    from stackctl.operations.failover import fail_over

    with running(make_command("failover", stack), locked="" if dry else stack):
        raise typer.Exit(fail_over(Stack.open(stack), dry=dry))


@app.command()
def upgrade(
    stack: StackName = DEFAULT_STACK,
    to: Annotated[str, typer.Option(help="The version, such as 9.1.")] = "",
    dry: Dry = False,
) -> None:
    """Upgrade to another version of Valkey."""
    from stackctl.operations.upgrade import upgrade

    command = make_command("upgrade", stack, TO=to)
    with running(command, locked="" if dry else stack):
        raise typer.Exit(upgrade(stack, command, to, dry=dry))


@app.command()
def scale(
    stack: StackName = DEFAULT_STACK,
    memory: Annotated[str, typer.Option(help="Memory per shard, such as 1gb.")] = "",
    shards: Annotated[str, typer.Option(help="Number of primaries.")] = "",
    replicas: Annotated[str, typer.Option(help="Replicas of each primary.")] = "",
    dry: Dry = False,
) -> None:
    """Change the size."""
    from stackctl.operations.scale import scale

    command = make_command("scale", stack, MEMORY=memory, SHARDS=shards, REPLICAS=replicas)
    with running(command, locked="" if dry else stack):
        raise typer.Exit(scale(stack, command, {"memory": memory, "shards": shards, "replicas": replicas}, dry=dry))


@app.command()
def card(stack: StackName = DEFAULT_STACK) -> None:
    """Print a summary of the stack for the team's wiki, without secrets."""
    from stackctl.operations.card import render

    with running(make_command("card", stack), reads=stack):
        print(render(Stack.open(stack)))


@app.command("cli")
def prompt(
    stack: StackName = DEFAULT_STACK,
    role: Annotated[UserRole, typer.Option(help="The user that logs in.")] = "admin",
) -> None:
    """Open valkey-cli on the server, or a minimal prompt where it is not installed."""
    from stackctl.operations.prompt import open_prompt

    with running(make_command("cli", stack), reads=stack):
        open_prompt(Stack.open(stack), role)


@app.command()
def drill(stack: StackName = DEFAULT_STACK) -> None:
    """Verify the newest backup: load it into a temporary server, print its keys, loading time and age."""
    from stackctl.operations.backup import verify

    with running(make_command("drill", stack), reads=stack):
        for line in verify(Stack.open(stack)):
            print(line)


@app.command()
def render(
    form: Annotated[Literal["compose", "native"], typer.Option("--for", help="Kind of folder.")],
    out: Annotated[Path, typer.Option(help="A new folder, or one that this command created.")],
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for `pulumi config set`.")
    ] = None,
) -> None:
    """Write a folder that needs no Pulumi."""
    from stackctl.render import render

    with running("make render"):
        show(render(form, out, pairs or ()))


@app.command()
def down(stack: StackName = DEFAULT_STACK) -> None:
    """Destroy a stack; embedded and docker leave a final snapshot."""
    from stackctl.operations.down import destroy

    with running(make_command("down", stack), locked=stack):
        destroy(Stack.open(stack))


@app.command()
def policy(stack: StackName = DEFAULT_STACK) -> None:
    """Check what `up` would create against the policies of infra/policy."""
    from stackctl.operations.policy_check import check

    with running(make_command("policy", stack)):
        check(Stack.open(stack))


@app.command()
def shell() -> None:
    """Print exports with which `pulumi` works on this project's stacks."""
    from stackctl.operations.shell import exports

    with running("make shell"):
        for line in exports():
            print(line)
