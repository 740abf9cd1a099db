"""Deployment of a stack: update, smoke tests, connection details."""

from __future__ import annotations

from valkeykit.endpoint import Endpoint

from infra.outputs import ENDPOINT
from stackctl import config_change, data_loss
from stackctl.messages import show, show_dry_run
from stackctl.operations.change import show_state
from stackctl.operations.smoke import run_tests
from stackctl.stack import Stack


def deploy(stack: Stack, *, dry: bool) -> int:
    """Create a stack or update it to its configuration; return the exit code of the smoke tests.

    Raises:
        StackError: Pulumi failed.
    """
    if dry:
        stack.create()
        stack.dry_run()
        show_dry_run()
        return 0
    show_state(stack)
    if stack.uses_cloud() and stack.has_resources():
        # A cloud's resources change one after the other, so a rejected change would be half-made.
        stack.preview("--refresh")
    changed = config_change.update(stack)
    recovered = data_loss.recoveries(stack)
    failed = run_tests(stack.name)
    for line in recovered:
        show(f"note: {line}")
    if not failed:
        show(_usage(stack.name, Endpoint.from_dict(stack.outputs()[ENDPOINT]), changed=changed))
    return failed


def _usage(stack: str, endpoint: Endpoint, *, changed: bool) -> str:
    node = endpoint.nodes[0]
    return f"""
{"Ready" if changed else "Nothing changed"}: Valkey {endpoint.version} ({endpoint.target}, {endpoint.workload}) at \
{node.host}:{node.port}, every smoke check passed.

  write its URL to a file         make env STACK={stack}            (FORMAT=dotenv|shell|json|k8s)
  use it in a shell               set -a; . "$(make -s env STACK={stack})"; set +a
  use it in Python                valkeykit.connect()          reads VALKEY_URL, as any Redis client can
  use pulumi directly             eval "$(make -s shell)"
  destroy the stack               make down STACK={stack}
"""
