"""Target of an examination: a URL, the environment's endpoint or a Pulumi stack, and the commands for it."""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import shutil
import ssl
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from valkeykit.endpoint import Endpoint
from valkeykit.environment import DEFAULT_URL
from valkeykit.errors import ConfigurationError
from valkeykit.settings import ConnectionSettings, ConnectOptions, resolve_settings
from valkeykit.url import Address, Node, parse
from valkeykit.vocabulary import UserRole, Workload

from valkeykit_ops.doctor import shell_commands
from valkeykit_ops.doctor.shell_commands import UrlEdit

WORKLOADS: tuple[Workload, ...] = get_args(Workload)

CONNECT_SECONDS, READ_SECONDS = 0.7, 1.0
"""Time limits of one connection attempt and one reply."""

PULUMI_SECONDS = 60
"""Time limit of `pulumi stack output`; the time limit of the examination starts after it."""


@dataclass(frozen=True)
class Target:
    """The endpoint to examine.

    Attributes:
        settings: Connection settings of the whole endpoint.
        workload: `cache`, `queue` or `mixed`; None if unknown.
        stack: Name of the Pulumi stack, if the endpoint belongs to one.
        ca: Path of the CA certificate, if it was given.
        url: The URL as it was given.
        variable: The environment variable that has the URL; None if it was an argument.
        lacks_admin: The user may not administer the server, so fixes need another one.
    """

    settings: ConnectionSettings
    workload: Workload | None = None
    stack: str | None = None
    ca: str | None = field(default=None, repr=False)
    url: str = field(default=DEFAULT_URL, repr=False)
    variable: str | None = None
    lacks_admin: bool = False

    @property
    def address(self) -> Address:
        return self.settings.address

    @property
    def name(self) -> str:
        """Name for display, without user and password."""
        nodes = ", ".join(map(str, self.address.sentinels or self.address.nodes))
        return f"stack {self.stack} ({nodes})" if self.stack else nodes

    def cli(self, node: Node, *command: str) -> str:
        """A shell command that sends a command to a node, with a user who may run it. It contains no password."""
        words = shlex.join(["valkeykit", "cli", *self._options(node, command), *command])
        return f"{self._environment(node, admin=shell_commands.needs_admin(command))}{words}"

    def tool(self, command: str) -> str:
        """A shell command that runs another command of valkeykit for the endpoint."""
        return f"{self._environment(self.address.nodes[0], admin=False)}valkeykit {command}"

    def edit_url(self, edit: UrlEdit) -> str:
        """A shell command that sets VALKEY_URL to the URL with a change."""
        if self.variable or self.stack:
            return shell_commands.edit_variable(self.variable or "VALKEY_URL", edit)
        if self.address.password is not None:
            return shell_commands.edit_typed(edit)
        return f"export VALKEY_URL={shlex.quote(edit.apply(self.url))}"

    def at_host(self, node: Node) -> str:
        """A shell command that sets VALKEY_URL to the URL with another host."""
        return self.edit_url(shell_commands.with_host(node))

    def set_variables(self, command: str) -> str:
        """A shell command that sets variables. They apply to a URL in the environment alone, so it is set as well."""
        if not self._is_inline:
            return command
        ca = f"export VALKEY_CA={shlex.quote(self.ca)} && " if self.ca and "VALKEY_CA" not in command else ""
        if self.address.password is not None:
            return f"read -rsp 'URL: ' VALKEY_URL && export VALKEY_URL && {ca}{command}"
        return f"export VALKEY_URL={shlex.quote(self.url)} && {ca}{command}"

    def log_in(self) -> str:
        """A shell command that sets the right user and password: those of the stack, or a password that is typed."""
        if self.stack:
            return f'export VALKEY_URL="$(pulumi stack output url --show-secrets --stack {shlex.quote(self.stack)})"'
        return self._with_password(self.address.username or "", f"$({shell_commands.python(shell_commands.PROMPT)})")

    def new_password(self, node: Node, user: str, *rules: str) -> str:
        """A shell command that generates a password in a file, sets its hash for a user, and uses it."""
        file = f"{user}-password"
        command = self.cli(node, "ACL", "SETUSER", user, "on", "resetpass", *rules)
        name = "" if user == "default" else user
        login = self._with_password(name, f"$(cat {shlex.quote(file)})")
        return f"{shell_commands.generate_password(file)} && {command} {shell_commands.hash_of(file)} && {login}"

    def _with_password(self, user: str, password: str) -> str:
        """A shell command that sets VALKEY_URL to the URL with another login; the password is a shell expression."""
        if self.variable:
            return shell_commands.login_in_variable(self.variable, user, password)
        return shell_commands.login_in_url(self.url, user, password)

    def _options(self, node: Node, command: tuple[str, ...]) -> list[str]:
        options = [] if self._is_inline else ["--node", str(node)]
        is_admin_missing = self.lacks_admin and shell_commands.needs_admin(command)
        if not self.stack and (is_admin_missing or (self._is_inline and self.address.password is not None)):
            options.append("--login")
        return options

    @property
    def _is_inline(self) -> bool:
        """Whether the URL is an argument, so that commands must name it."""
        return self.stack is None and self.variable is None

    def _environment(self, node: Node, *, admin: bool) -> str:
        """Variables in front of a command."""
        variables = []
        if self.stack:
            output = "adminUrl" if admin else "url"
            variables.append(
                f'VALKEY_URL="$(pulumi stack output {output} --show-secrets --stack {shlex.quote(self.stack)})"'
            )
            if self.address.tls and self.settings.ca:
                read = shell_commands.python('import json, sys; print(json.load(sys.stdin)["ca"])')
                output = f"pulumi stack output endpoint --json --stack {shlex.quote(self.stack)} | {read}"
                variables.append(f'VALKEY_CA="$({output})"')
        elif self.variable is None:
            variables.append(f"VALKEY_URL={shlex.quote(replace(self.address.at(node), password=None).url)}")
        if self.ca:
            variables.append(f"VALKEY_CA={shlex.quote(self.ca)}")
        return "".join(f"{one} " for one in variables)

    def restore_setting(self, node: Node, *command: str) -> str:
        """The command that fixes a setting; in a stack it has drifted, so Pulumi restores it."""
        return f"pulumi up --refresh --stack {shlex.quote(self.stack)}" if self.stack else self.cli(node, *command)

    def configure(self, key: str, value: str) -> str | None:
        """The command that sets a key of the stack's configuration; None without a stack."""
        if self.stack is None:
            return None
        stack = shlex.quote(self.stack)
        return f"pulumi config set {key} {shlex.quote(value)} --stack {stack} && pulumi up --stack {stack}"


def is_local(host: str) -> bool:
    """Whether a host is a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def of_url(url: str | None, ca: str | Path | None = None, workload: str | None = None) -> Target:
    """The target for a URL; None for the environment's.

    Raises:
        ConfigurationError: The URL is invalid; the message has the variable.
    """
    checked_workload = check_workload(workload)
    settings = resolve_settings(url, ca=ca, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
    if settings.address.socket:
        raise ConfigurationError(
            "the doctor needs a host and a port; unix sockets are not supported", fix="redis://localhost:6379"
        )
    _check_authority(settings)
    named = [name for name in ("VALKEY_URL", "REDIS_URL") if os.environ.get(name, "").strip()]
    variable = named[0] if url is None and named else None
    text = (os.environ[variable] if variable else url or DEFAULT_URL).strip()
    return Target(settings, checked_workload, ca=str(ca) if ca else None, url=text, variable=variable)


def _check_authority(settings: ConnectionSettings) -> None:
    if settings.ca is None:
        return
    try:
        ssl.create_default_context(cadata=settings.ca)
    except ssl.SSLError:
        raise ConfigurationError(
            "the CA certificate is damaged: invalid PEM",
            fix="check it with openssl x509 -noout -subject -in FILE, then set VALKEY_CA or --ca",
        ) from None


def check_workload(workload: str | None) -> Workload | None:
    """Check the workload that a user passed.

    Raises:
        ConfigurationError: It isn't one.
    """
    if workload is None:
        return None
    for known in WORKLOADS:
        if known == workload:
            return known
    raise ConfigurationError(
        f"the workload is {workload!r}, expected one of {', '.join(WORKLOADS)}", fix="--workload cache"
    )


_URLS: dict[UserRole, str] = {"app": "url", "monitor": "monitorUrl", "admin": "adminUrl"}
"""The output with the URL of each user; Memorystore with IAM has one URL only."""


def of_stack(name: str, workload: str | None = None, user: UserRole = "app") -> Target:
    """The target for a Pulumi stack, with one of its users.

    Raises:
        ConfigurationError: Pulumi is not installed, the stack does not exist, or it has no endpoint.
    """
    checked_workload = check_workload(workload)
    endpoint, login = login_of_stack(name, user)
    options: ConnectOptions = {**login, "connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
    return Target(resolve_settings(endpoint, **options), checked_workload or endpoint.workload, stack=name)


def login_of_stack(name: str, user: UserRole = "app") -> tuple[Endpoint, ConnectOptions]:
    """The endpoint of a Pulumi stack, and the user name and password of one of its users.

    Raises:
        ConfigurationError: As of_stack.
    """
    outputs = _outputs(name)
    if "endpoint" not in outputs or "url" not in outputs:
        raise ConfigurationError(f"the stack {name} is not deployed", fix=f"pulumi up --stack {shlex.quote(name)}")
    login = parse(outputs.get(_URLS[user], outputs["url"]))
    return Endpoint.from_dict(outputs["endpoint"]), {"username": login.username, "password": login.password}


def _outputs(name: str) -> dict[str, Any]:
    if shutil.which("pulumi") is None:
        raise ConfigurationError(
            "--stack needs the Pulumi CLI, but there is no pulumi on PATH",
            fix='eval "$(make shell)", or install it (https://www.pulumi.com/docs/install/)',
        )
    command = ["pulumi", "--non-interactive", "stack", "output", "--json", "--show-secrets", "--stack", name]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PULUMI_SECONDS).stdout
        return dict(json.loads(output))
    except subprocess.TimeoutExpired:
        raise ConfigurationError("Pulumi did not respond in time", fix="pulumi whoami -v") from None
    except subprocess.CalledProcessError as problem:
        lines = [line for line in problem.stderr.splitlines() if line.startswith("error: ")]
        reason = lines[0].removeprefix("error: ") if lines else "pulumi stack output failed"
        raise ConfigurationError(f"Pulumi: {reason}", fix="pulumi stack ls") from None
    except ValueError:
        raise ConfigurationError("the output of Pulumi is not JSON", fix="pulumi stack output --json") from None
