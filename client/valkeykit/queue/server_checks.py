"""Server requirements of a queue, checked with INFO, which every user may run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from valkeykit.errors import UnsupportedServerError
from valkeykit.version_numbers import parse_version

MIN_VERSION = (7, 2)
"""The first release of Valkey; it has the scripts and the LMPOP that the queue needs."""

_logger = logging.getLogger("valkeykit.queue")


def verify_server(server: Mapping[str, Any], memory: Mapping[str, Any], *, allow_eviction: bool) -> None:
    """Check the responses to INFO server and INFO memory.

    Raises:
        UnsupportedServerError: The server isn't Valkey, is too old, or evicts jobs.
    """
    info = _of_one_node(server) | _of_one_node(memory)
    if info.get("server_name", "valkey" if "valkey_version" in info else "redis") != "valkey":
        raise UnsupportedServerError(
            f"the server is Redis {info.get('redis_version', '')}, but queues need Valkey",
            fix="run Valkey 7.2 or newer",
        )
    version = str(info.get("valkey_version", "0"))
    if parse_version(version)[:2] < MIN_VERSION:
        raise UnsupportedServerError(f"the server is Valkey {version}, older than 7.2", fix="upgrade the server")
    _check_eviction(str(info.get("maxmemory_policy", "noeviction")), allow_eviction=allow_eviction)


def _check_eviction(policy: str, *, allow_eviction: bool) -> None:
    if policy == "noeviction":
        return
    if policy.startswith("volatile-"):
        _logger.info("the server evicts keys with a TTL (%s): results and dedup keys may go early", policy)
    elif allow_eviction:
        _logger.warning("the server evicts any key (%s): jobs may be lost", policy)
    else:
        raise UnsupportedServerError(
            f"the server evicts any key when its memory is full ({policy}), so it would lose jobs",
            fix="set maxmemory-policy noeviction (a stack: pulumi config set workload mixed; make up), "
            "or pass allow_eviction=True",
        )


def _of_one_node(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The response of one node: a cluster's client returns those of all nodes, which have the same configuration."""
    nodes = [value for value in answer.values() if isinstance(value, Mapping) and len(value) > 5]
    return dict(nodes[0] if nodes else answer)
