"""Commands for the servers of a deployment, by valkey-cli inside their containers.

Their ports may be out of reach from here, and the password goes in by standard input, so no list of processes
and no inspection shows it.
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
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.docker.files import HOME
from infra.drivers.topology.executor import SILENT_SECONDS, RefusedError, SilentError
from infra.errors import ProvisioningError

_CLI = f"valkey-cli --json --no-auth-warning --user {hardening.ADMIN} --tls --cacert {HOME}/tls/ca.crt -h 127.0.0.1 -p"


_READING = {("CONFIG", "GET"), ("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("ACL", "LIST"), ("SENTINEL", "MASTER")}

_ID = re.compile(r"\b[0-9a-f]{64}\b")


class WrongPasswordError(RefusedError):
    """The server doesn't let the administrator in."""


class ClosedError(SilentError):
    """The server closed the connection, as it does to every client when it is demoted."""


class UnwritableError(ProvisioningError):
    """The server can't write its disk. Waiting doesn't help, so it is no refusal that is tried again."""


@dataclass(frozen=True)
class Console:
    """containers, ports: of each server, by its name. passwords: the first that a server takes is used."""

    engine: Engine
    containers: Mapping[str, str]
    ports: Mapping[str, int]
    passwords: Sequence[str] = field(repr=False)

    def run(self, node: str, *command: str) -> Any:
        """See Console."""
        return self.ask(node, [command])[0]

    def ask(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        """See Console; the first error ends it. What only reads is sent again once if the connection was closed."""
        try:
            return self._log_in_and_ask(node, commands)
        except ClosedError:
            if not all(_only_reads(command) for command in commands):
                raise
            return self._log_in_and_ask(node, commands)

    def _log_in_and_ask(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        *others, last = self.passwords
        for password in others:
            with contextlib.suppress(WrongPasswordError):
                return self._ask(node, commands, password)
        return self._ask(node, commands, last)

    @contextlib.contextmanager
    def session(self, node: str) -> Iterator[Callable[..., Any]]:
        """See Console."""
        password = self._password(node)
        script = f"read -r REDISCLI_AUTH; export REDISCLI_AUTH; exec {_CLI} {self.ports[node]} 2>&1"
        with self.engine.conversing("exec", "-i", self.containers[node], "sh", "-c", script) as (stdin, stdout):
            stdin.write(f"{password}\n".encode())
            yield partial(_converse, node, stdin, stdout)

    def _password(self, node: str) -> str:
        """The one that the node takes."""
        *others, last = self.passwords
        for password in others:
            with contextlib.suppress(WrongPasswordError):
                self._ask(node, [("PING",)], password)
                return password
        return last

    def _ask(self, node: str, commands: Sequence[Sequence[str]], password: str) -> list[Any]:
        token = secrets.token_hex(8)  # tells where one answer ends and the next begins
        lines = [password]
        for command in commands:
            lines += [_line(command), f"PING {token}"]
        script = (
            f"read -r REDISCLI_AUTH; export REDISCLI_AUTH; timeout {SILENT_SECONDS} {_CLI} {self.ports[node]} 2>&1; "
            f"code=$?; [ $code != 124 ] || echo it has said nothing for {SILENT_SECONDS} s >&2; exit $code"
        )
        text = "\n".join([*lines, ""]).encode()
        try:
            said = self.engine.docker("exec", "-i", self.containers[node], "sh", "-c", script, stdin=text)
        except EngineError as problem:  # its container is gone, or stands still
            cause = _ID.sub(self.containers[node], problem.args[0])
            raise SilentError(f"{node} can't be asked: {cause}", fix=problem.fix) from None
        answers = said.split(f'"{token}"\n')[:-1]
        if any(sign in said.partition("\n")[0] for sign in ("NOAUTH", "WRONGPASS")):
            raise WrongPasswordError(f"{node} doesn't take the password of {hardening.ADMIN}")
        if len(answers) < len(commands):
            raise _refusal(node, said.strip().splitlines()[-1] if said.strip() else "no answer")
        return [_reply(node, answer) for answer in answers]


def _only_reads(command: Sequence[str]) -> bool:
    return command[0] in ("PING", "INFO", "ROLE") or tuple(command[:2]) in _READING


def _line(command: Sequence[str]) -> str:
    return " ".join(hardening.quoted(word) for word in command)


def _converse(node: str, stdin: IO[bytes], stdout: IO[bytes], *command: str) -> Any:
    token = secrets.token_hex(8)
    end = f'"{token}"\n'.encode()
    said, deadline = b"", time.monotonic() + SILENT_SECONDS
    try:
        stdin.write(f"{_line(command)}\nPING {token}\n".encode())
    except OSError:
        raise SilentError(f"{node} doesn't answer: the connection to it has ended") from None
    while not said.endswith(end):
        ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
        part = stdout.read(65536) if ready else b""
        if not part:
            raise SilentError(f"{node} doesn't answer")
        said += part
    return _reply(node, said.removesuffix(end).decode(errors="replace"))


def _refusal(node: str, line: str) -> ProvisioningError:
    cause = line.removeprefix("error:").strip('"')
    if cause.endswith("Server closed the connection"):
        return ClosedError(f"{node} closed the connection")
    if cause.startswith("MISCONF"):
        return UnwritableError(f"{node} rejects writes: {cause}", fix=f"free space on the disk of {node}, then make up")
    return RefusedError(f"{node}: {cause}")


def _reply(node: str, text: str) -> Any:
    body = text.strip()
    for sign in ("error:", "ERR ", "NOPERM", "LOADING", "NOREPLICAS", "READONLY"):
        if body.startswith(sign):
            raise RefusedError(f"{node}: {body.removeprefix('error:')}")
    try:
        return json.loads(body)
    except ValueError:
        return body
