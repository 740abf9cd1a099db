"""Commands for the servers of a deployment, by valkey-cli inside their containers.

Their ports may be out of reach from here, and the password goes in by standard input, so no list of processes
and no inspection shows it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra import hardening
from infra.errors import ProvisioningError
from infra.local.docker.engine import Engine
from infra.local.docker.files import HOME

_LOGIN = (
    "read -r REDISCLI_AUTH; export REDISCLI_AUTH; "
    f"exec valkey-cli --json --no-auth-warning --user {hardening.ADMIN} --tls --cacert {HOME}/tls/ca.crt "
    "-h 127.0.0.1 -p "
)


class RefusedError(ProvisioningError):
    """A server answered with an error."""


@dataclass(frozen=True)
class Console:
    """containers, ports: of each server, by its name."""

    engine: Engine
    containers: Mapping[str, str]
    ports: Mapping[str, int]
    password: str = field(repr=False)

    def run(self, node: str, *command: str) -> Any:
        """One command; the answer as text, numbers, lists or a mapping.

        Raises:
            RefusedError: the server answered with an error.
            EngineError: it can't be reached.
        """
        return self.ask(node, [command])[0]

    def ask(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        """Several commands in one go; the first error ends it."""
        token = secrets.token_hex(8)  # tells where one answer ends and the next begins
        lines = [self.password]
        for command in commands:
            lines += [" ".join(_quoted(word) for word in command), f"PING {token}"]
        script = f"{_LOGIN}{self.ports[node]}"
        said = self.engine.docker(
            "exec", "-i", self.containers[node], "sh", "-c", script, stdin="\n".join([*lines, ""]).encode()
        )
        answers = said.split(f'"{token}"\n')[:-1]
        if len(answers) < len(commands):
            raise RefusedError(f"{node}: {said.strip().splitlines()[-1] if said.strip() else 'no answer'}")
        return [_reply(node, answer) for answer in answers]

    def info(self, node: str, section: str) -> dict[str, str]:
        """A section of INFO, its values as text."""
        return parse_info(str(self.run(node, "INFO", section)))


def parse_info(text: str) -> dict[str, str]:
    pairs = (line.strip().partition(":") for line in text.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _reply(node: str, text: str) -> Any:
    body = text.strip()
    for sign in ("error:", "ERR ", "NOAUTH", "NOPERM", "WRONGPASS", "LOADING", "NOREPLICAS", "READONLY"):
        if body.startswith(sign):
            raise RefusedError(f"{node}: {body.removeprefix('error:')}")
    try:
        return json.loads(body)
    except ValueError:
        return body


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
