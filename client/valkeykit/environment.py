"""Connection settings in environment variables: VALKEY_URL, else REDIS_URL, else a local server.

Further variables complement the URL: VALKEY_TOPOLOGY, VALKEY_NODES, VALKEY_SENTINELS, VALKEY_CA,
VALKEY_CERTIFICATE, VALKEY_KEY and VALKEY_CHECK_HOSTNAME. The stack output `env` has them all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from valkeykit import url
from valkeykit.errors import ConfigurationError
from valkeykit.vocabulary import Topology

DEFAULT_URL = "redis://localhost:6379"

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_TOPOLOGIES: dict[str, Topology] = {
    "single": "single",
    "replicated": "replicated",
    "cluster": "cluster",
    "serverless": "cluster",
}
"""How a client connects to each topology; a serverless cache uses the cluster protocol."""


def resolve(environ: Mapping[str, str] | None = None) -> url.Address | None:
    """Read the address from the environment.

    An empty variable counts as unset. The topology of the URL's scheme takes precedence.

    Args:
        environ: Variables by name; None for those of this process.

    Returns:
        The address of VALKEY_URL, else of REDIS_URL, else redis://localhost:6379; None if DISABLE_REDIS is on.

    Raises:
        ConfigurationError: A variable has an invalid value; the error names it.
    """
    variables = os.environ if environ is None else environ
    if _is_disabled(variables):
        return None
    address = _address(variables)
    return address if address.topology else _with_nodes(address, variables)


def authority(environ: Mapping[str, str] | None = None) -> str | None:
    """VALKEY_CA, the authority of the server's certificate: PEM text or a path; None for the system's."""
    variables = os.environ if environ is None else environ
    return variables.get("VALKEY_CA", "").strip() or None


def checks_hostname(environ: Mapping[str, str] | None = None) -> bool:
    """VALKEY_CHECK_HOSTNAME: whether a certificate's name is compared with the host; true by default.

    Raises:
        ConfigurationError: Its value is neither true nor false.
    """
    variables = os.environ if environ is None else environ
    return _flag(variables, "VALKEY_CHECK_HOSTNAME", default="true")


def trust() -> dict[str, str | bool | None]:
    """The options of `connect` for TLS: VALKEY_CA, VALKEY_CERTIFICATE, VALKEY_KEY and VALKEY_CHECK_HOSTNAME.

    Raises:
        ConfigurationError: VALKEY_CHECK_HOSTNAME is neither true nor false.
    """
    identity = {name: os.environ.get(f"VALKEY_{name.upper()}", "").strip() or None for name in ("certificate", "key")}
    return {"ca": authority(), "check_hostname": checks_hostname(), **identity}


def _address(variables: Mapping[str, str]) -> url.Address:
    for name in ("VALKEY_URL", "REDIS_URL"):
        if value := variables.get(name, "").strip():
            try:
                return url.parse(value)
            except ConfigurationError as problem:
                raise ConfigurationError(f"{name}: {problem.args[0]}", fix=problem.fix) from None
    return url.parse(DEFAULT_URL)


def _with_nodes(address: url.Address, variables: Mapping[str, str]) -> url.Address:
    """The URL's address with the nodes of the other variables."""
    topology = variables.get("VALKEY_TOPOLOGY", "").strip()
    if topology and topology not in _TOPOLOGIES:
        known = ", ".join(_TOPOLOGIES)
        raise ConfigurationError(f"VALKEY_TOPOLOGY is {topology!r}, not one of {known}", fix="unset VALKEY_TOPOLOGY")
    first = url.Node(address.host, address.port)
    nodes = _nodes(variables, "VALKEY_NODES")
    if nodes and first not in nodes:
        raise ConfigurationError(
            f"VALKEY_NODES doesn't name the URL's {first}, so they belong to two deployments",
            fix="set both from one `make env`, or unset VALKEY_NODES, VALKEY_SENTINELS and VALKEY_TOPOLOGY",
        )
    return replace(
        address,
        topology=_TOPOLOGIES.get(topology),
        fallback_nodes=tuple(node for node in nodes if node != first),
        sentinels=_nodes(variables, "VALKEY_SENTINELS"),
    )


def _nodes(variables: Mapping[str, str], name: str) -> tuple[url.Node, ...]:
    try:
        return url.parse_nodes(variables.get(name, ""))
    except ConfigurationError:
        raise ConfigurationError(f"{name} isn't a list of hosts and ports", fix=f"{name}=host:port,host:port") from None


def _is_disabled(variables: Mapping[str, str]) -> bool:
    return _flag(variables, "DISABLE_REDIS", default="false")


def _flag(variables: Mapping[str, str], name: str, default: str) -> bool:
    value = variables.get(name, "").strip().lower() or default
    if value not in _TRUE | _FALSE:
        raise ConfigurationError(f"{name} is {value!r}, which is neither true nor false", fix=f"{name}=1")
    return value in _TRUE
