"""A prompt on a stack's server: valkey-cli or redis-cli where one is installed, else the valkey-cli of its containers.

Without either it is the prompt of `valkeykit cli`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import NoReturn

from valkeykit.endpoint import Endpoint
from valkeykit.url import parse
from valkeykit.vocabulary import UserRole

from infra.outputs import ENDPOINT, ENV, URLS
from stackctl import export
from stackctl.errors import StackError
from stackctl.stack import Stack

PROGRAMS = ("valkey-cli", "redis-cli")
_OWN = (sys.executable, "-c", "from valkeykit.cli import main; main()", "cli")


def open_prompt(stack: Stack, role: UserRole) -> NoReturn:
    """Replace this process by the prompt, with the address, the login and the authority of the stack.

    Raises:
        StackError: there is no such stack, it isn't up, or its users have no passwords.
    """
    outputs = stack.outputs()
    endpoint, login = Endpoint.from_dict(outputs[ENDPOINT]), parse(outputs[URLS[role]])
    if login.password is None:
        raise StackError(
            f"the users of the stack {stack.name} have no passwords; valkey-cli cannot log in with IAM",
            fix=f"make env STACK={stack.name}, then valkeykit cli COMMAND",
        )
    variables = {**outputs[ENV], "VALKEY_URL": login.url}
    command = _installed(stack, endpoint, outputs[ENV]) or _in_container(stack, endpoint)
    if not command:
        os.execve(sys.executable, _OWN, {**os.environ, **variables})  # noqa: S606  (no shell is wanted)
    options = ["--user", login.username or "default", *(["-c"] if endpoint.topology == "cluster" else [])]
    # The password is in the environment, since every user of a machine can read command lines.
    os.execvpe(command[0], [*command, *options], {**os.environ, "REDISCLI_AUTH": login.password})  # noqa: S606


def _installed(stack: Stack, endpoint: Endpoint, env: Mapping[str, str]) -> list[str]:
    """The installed program, with address and authority; empty without one."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        return []
    node, options = endpoint.nodes[0], []
    if endpoint.tls:
        export.write(stack.root, stack.name, env, "dotenv", None)
        authority = export.authority_file(stack.root, stack.name)
        options = ["--tls", *(["--cacert", str(authority)] if endpoint.ca else [])]
    return [program, "-h", node.host, "-p", str(node.port), *options]


def _in_container(stack: Stack, endpoint: Endpoint) -> list[str]:
    """The program in the first node's container; empty on other targets."""
    if endpoint.target != "docker" or not shutil.which("docker"):
        return []
    from infra.providers import docker as containers  # loads Pulumi

    return containers.prompt(stack.resource("Containers"), endpoint.nodes[0].port, tty=sys.stdin.isatty())
