"""The stack's own configuration of a cloud's provider, such as `gcp:impersonateServiceAccount` or `aws:profile`.

Pulumi passes it to default providers only. A target has a provider of its own, so it passes the configuration on.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret
from valkeykit.errors import ConfigurationError

ENGINE_KEYS = frozenset({"version", "pluginDownloadURL"})
"""With these the engine selects a plugin; they are not the provider's."""

SECRET_KEYS = frozenset({"credentials", "accessToken", "accessKey", "secretKey", "token"})
"""Encrypted in the state, even if they are not encrypted in the stack's file."""

_TEXT = pulumi.Input[str | None]


def provider_arguments(cloud: str, provider: Any, owned: Collection[str]) -> dict[str, Any]:
    """The configuration as arguments of the SDK's provider class.

    Args:
        cloud: the namespace, such as `gcp`.
        provider: the SDK's provider class.
        owned: keys that the target sets itself, from `valkey:` keys.

    Raises:
        ConfigurationError: an unknown key or an invalid value; no resource was registered.
    """
    prefix = f"{cloud}:"
    config = {key.removeprefix(prefix): value for key, value in CONFIG.get().items() if key.startswith(prefix)}
    types = _argument_types(provider)
    result = {}
    for key in sorted(config.keys() - ENGINE_KEYS - set(owned)):
        value = _value(f"{prefix}{key}", config[key], types)
        is_secret = key in SECRET_KEYS or is_config_secret(f"{prefix}{key}")
        result[argument_name(key)] = pulumi.Output.secret(value) if is_secret else value
    return result


def argument_name(key: str) -> str:
    """The SDK's name of a key: `billingProject` is `billing_project`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()


def _argument_types(provider: Any) -> dict[str, Any]:
    parameters = inspect.signature(provider._internal_init).parameters
    names = parameters.keys() - {"__self__", "resource_name", "opts", "__props__"}
    return {name: parameters[name].annotation for name in names}


def _value(path: str, text: str, types: Mapping[str, Any]) -> Any:
    """Everything but text arrives as JSON."""
    name = argument_name(path.partition(":")[2])
    if name not in types:
        matches = difflib.get_close_matches(name, types, n=1)
        hint = f" (did you mean {path.partition(':')[0]}:{_key(matches[0])}?)" if matches else ""
        raise ConfigurationError(f"{path} is unknown to the provider{hint}", fix=f"pulumi config rm {path}")
    if types[name] == _TEXT:
        return text
    try:
        return json.loads(text)
    except ValueError:
        # The value isn't shown: it may be a secret.
        raise ConfigurationError(
            f"{path} is invalid, expected true, false, a number, a list or a map", fix=f"pulumi config rm {path}"
        ) from None


def _key(argument: str) -> str:
    first, *words = argument.split("_")
    return first + "".join(word.capitalize() for word in words)
