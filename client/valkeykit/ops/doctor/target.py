"""What is to be examined: a URL, what the environment names, or a stack; and the commands that reach it."""

from __future__ import annotations

import ipaddress
import json
import shlex
import shutil
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError
from valkeykit.settings import ConnectionSettings, resolve_settings
from valkeykit.url import Address, Node, parse

WORKLOADS = ("cache", "queue", "mixed")

CONNECT_SECONDS, READ_SECONDS = 0.7, 1.0
"""Limits of one connect and one answer."""

PULUMI_SECONDS = 60
"""How long Pulumi may take to tell a stack's outputs; the examination's own limit begins after that."""


@dataclass(frozen=True)
class Target:
    """settings: as they were settled for the whole. workload: cache, queue or mixed, None where nobody says.
    stack: the Pulumi stack, where it is one's endpoint. ca: the path of the authority's certificate, if it was given.
    """

    settings: ConnectionSettings
    workload: str | None = None
    stack: str | None = None
    ca: str | None = field(default=None, repr=False)

    @property
    def address(self) -> Address:
        return self.settings.address

    @property
    def name(self) -> str:
        """For people, without user and password."""
        nodes = ", ".join(map(str, self.address.sentinels or self.address.nodes))
        return f"stack {self.stack} ({nodes})" if self.stack else nodes

    def cli(self, node: Node, *command: str) -> str:
        """A shell command that asks for the password."""
        words = ["valkey-cli", "-h", node.host, "-p", str(node.port)]
        if self.address.tls:
            words.append("--tls")
        if self.address.password is not None:
            words += ["--user", self.address.username or "default", "--askpass"]
        authority = f" --cacert {self._authority()}" if self.address.tls and self.settings.ca else ""
        return f"{shlex.join(words)}{authority} {shlex.join(command)}"

    def repaired(self, node: Node, *command: str) -> str:
        """The command for a setting that a stack has of its own: there it has drifted, and Pulumi sets it back."""
        return f"pulumi up --refresh --stack {shlex.quote(self.stack)}" if self.stack else self.cli(node, *command)

    def new_password(self, node: Node, user: str, *rules: str) -> str:
        """A shell command that makes a password into a file of its own, and a user of it; the server gets its hash."""
        file = f"{user}-password"
        command = self.cli(node, "ACL", "SETUSER", user, "on", "resetpass", *rules)
        return (
            f"(umask 077; openssl rand -hex 32 | tr -d '\\n' > {shlex.quote(file)}) && "
            f'{command} "#$(sha256sum < {shlex.quote(file)} | cut -c1-64)"'
        )

    def _authority(self) -> str:
        """Where a shell finds the authority's certificate."""
        if self.ca:
            return shlex.quote(self.ca)
        if self.stack:
            read = 'import json, sys; print(json.load(sys.stdin)["ca"])'
            return f"<(pulumi stack output endpoint --json --stack {shlex.quote(self.stack)} | python3 -c '{read}')"
        return '<(test -f "$VALKEY_CA" && cat "$VALKEY_CA" || printf "%s" "$VALKEY_CA")'

    def configure(self, key: str, value: str) -> str | None:
        """The command that sets a key of the stack's configuration; None where there is no stack."""
        if self.stack is None:
            return None
        stack = shlex.quote(self.stack)
        return f"pulumi config set {key} {shlex.quote(value)} --stack {stack} && pulumi up --stack {stack}"


def is_local(host: str) -> bool:
    """Whether a host is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def of_url(url: str | None, ca: str | Path | None = None, workload: str | None = None) -> Target:
    """A URL; None for what the environment names.

    Raises:
        ConfigurationError: it can't be read; a variable is named.
    """
    if workload not in (None, *WORKLOADS):
        raise ConfigurationError(
            f"the workload is {workload!r}, not one of {', '.join(WORKLOADS)}", fix="--workload cache"
        )
    settings = resolve_settings(url, ca=ca, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
    if settings.address.socket:
        raise ConfigurationError(
            "the doctor examines a server by host and port, not by its unix socket", fix="redis://localhost:6379"
        )
    _check_authority(settings)
    return Target(settings, workload, ca=str(ca) if ca else None)


def _check_authority(settings: ConnectionSettings) -> None:
    if settings.ca is None:
        return
    try:
        ssl.create_default_context(cadata=settings.ca)
    except ssl.SSLError:
        raise ConfigurationError(
            "the authority's certificate is damaged: its PEM text can't be read",
            fix="openssl x509 -noout -subject -in FILE, and VALKEY_CA or --ca with one that passes",
        ) from None


def of_stack(name: str, workload: str | None = None) -> Target:
    """The endpoint of a Pulumi stack, with its application's user.

    Raises:
        ConfigurationError: there is no pulumi, no such stack, or it has no such endpoint.
    """
    outputs = _outputs(name)
    if "endpoint" not in outputs or "url" not in outputs:
        raise ConfigurationError(f"the stack {name} isn't up", fix=f"pulumi up --stack {shlex.quote(name)}")
    endpoint, app = Endpoint.from_dict(outputs["endpoint"]), parse(outputs["url"])
    settings = resolve_settings(
        endpoint.address(app.username, app.password),
        ca=endpoint.ca,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
    )
    return Target(settings, workload or endpoint.workload, stack=name)


def _outputs(name: str) -> dict[str, Any]:
    if shutil.which("pulumi") is None:
        raise ConfigurationError(
            "--stack asks the Pulumi CLI, and there is no pulumi on PATH",
            fix='eval "$(make shell)", or install it (https://www.pulumi.com/docs/install/)',
        )
    command = ["pulumi", "--non-interactive", "stack", "output", "--json", "--show-secrets", "--stack", name]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PULUMI_SECONDS).stdout
        return dict(json.loads(said))
    except subprocess.TimeoutExpired:
        raise ConfigurationError("Pulumi didn't answer in time", fix="pulumi whoami -v") from None
    except subprocess.CalledProcessError as problem:
        lines = [line for line in problem.stderr.splitlines() if line.startswith("error: ")]
        reason = lines[0].removeprefix("error: ") if lines else "pulumi stack output failed"
        raise ConfigurationError(f"Pulumi: {reason}", fix="pulumi stack ls") from None
    except ValueError:
        raise ConfigurationError("Pulumi's answer isn't JSON", fix="pulumi stack output --json") from None
