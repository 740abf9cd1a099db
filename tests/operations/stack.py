"""A stack in a copy of the project, and the commands that `make` runs on it, each in a session of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
import yaml
from valkeykit.url import parse

from harness.docker import NEW
from harness.ports import CONTAINERS, reserve
from harness.project import NO_PIP, Project
from infra.hardening import Topology
from stackctl.stack import Stack
from tests.support import checkout

Target = Literal["embedded", "docker"]
Name = Literal["up", "rotate", "finish", "scale", "upgrade", "backup", "restore", "failover", "down", "env"]

SECONDS = 1200.0
"""How long a command may take. One that takes longer counts as stuck."""

MEMORIES = ("64mb", "96mb", "128mb")
_PASSWORD = re.compile(r"://[^\s/@]*@")
_ERROR = re.compile(r"(?<![-\w])error: |Error: |warning: |FAILED")
_SHOWN_LINES = 8
_numbers = itertools.count()


@dataclass(frozen=True)
class Command:
    """stack: the name of the stack that `--stack` names."""

    name: Name
    arguments: tuple[str, ...]
    stack: str

    def __str__(self) -> str:
        return f"python -m stackctl {' '.join(self.arguments)} --stack {self.stack}"


@dataclass(frozen=True)
class CommandRun:
    """A command that ended. code: None where it was stuck and had to be killed."""

    command: Command
    code: int | None
    seconds: float
    output: str
    sent: str = ""

    @property
    def has_succeeded(self) -> bool:
        return self.code == 0

    @property
    def is_clear_refusal(self) -> bool:
        """Whether it ended with one error and a fix, and no traceback."""
        return self.code == 1 and "error: " in self.output and "Traceback" not in self.output

    def __str__(self) -> str:
        sent = f", received {self.sent}" if self.sent else ""
        lines = [line for line in self.output.splitlines() if line.strip() and not line.startswith("n/a ")]
        errors = [line for line in lines[:-_SHOWN_LINES] if _ERROR.search(line)]
        shown = "\n".join(f"    {line.strip()}" for line in (*errors, *lines[-_SHOWN_LINES:]))
        return f"$ {self.command}\n  exit code {self.code} after {self.seconds:.0f} s{sent}\n{shown}"


class RunningCommand:
    """A command that runs, in a session of its own as `make` in a terminal."""

    def __init__(self, deployment: Deployment, command: Command) -> None:
        self.command = command
        self.began = time.monotonic()
        self._deployment = deployment
        self._sent = ""
        self._log = deployment.root.parent / f"output-{next(_numbers)}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stackctl", *command.arguments, "--stack", command.stack],
                cwd=deployment.root, env=deployment.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals, receivers: Literal["group", "session"]) -> None:
        """Send a signal to the process group, which no server of the stack may belong to, or to the session."""
        own = {self._process.pid}
        servers = [one.pid for one in self._deployment.servers() if own & {_group(one), _session(one)}]
        assert not servers, f"servers in the process group or the session of a command: {servers}"
        self._sent = f"{number.name} ({receivers})"
        members = [process.pid for process in psutil.process_iter() if _session(process) == self._process.pid]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        for pid in members if receivers == "session" else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait(self) -> CommandRun:
        """Wait until the command, and what it started in its process group, has ended."""
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(SECONDS)
        end = time.monotonic() + SECONDS
        while code is not None and self._members() and time.monotonic() < end:
            time.sleep(0.3)
        seconds = time.monotonic() - self.began
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        output = self._deployment.redact(self._log.read_text("utf8", "replace"))
        return CommandRun(self.command, code, seconds, output, self._sent)

    def _members(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _group(process) == self._process.pid]


@dataclass
class Deployment:
    """A stack, and where it is.

    published: the variables that applications have, by the last `make env`. replaced: their password before.
    durations: seconds that each command took when it ran to its end.
    """

    root: Path
    target: Target
    topology: Topology
    version: str
    project: Project
    environment: dict[str, str] = field(repr=False)
    published: dict[str, str] = field(default_factory=dict, repr=False)
    replaced: str = field(default="", repr=False)
    durations: dict[str, float] = field(default_factory=dict)
    _secrets: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def create(cls, folder: Path, target: Target, topology: Topology, version: str = NEW) -> Deployment:
        """Copy the project and configure a stack; nothing runs yet."""
        root = folder / "project"
        root.mkdir(parents=True)
        checkout.copy(root)
        name = f"ops{os.getpid()}x{next(_numbers)}"
        project = Project(root, Stack.open(name, root))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "VALKEY_"))}
        own = {"PATH": project.stack.environment["PATH"], "PULUMI_HOME": str(folder / "home"), **NO_PIP}
        project.stack.environment.update(own)
        created = cls(root, target, topology, version, project, {**kept, **own})
        created._configure(
            target=target, topology=topology, workload="queue", memory=MEMORIES[0], version=version,
            **({"port": str(reserve(CONTAINERS))} if target == "docker" else {}),
        )  # fmt: skip
        return created

    @property
    def name(self) -> str:
        return self.project.stack.name

    @property
    def restored(self) -> str:
        """The stack that `restore` makes."""
        return f"{self.name}r"

    def configuration(self, stack: str = "") -> dict[str, Any]:
        """The keys of the configuration's file; nothing where there is none."""
        file = self.configuration_file(stack)
        config = (yaml.safe_load(file.read_text()) or {}).get("config") if file.exists() else None
        return {key.removeprefix("valkey:"): value for key, value in (config or {}).items()}

    def configuration_file(self, stack: str = "") -> Path:
        return self.root / f"Pulumi.{stack or self.name}.yaml"

    def state_file(self, stack: str = "") -> Path:
        return self.root / ".valkey" / "state" / ".pulumi" / "stacks" / "valkey" / f"{stack or self.name}.json"

    def is_rotating(self) -> bool:
        """Whether the configuration has a rotation whose previous passwords are still valid."""
        config = self.configuration()
        return bool(config.get("passwordRotation", "") != config.get("completedRotation", ""))

    def command(self, name: Name) -> Command:
        """A command of the stack; `scale` to another size than the current one."""
        return self.commands(name)[0]

    def commands(self, name: Name) -> list[Command]:
        """A command as it can be given, such as `scale` to each size that isn't the current one."""
        sizes = [size for size in MEMORIES if size != self.configuration().get("memory")]
        if name == "scale":
            return [Command(name, ("scale", "--memory", size), self.name) for size in sizes]
        arguments: Mapping[Name, tuple[str, ...]] = {
            "finish": ("rotate", "--finish"),
            "upgrade": ("upgrade", "--to", NEW),
            "restore": ("restore", "--into", self.restored),
        }
        return [Command(name, arguments.get(name, (name,)), self.name)]

    def start(self, command: Command) -> RunningCommand:
        return RunningCommand(self, command)

    def run(self, command: Command) -> CommandRun:
        run = self.start(command).wait()
        if run.has_succeeded:
            self.durations[command.name] = run.seconds
        return run

    def publish(self) -> tuple[CommandRun, dict[str, str]]:
        """Run `make env`: what it writes is what applications have from now on."""
        run, variables = self.read_variables()
        if run.has_succeeded:
            if self.published and password_of(variables) != password_of(self.published):
                self.replaced = password_of(self.published)
            self.published = variables
        return run, variables

    def read_variables(self, stack: str = "") -> tuple[CommandRun, dict[str, str]]:
        """Run `make env`, and return what it writes; nothing where it failed."""
        of = stack or self.name
        run = self.run(Command("env", ("env",), of))
        variables = dict(_variables(self.root / ".valkey" / f"{of}.env")) if run.has_succeeded else {}
        if variables:
            self._secrets.add(password_of(variables))
        return run, variables

    def maxmemory(self) -> str:
        """The size that the servers have, such as 64mb."""
        return f"{self.project.stack.outputs()['endpoint']['maxmemory'] // 1024**2}mb"

    def servers(self) -> list[psutil.Process]:
        """The embedded target's servers, of every stack of this copy."""
        return _working_in(self.root / ".valkey", program="valkey-server")

    def processes(self) -> list[psutil.Process]:
        """All that works in the copy."""
        return _working_in(self.root)

    def redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _PASSWORD.sub("://***@", text)

    def _configure(self, **values: str) -> None:
        """As `pulumi config set`, but at once."""
        config = {f"valkey:{key}": value for key, value in values.items()}
        self.configuration_file().write_text(yaml.safe_dump({"config": config}))


def password_of(variables: Mapping[str, str]) -> str:
    return str(parse(variables["VALKEY_URL"]).password)


def _variables(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text().splitlines():
        name, _, value = line.partition("=")
        yield name, value[1:-1]


def _working_in(folder: Path, program: str = "") -> list[psutil.Process]:
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_alive = process.status() != psutil.STATUS_ZOMBIE and process.name().startswith(program)
            if is_alive and Path(process.cwd()).is_relative_to(folder.resolve()):
                processes.append(process)
    return processes


def _group(process: psutil.Process) -> int:
    """The process group; 0 for a process that ended or is a zombie."""
    with contextlib.suppress(psutil.Error, OSError):
        return os.getpgid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else 0
    return 0


def _session(process: psutil.Process) -> int:
    with contextlib.suppress(OSError):
        return os.getsid(process.pid)
    return 0
