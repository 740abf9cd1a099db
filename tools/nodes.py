"""Each node of a stack, as its admin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import redis
from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node, parse


def as_admin(outputs: Mapping[str, Any]) -> Iterator[tuple[Node, redis.Redis]]:
    """One node after the other, with a client that is closed before the next."""
    endpoint, admin = Endpoint.from_dict(outputs["endpoint"]), parse(outputs["adminUrl"])
    for node in endpoint.nodes:
        with contextlib.closing(connect(admin.at(node), ca=endpoint.ca)) as client:
            yield node, client
