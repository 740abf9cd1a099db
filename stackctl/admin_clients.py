"""Clients of a stack's nodes, logged in as its administrator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import redis
from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint
from valkeykit.error_translation import translate_errors
from valkeykit.errors import ValkeykitError
from valkeykit.url import Node, parse

from infra.outputs import ADMIN_URL, ENDPOINT
from stackctl.errors import StackError


def as_admin(outputs: Mapping[str, Any], stack: str = "") -> Iterator[tuple[Node, redis.Redis]]:
    """Yield each node with a client, which is closed before the next.

    stack: its name, for the fix.

    Raises:
        StackError: a node doesn't respond.
    """
    for node in Endpoint.from_dict(outputs[ENDPOINT]).nodes:
        with connected(outputs, node, stack) as client:
            yield node, client


@contextlib.contextmanager
def connected(outputs: Mapping[str, Any], node: Node, stack: str = "") -> Iterator[redis.Redis]:
    """A client of one node.

    Raises:
        StackError: the node doesn't respond.
    """
    endpoint, admin = Endpoint.from_dict(outputs[ENDPOINT]), parse(outputs[ADMIN_URL])
    with contextlib.closing(connect(admin.at(node), topology="single", ca=endpoint.ca)) as client:
        try:
            with translate_errors():
                client.ping()
        except ValkeykitError as problem:
            fix = f"make up STACK={stack}" if stack else "make up"
            raise StackError(f"the node {node} does not respond: {problem.args[0]}", fix=fix) from None
        yield client
