"""Repair of a damaged node that has no healthy copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from valkeykit.endpoint import Endpoint

from infra.outputs import ENDPOINT
from infra.providers import docker as containers
from infra.providers import processes as providers
from stackctl.errors import StackError
from stackctl.stack import Stack

_Repair = Callable[..., Iterator[str]]


def preview(stack: Stack, node: str, *, force: bool = False) -> Iterator[str]:
    """Report what is wrong with a node and what a repair would lose, a line each. Nothing changes.

    Raises:
        StackError: there is no such stack, or its target has no repair.
        ProvisioningError: the node needs no repair, or too little of its data is left.
    """
    return _repair(stack)(stack, node, force=force, dry=True)


def run(stack: Stack, node: str, *, force: bool = False) -> Iterator[str]:
    """Repair a node, and report what was wrong with it and what is lost, a line each.

    force: accept that all of its data are lost.

    Raises:
        StackError, ProvisioningError: as `preview`; or the node isn't healthy after the repair.
    """
    return _repair(stack)(stack, node, force=force, dry=False)


def _repair(stack: Stack) -> _Repair:
    target = Endpoint.from_dict(stack.outputs()[ENDPOINT]).target
    if target not in _TARGETS:
        raise StackError(
            f"make repair supports target {', '.join(_TARGETS)}, and the stack {stack.name} has target {target}",
            fix=f"make up STACK={stack.name}, or restore a backup: make restore STACK={stack.name} INTO=<new stack>",
        )
    return _TARGETS[target]


def _docker(stack: Stack, node: str, *, force: bool, dry: bool) -> Iterator[str]:
    return containers.repair(stack.resource("Containers"), node, force=force, dry=dry)


def _embedded(stack: Stack, node: str, *, force: bool, dry: bool) -> Iterator[str]:
    kind = "Server" if stack.outputs()[ENDPOINT]["topology"] == "single" else "ServerGroup"
    yield from providers.repair(stack.resource(kind), node, force=force, dry=dry)
    if not dry:
        yield f"now start the node: make up STACK={stack.name}"


_TARGETS: dict[str, _Repair] = {"docker": _docker, "embedded": _embedded}
