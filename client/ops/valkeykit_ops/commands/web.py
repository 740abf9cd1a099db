"""valkeykit web: the web page of queues, jobs and workers."""

from __future__ import annotations

import ipaddress
import secrets
from pathlib import Path
from typing import Annotated

import typer
from valkeykit.errors import ConfigurationError
from valkeykit.url import Node, parse_nodes

from valkeykit_ops.commands.endpoint_options import CaOption, StackOption, UrlArgument, settings_of

DEFAULT_ADDRESS = "127.0.0.1:8630"

INSTALL = "pip install './client/ops[web]'   # in a checkout of the repository"

NEW_TOKEN = "openssl rand -hex 32 > FILE"  # noqa: S105  (a command)


def web(
    url: UrlArgument = None,
    *,
    stack: StackOption = None,
    listen: Annotated[str, typer.Option(help="Address of the page.")] = DEFAULT_ADDRESS,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token of the login; default: a new one, printed in the URL.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse all changes.")] = False,
    show_arguments: Annotated[
        bool, typer.Option("--show-arguments", help="Show values of arguments, results and progress.")
    ] = False,
    ca: CaOption = None,
) -> None:
    """Serve a web page of queues, jobs and workers."""
    node = parse_address(listen)
    token = read_token(token_file, node)
    settings = settings_of(url, stack, ca)
    try:
        import uvicorn

        from valkeykit_ops.web import create_app
    except ImportError:
        raise ConfigurationError("`valkeykit web` needs starlette, uvicorn and jinja2", fix=INSTALL) from None
    page = create_app(settings, token=token, read_only=read_only, show_arguments=show_arguments)
    typer.echo(f"http://{node}/" + (f"?token={token}" if token_file is None else ""), err=True)
    # The log of requests would contain the token.
    uvicorn.run(page, host=node.host, port=node.port, log_level="warning", access_log=False, server_header=False)


def parse_address(text: str) -> Node:
    """The address of --listen.

    Raises:
        ConfigurationError: It isn't one.
    """
    try:
        nodes = parse_nodes(text)
    except ConfigurationError:  # its text is about URLs
        nodes = ()
    if len(nodes) != 1:
        raise ConfigurationError(f"--listen {text!r} is not HOST:PORT", fix=f"--listen {DEFAULT_ADDRESS}")
    return nodes[0]


def read_token(file: Path | None, node: Node) -> str:
    """The token of the login. On an address that other machines reach, it must be the user's own.

    Raises:
        ConfigurationError: It is missing, or can't be read.
    """
    if file is None:
        if not is_loopback(node.host):
            raise ConfigurationError(
                f"other machines can reach {node}, so the page needs a token file",
                fix=f"{NEW_TOKEN}; valkeykit web --listen {node} --token-file FILE",
            )
        return secrets.token_urlsafe(32)
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not a text file"
        raise ConfigurationError(f"--token-file {file} can't be read: {reason}", fix=NEW_TOKEN) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address. A name may change its address, so only localhost counts."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
