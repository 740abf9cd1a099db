"""The node executor of containers: commands run by valkey-cli inside them.

The servers' ports may not be reachable from here. The password is passed on standard input, so neither a process list
nor `docker inspect` shows it.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

from infra import hardening
from infra.drivers.docker.deployment_files import HOME
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.topology.node_executor import RESPONSE_TIMEOUT_SECONDS, CommandRejectedError, NotRespondingError
from infra.errors import ProvisioningError

_CLI = f"valkey-cli --json --no-auth-warning --user {hardening.ADMIN} --tls --cacert {HOME}/tls/ca.crt -h 127.0.0.1 -p"

_READ_COMMANDS = {("CONFIG", "GET"), ("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("ACL", "LIST"), ("SENTINEL", "MASTER")}

_CLOSED = ("Server closed the connection", "Connection reset by peer", "Broken pipe")
"""Ends of valkey-cli's own errors. A JSON string, as of a value, would have quotes."""

_ID = re.compile(r"\b[0-9a-f]{64}\b")


class WrongPasswordError(CommandRejectedError):
    """The server rejects the administrator's password."""


class ClosedError(NotRespondingError):
    """The server closed the connection, as it does to every client when it is demoted."""


class UnwritableError(ProvisioningError):
    """The server can't write to its disk. Waiting doesn't help, so nothing retries it."""


@dataclass(frozen=True)
class ContainerExecutor:
    """containers, ports: of each server, by its name. passwords: the first that a server takes is used."""

    engine: Engine
    containers: Mapping[str, str]
    ports: Mapping[str, int]
    passwords: Sequence[str] = field(repr=False)

    def run(self, node: str, *command: str) -> Any:
        """See NodeExecutor."""
        return self.run_many(node, [command])[0]

    def run_many(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        """See NodeExecutor; the first error ends it. Reads are sent again once if the connection was closed."""
        try:
            return self._log_in_and_run(node, commands)
        except ClosedError:
            if not all(_only_reads(command) for command in commands):
                raise
            return self._log_in_and_run(node, commands)

    def _log_in_and_run(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        *others, last = self.passwords
        for password in others:
            with contextlib.suppress(WrongPasswordError):
                return self._run_as(node, commands, password)
        return self._run_as(node, commands, last)

    @contextlib.contextmanager
    def session(self, node: str) -> Iterator[Callable[..., Any]]:
        """See NodeExecutor."""
        password = self._password(node)
        script = f"read -r REDISCLI_AUTH; export REDISCLI_AUTH; exec {_CLI} {self.ports[node]} 2>&1"
        with self.engine.open_pipes("exec", "-i", self.containers[node], "sh", "-c", script) as (stdin, stdout):
            stdin.write(f"{password}\n".encode())
            yield partial(_converse, node, stdin, stdout)

    def _password(self, node: str) -> str:
        """The one that the node takes."""
        *others, last = self.passwords
        for password in others:
            with contextlib.suppress(WrongPasswordError):
                self._run_as(node, [("PING",)], password)
                return password
        return last

    def _run_as(self, node: str, commands: Sequence[Sequence[str]], password: str) -> list[Any]:
        token = secrets.token_hex(8)  # separates the responses
        lines = [password]
        for command in commands:
            lines += [_line(command), f"PING {token}"]
        cli = f"timeout {RESPONSE_TIMEOUT_SECONDS} {_CLI} {self.ports[node]}"
        script = (
            f"read -r REDISCLI_AUTH; export REDISCLI_AUTH; {cli} 2>&1; code=$?; "
            f"[ $code != 124 ] || echo it has not responded for {RESPONSE_TIMEOUT_SECONDS} s >&2; exit $code"
        )
        text = "\n".join([*lines, ""]).encode()
        try:
            output = self.engine.docker("exec", "-i", self.containers[node], "sh", "-c", script, stdin=text)
        except EngineError as problem:  # its container does not exist, or is frozen
            cause = _ID.sub(self.containers[node], problem.args[0])
            raise NotRespondingError(f"{node} doesn't respond: {cause}", fix=problem.fix) from None
        answers = output.split(f'"{token}"\n')[:-1]
        if any(sign in output.partition("\n")[0] for sign in ("NOAUTH", "WRONGPASS")):
            raise WrongPasswordError(f"{node} rejects the password of {hardening.ADMIN}")
        if len(answers) < len(commands):
            raise _refusal(node, output.strip().splitlines()[-1] if output.strip() else "no response")
        return [_reply(node, answer) for answer in answers]


def _only_reads(command: Sequence[str]) -> bool:
    return command[0] in ("PING", "INFO", "ROLE") or tuple(command[:2]) in _READ_COMMANDS


def _line(command: Sequence[str]) -> str:
    return " ".join(hardening.quoted(word) for word in command)


def _converse(node: str, stdin: IO[bytes], stdout: IO[bytes], *command: str) -> Any:
    token = secrets.token_hex(8)
    end = f'"{token}"\n'.encode()
    output, deadline = b"", time.monotonic() + RESPONSE_TIMEOUT_SECONDS
    try:
        stdin.write(f"{_line(command)}\nPING {token}\n".encode())
    except OSError:
        raise NotRespondingError(f"{node} doesn't respond: the connection to it has ended") from None
    while not output.endswith(end):
        ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
        part = stdout.read(65536) if ready else b""
        if not part:
            raise NotRespondingError(f"{node} doesn't respond")
        output += part
    return _reply(node, output.removesuffix(end).decode(errors="replace"))


def _refusal(node: str, line: str) -> ProvisioningError:
    cause = line.removeprefix("error:").strip('"')
    if cause.endswith(_CLOSED):
        return ClosedError(f"{node} closed the connection")
    if cause.startswith("MISCONF"):
        return UnwritableError(f"{node} rejects writes: {cause}", fix=f"free space on the disk of {node}, then make up")
    return CommandRejectedError(f"{node}: {cause}")


def _reply(node: str, text: str) -> Any:
    body = text.strip()
    if (first := body.partition("\n")[0]).startswith("Error: "):  # of valkey-cli, which connects again
        raise _refusal(node, first)
    for sign in ("error:", "ERR ", "NOPERM", "LOADING", "NOREPLICAS", "READONLY"):
        if body.startswith(sign):
            raise CommandRejectedError(f"{node}: {body.removeprefix('error:')}")
    try:
        return json.loads(body)
    except ValueError:
        return body
