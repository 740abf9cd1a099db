"""Deployment of a stack: update, smoke tests, connection details."""

from __future__ import annotations

import os
import shlex

from valkeykit.endpoint import Endpoint
from valkeykit.url import DEFAULT_PORT

from infra.drivers.processes import ports
from infra.outputs import ENDPOINT
from stackctl import config_change, data_loss
from stackctl.messages import show, show_dry_run
from stackctl.operations.change import show_state
from stackctl.operations.env import write_variables
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
        stack.check()
    changed = config_change.update(stack)
    recovered = data_loss.recoveries(stack)
    failed = run_tests(stack.name)
    for line in recovered:
        show(f"note: {line}")
    if not failed:
        _show_usage(stack, changed=changed)
    return failed


def _show_usage(stack: Stack, *, changed: bool) -> None:
    endpoint = Endpoint.from_dict(stack.outputs()[ENDPOINT])
    node = endpoint.nodes[0]
    if changed and (taken := _taken_default(stack, endpoint)):
        show(f"note: port {DEFAULT_PORT} is used by {taken}, so this stack uses {node.port}")
    file = shlex.quote(os.path.relpath(write_variables(stack, "dotenv", None)))
    show(f"""
{"Ready" if changed else "Nothing changed"}: Valkey {endpoint.version} ({endpoint.target}, {endpoint.workload}) at \
{node.host}:{node.port}
URL file: {file}

  set -a; . {file}; set +a
      sets VALKEY_URL in this shell
  .venv/bin/valkeykit check
      tests a cache and a queue with it, as an application
  make cli STACK={stack.name}
      opens a prompt on the server""")


def _taken_default(stack: Stack, endpoint: Endpoint) -> str:
    """What uses the default port, if a server got the next free one for that reason."""
    if endpoint.target != "embedded" or DEFAULT_PORT in {node.port for node in endpoint.nodes}:
        return ""
    if int(stack.configuration().get("port") or 0):
        return ""
    return "" if ports.is_free(DEFAULT_PORT) else ports.holder(DEFAULT_PORT)
