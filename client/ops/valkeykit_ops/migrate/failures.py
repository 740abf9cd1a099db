"""Errors of a migration: each names the endpoint that failed, and the option that fixes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from valkeykit.error_translation import REDIS_ERRORS, translate_error
from valkeykit.errors import TlsError, ValkeykitError

_ENDPOINT, _ROLE = "valkeykit_endpoint", "valkeykit_role"


@contextlib.contextmanager
def naming_endpoint(role: str, address: str) -> Iterator[None]:
    """Mark an exception that passes with the endpoint it comes from."""
    try:
        yield
    except REDIS_ERRORS as problem:
        if not hasattr(problem, _ENDPOINT):
            setattr(problem, _ENDPOINT, f"{role} {address}".strip())
            setattr(problem, _ROLE, role)
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


def _translated(problem: Exception) -> ValkeykitError:
    error = translate_error(problem)
    endpoint, role = getattr(problem, _ENDPOINT, ""), getattr(problem, _ROLE, "")
    message = str(error.args[0])
    fix = error.fix
    if isinstance(error, TlsError) and "ca=" in fix and role:
        fix = f"pass the authority's certificate with --{role}-ca"
    return type(error)(f"{endpoint}: {message}" if endpoint else message, fix=fix)
