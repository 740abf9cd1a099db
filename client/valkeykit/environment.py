"""Which server the environment names: VALKEY_URL, then REDIS_URL, then a local one."""

from __future__ import annotations

import os
from collections.abc import Mapping

from valkeykit import url
from valkeykit.errors import ConfigurationError

DEFAULT_URL = "redis://localhost:6379"

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def resolve(environ: Mapping[str, str] | None = None) -> url.Address | None:
    """The address that the environment names; None where DISABLE_REDIS says to use none.

    An empty variable counts as one that isn't set.

    Raises:
        ConfigurationError: the variable that is used can't be read; it is named.
    """
    variables = os.environ if environ is None else environ
    if _is_disabled(variables):
        return None
    for name in ("VALKEY_URL", "REDIS_URL"):
        if value := variables.get(name, "").strip():
            try:
                return url.parse(value)
            except ConfigurationError as problem:
                raise ConfigurationError(f"{name}: {problem.args[0]}", fix=problem.fix) from None
    return url.parse(DEFAULT_URL)


def _is_disabled(variables: Mapping[str, str]) -> bool:
    value = variables.get("DISABLE_REDIS", "").strip().lower()
    if value not in _TRUE | _FALSE:
        raise ConfigurationError(f"DISABLE_REDIS is {value!r}, which is neither true nor false", fix="DISABLE_REDIS=1")
    return value in _TRUE
