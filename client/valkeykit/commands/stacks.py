"""Endpoints of Pulumi stacks, which valkeykit-ops reads."""

from __future__ import annotations

from pathlib import Path

from valkeykit.errors import ConfigurationError
from valkeykit.installation import OPERATOR_TOOLS
from valkeykit.settings import ConnectOptions, ConnectTarget

ENTRY_POINT_GROUP = "valkeykit.stacks"
"""Its entry point `login` is a function that takes a stack's name and returns an endpoint and a login."""


def server_of(stack: str | None, ca: str | Path | None) -> tuple[ConnectTarget, ConnectOptions]:
    """The server of a stack, else the environment's, and the options of a connection.

    Raises:
        ConfigurationError: valkeykit-ops is not installed, or the stack has no endpoint.
    """
    given: ConnectOptions = {} if ca is None else {"ca": ca}
    if stack is None:
        return None, given
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINT_GROUP).select(name="login"):
        endpoint, login = entry_point.load()(stack)
        return endpoint, {**login, **given}
    raise ConfigurationError("--stack needs the tools for operators", fix=OPERATOR_TOOLS)
