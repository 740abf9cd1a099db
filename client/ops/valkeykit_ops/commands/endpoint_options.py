"""The endpoint of a command: a URL, the environment's, or that of a Pulumi stack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from valkeykit.settings import ConnectionSettings, resolve_settings
from valkeykit.vocabulary import UserRole

from valkeykit_ops.doctor import target

UrlArgument = Annotated[str | None, typer.Argument(help="URL of the endpoint; default: VALKEY_URL, else REDIS_URL.")]
StackOption = Annotated[str | None, typer.Option(help="Use the endpoint of this Pulumi stack.")]
CaOption = Annotated[Path | None, typer.Option(help="Path of the CA certificate.")]


def settings_of(url: str | None, stack: str | None, ca: Path | None, user: UserRole = "app") -> ConnectionSettings:
    """The connection settings that the options select.

    Args:
        user: of a stack; a URL has its own.

    Raises:
        ConfigurationError: The URL is invalid, or the stack has no endpoint.
    """
    if stack is None:
        return resolve_settings(url, ca=ca)
    if url:
        raise typer.BadParameter("a URL and --stack exclude each other")
    usual, chosen = resolve_settings("redis://localhost"), target.of_stack(stack, user=user).settings
    return replace(chosen, connect_timeout=usual.connect_timeout, read_timeout=usual.read_timeout)
