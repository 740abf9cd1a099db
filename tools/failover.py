"""A failover drill: every primary hands over to a replica while an application writes."""

from __future__ import annotations

from collections.abc import Iterator

from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint
from valkeykit.error_translation import translate_errors
from valkeykit.url import parse

from infra.providers import docker as containers
from infra.providers import processes as providers
from tools import clouds
from tools.errors import ToolError
from tools.probe import Writer
from tools.stack import Stack

ACKNOWLEDGING = 1
"""Replicas that must have a write before the application counts on it."""

BACK_SECONDS = 30.0


def rehearse(stack: Stack) -> Iterator[str]:
    """Say what the drill would do, a line each.

    Raises:
        ToolError: there is no such stack, or it has nobody to fail over to.
    """
    endpoint = _endpoint(stack)
    yield f"{endpoint.topology}, {len(endpoint.nodes)} nodes: each primary would hand over to a replica"
    yield "writes wait for about a second for each primary, and none that was acknowledged is lost"


def carry_out(stack: Stack) -> Iterator[str]:
    """Have every primary hand over, and say what it cost an application, a line each.

    Raises:
        ToolError: there is no such stack, it has nobody to fail over to, or an acknowledged write was lost.
        ProvisioningError: no replica took over.
    """
    endpoint = _endpoint(stack)
    url = parse(stack.outputs()["url"])
    address = endpoint.address(url.username, url.password)
    with Writer(lambda: connect(address, ca=endpoint.ca), wait=ACKNOWLEDGING) as writer:
        if not writer.goes_on(BACK_SECONDS):
            raise ToolError("nothing can be written before the drill", fix=f"valkeykit doctor --stack {stack.name}")
        _hand_over(stack, endpoint)
        if not writer.goes_on(BACK_SECONDS):
            raise ToolError(f"no write for {BACK_SECONDS:.0f} s since the drill", fix=f"make up STACK={stack.name}")
    with translate_errors():
        lost = writer.lost()
        writer.forget()
    if lost:
        raise ToolError(f"{len(lost)} of {writer.acknowledged} acknowledged writes are lost")
    yield f"{writer.acknowledged} writes acknowledged, none lost, {len(writer.failed)} tried again"
    yield f"the longest time without a write: {writer.longest:.1f} s"


def _endpoint(stack: Stack) -> Endpoint:
    endpoint = Endpoint.from_dict(stack.outputs()["endpoint"])
    if endpoint.topology not in {"replicated", "cluster"} or len(endpoint.nodes) < 2:
        raise ToolError(
            f"the stack {stack.name} has no replica to fail over to: its topology is {endpoint.topology}",
            fix="a failover needs topology replicated or cluster: make a new stack with it and move the data",
        )
    if endpoint.target == "gcp":
        raise ToolError("Memorystore fails over by itself and offers no failover on demand")
    return endpoint


def _hand_over(stack: Stack, endpoint: Endpoint) -> None:
    if endpoint.target == "docker":
        containers.fail_over(stack.resource("Containers"))
    elif endpoint.target == "embedded":
        providers.fail_over(stack.resource("ServerGroup"))
    else:
        clouds.fail_over(stack.outputs())
