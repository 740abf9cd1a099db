"""The command line. Commands are imported on use; other distributions add theirs with entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from valkeykit.errors import ConfigurationError
from valkeykit.installation import OPERATOR_TOOLS, version

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

COMMANDS = ("check", "worker", "queue")
"""Commands of this distribution; each module has a function of the same name."""

OPS_COMMANDS = ("migrate", "doctor", "cli", "stats", "metrics", "slowlog", "bench", "web")
"""Commands of the distribution valkeykit-ops."""

ENTRY_POINT_GROUP = "valkeykit.commands"
"""Entry points of other distributions: functions with the options of a command, or typer apps with sub-commands."""


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  (typer's interface)
        return [*COMMANDS, *sorted(_entry_points().names, key=_position)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  (typer's interface)
        command = _load(cmd_name)
        if command is None:
            return None
        if not isinstance(command, typer.Typer):
            function, command = command, typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            command.command(cmd_name)(function)
        return typer.main.get_command(command)


def _load(name: str) -> Callable[..., Any] | typer.Typer | None:
    if name in COMMANDS:
        function: Callable[..., Any] = getattr(import_module(f"{__name__}.{name}"), name)
        return function
    for entry_point in _entry_points().select(name=name):
        loaded: Callable[..., Any] | typer.Typer = entry_point.load()
        return loaded
    if name in OPS_COMMANDS:
        raise ConfigurationError(f"`valkeykit {name}` is not installed", fix=OPERATOR_TOOLS)
    return None


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # takes 40 ms, which `worker --check` does not have

    return entry_points(group=ENTRY_POINT_GROUP)


def _position(name: str) -> tuple[int, str]:
    return (OPS_COMMANDS.index(name) if name in OPS_COMMANDS else len(OPS_COMMANDS), name)


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"valkeykit {version()}")
        raise typer.Exit


@app.callback()
def valkeykit(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Valkey for applications."""
