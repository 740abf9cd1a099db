"""valkeykit cli: send commands to a server, for machines without valkey-cli."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from redis import Redis
from redis.exceptions import ResponseError
from valkeykit.error_translation import translate_errors
from valkeykit.errors import ConfigurationError
from valkeykit.settings import ConnectionSettings, resolve_settings
from valkeykit.url import Node, parse_nodes

from valkeykit_ops import nodes as deployment

COMMAND_CONNECT_SECONDS, COMMAND_READ_SECONDS = 5.0, 60.0
"""Time limits: the server may be far away, and a command such as BGSAVE or SCRIPT FLUSH slow."""

command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@command.command("cli", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def cli(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND...]", help="Command and arguments; without one, lines of the input are sent."),
    ] = None,
    node: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Send it to this node.")] = None,
    login: Annotated[bool, typer.Option("--login", help="Prompt for a user and a password.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Path of the CA certificate.")] = None,
) -> None:
    """Send a command, or each line of the input, to the server of VALKEY_URL, else of REDIS_URL; print the replies."""
    settings = resolve_settings(None, ca=ca, connect_timeout=COMMAND_CONNECT_SECONDS, read_timeout=COMMAND_READ_SECONDS)
    if login:
        settings = _with_login(settings)
    with translate_errors():
        chosen = _node(node) if node else deployment.configured_nodes(settings)[0]
        with deployment.client_of(_for_node(settings, chosen), chosen) as client:
            if not words:
                _prompt(client, chosen)
            elif not _send(client, chosen, words):
                raise typer.Exit(1)


def _prompt(client: Redis, node: Node) -> None:
    """Send each line until the end of the input, `quit` or `exit`."""
    question = f"{node}> " if sys.stdin.isatty() else ""
    while True:
        try:
            words = shlex.split(input(question))
        except EOFError:
            return
        except ValueError as problem:  # an open quotation mark
            typer.echo(f"error: {problem}", err=True)
            continue
        if words and words[0].lower() in {"quit", "exit"}:
            return
        if words and words[0].upper() in _STREAMS:
            typer.echo(f"error: {words[0]} needs valkey-cli, which prints what follows the reply", err=True)
        elif words:
            _send(client, node, words)


_STREAMS = {"MONITOR", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"}


def _send(client: Redis, node: Node, words: list[str]) -> bool:
    """Send a command and print its reply; False if it is an error."""
    reply = deployment.run_raw(client, *words)
    if isinstance(reply, ResponseError):
        typer.echo(f"error: {node}: {reply}", err=True)
        return False
    for line in _lines(reply):
        typer.echo(line)
    return True


def _with_login(settings: ConnectionSettings) -> ConnectionSettings:
    user = typer.prompt("User", default=settings.address.username or "default", err=True)
    password = typer.prompt("Password", hide_input=True, err=True)
    address = replace(settings.address, username=user, password=password)
    return replace(settings, address=address, credentials=None, sentinel_credentials=(user, password))


def _node(text: str) -> Node:
    nodes = parse_nodes(text)
    if len(nodes) != 1:
        raise ConfigurationError(f"--node {text!r} is not HOST:PORT", fix="--node 127.0.0.1:6379")
    return nodes[0]


def _for_node(settings: ConnectionSettings, node: Node) -> ConnectionSettings:
    """Sentinels have their own users."""
    address = settings.address
    is_sentinel = node in (address.nodes if address.topology == "sentinel" else address.sentinels)
    return settings.at_sentinel(node) if is_sentinel else settings


def _lines(reply: Any) -> Iterator[str]:
    """The reply as text: a value on a line, a map as pairs, nested values indented."""
    if isinstance(reply, dict):
        for key, value in reply.items():
            yield from _pair(_text(key), list(_lines(value)))
    elif isinstance(reply, list | tuple | set):
        for item in reply:
            lines = list(_lines(item))
            nested = isinstance(item, dict | list | tuple | set)
            yield from (f"{'- ' if nested and not number else '  ' if nested else ''}{line}"
                        for number, line in enumerate(lines))  # fmt: skip
    else:
        yield from _text(reply).splitlines() or [""]


def _pair(key: str, value: list[str]) -> Iterator[str]:
    if len(value) == 1:
        yield f"{key}: {value[0]}"
        return
    yield f"{key}:"
    yield from (f"  {line}" for line in value)


def _text(value: Any) -> str:
    """Control characters of stored names must not reach the terminal."""
    if value is None:
        return "(nil)"
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return "".join(one if one.isprintable() or one in "\n\r" else ascii(one)[1:-1] for one in text)
