"""Errors of a migration: each names the endpoint that failed, and the option that fixes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from valkeykit.error_translation import REDIS_ERRORS, translate_error
from valkeykit.errors import UnreachableError, ValkeykitError
from valkeykit.vocabulary import MigrationRole

_ENDPOINT, _ROLE, _ANNOUNCED = "valkeykit_endpoint", "valkeykit_role", "valkeykit_announced"

ANNOUNCED_FIX = (
    "start this node of the cluster; if the address that the cluster announces is not reachable from here (NAT), "
    "set cluster-announce-ip at its nodes, or run the command in their network"
)

_TLS_OPTIONS = {
    ": connect(…, ca=…)": " with --{role}-ca",
    ": connect(…, certificate=…, key=…)": " with --{role}-cert and --{role}-key",
    "pass both: certificate=…, key=…": "pass both --{role}-cert and --{role}-key",
}
"""What errors of the client call its TLS options, and what the command calls them."""


@contextlib.contextmanager
def naming_endpoint(role: MigrationRole | None, address: str, *, announced: bool = False) -> Iterator[None]:
    """Mark an exception that passes with the endpoint it comes from.

    Args:
        announced: Whether a cluster announced the address, so it is not part of the URL.
    """
    try:
        yield
    except REDIS_ERRORS as problem:
        if not hasattr(problem, _ENDPOINT):
            setattr(problem, _ENDPOINT, f"{role} {address}" if role else address)
            setattr(problem, _ROLE, role)
            setattr(problem, _ANNOUNCED, announced)
        raise


@contextlib.contextmanager
def translating_errors() -> Iterator[None]:
    """Translate redis-py's errors and name the endpoint; a server's message about a payload is not shown.

    Raises:
        ValkeykitError: redis-py raised an exception inside.
    """
    try:
        yield
    except ValkeykitError:
        raise
    except REDIS_ERRORS as problem:
        raise _translated(problem) from None


def naming_tls_options(role: MigrationRole, text: str) -> str:
    """Replace the client's names of TLS options with those of the command."""
    for theirs, ours in _TLS_OPTIONS.items():
        text = text.replace(theirs, ours.format(role=role))
    return text


def _translated(problem: Exception) -> ValkeykitError:
    error = translate_error(problem)
    endpoint, role = getattr(problem, _ENDPOINT, ""), getattr(problem, _ROLE, None)
    message = str(error.args[0])
    fix = error.fix
    if role:
        fix = naming_tls_options(role, fix).replace(", or raise read_timeout", "")
    if getattr(problem, _ANNOUNCED, False) and isinstance(error, UnreachableError):
        fix = ANNOUNCED_FIX
    return type(error)(f"{endpoint}: {message}" if endpoint else message, fix=fix)
