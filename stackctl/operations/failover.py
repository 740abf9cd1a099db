"""Failover test: fail over every primary to a replica, and measure the impact on a client that writes."""

from __future__ import annotations

from collections.abc import Iterator

from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint
from valkeykit.error_translation import translate_errors
from valkeykit.url import parse

from infra.outputs import ENDPOINT, URL
from infra.providers import docker as containers
from infra.providers import processes as providers
from stackctl import config_change, managed_services
from stackctl.availability_probe import AvailabilityProbe
from stackctl.errors import StackError
from stackctl.messages import show_dry_run
from stackctl.operations.change import show_state
from stackctl.operations.smoke import run_tests
from stackctl.stack import Stack

ACKNOWLEDGING_REPLICAS = 1
"""Replicas that must confirm a write before it counts as acknowledged."""

RECOVERY_SECONDS = 30.0


def fail_over(stack: Stack, *, dry: bool) -> int:
    """Carry out the failovers and print its report; return the exit code of the smoke tests.

    Raises:
        StackError, ProvisioningError: as `run`, or Pulumi failed.
    """
    if not dry:
        show_state(stack)
    for line in preview(stack) if dry else run(stack):
        print(line)
    if dry:
        show_dry_run()
        return 0
    config_change.update(stack)  # the endpoint lists the new primaries first
    return run_tests(stack.name)


def preview(stack: Stack) -> Iterator[str]:
    """Report what would be done, a line each.

    Raises:
        StackError: there is no such stack, or it has no replica.
    """
    endpoint = _endpoint(stack)
    yield f"{endpoint.topology}, {len(endpoint.nodes)} nodes: each primary would fail over to a replica"
    yield "writes wait for about a second for each primary, and none that was acknowledged is lost"


def run(stack: Stack) -> Iterator[str]:
    """Fail over every primary, and report the impact on a client, a line each.

    Raises:
        StackError: there is no such stack, it has no replica, or an acknowledged write was lost.
        ProvisioningError: no replica took over.
    """
    endpoint = _endpoint(stack)
    url = parse(stack.outputs()[URL])
    address = endpoint.address(url.username, url.password)
    with AvailabilityProbe(lambda: connect(address, ca=endpoint.ca), wait=ACKNOWLEDGING_REPLICAS) as probe:
        if not probe.makes_progress(RECOVERY_SECONDS):
            raise StackError("writes already fail before the failover", fix=f"valkeykit doctor --stack {stack.name}")
        _fail_over_primaries(stack, endpoint)
        if not probe.makes_progress(RECOVERY_SECONDS):
            raise StackError(
                f"no write for {RECOVERY_SECONDS:.0f} s since the failover", fix=f"make up STACK={stack.name}"
            )
    with translate_errors():
        lost = probe.lost()
        probe.clean_up()
    if lost:
        raise StackError(f"{len(lost)} of {probe.acknowledged} acknowledged writes are lost")
    yield f"{probe.acknowledged} writes acknowledged, none lost, {len(probe.failed)} retried"
    yield f"the longest time without a write: {probe.longest_outage_seconds:.1f} s"


def _endpoint(stack: Stack) -> Endpoint:
    endpoint = Endpoint.from_dict(stack.outputs()[ENDPOINT])
    if endpoint.topology not in {"replicated", "cluster"} or len(endpoint.nodes) < 2:
        raise StackError(
            f"the stack {stack.name} has no replica to fail over to: its topology is {endpoint.topology}",
            fix="a failover needs topology replicated or cluster: make a new stack with it and move the data",
        )
    if endpoint.target == "gcp":
        raise StackError("Memorystore fails over by itself and offers no failover on demand")
    return endpoint


def _fail_over_primaries(stack: Stack, endpoint: Endpoint) -> None:
    if endpoint.target == "docker":
        containers.fail_over(stack.resource("Containers"))
    elif endpoint.target == "embedded":
        providers.fail_over(stack.resource("ServerGroup"))
    else:
        managed_services.fail_over(stack.outputs())
