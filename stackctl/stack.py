"""Stacks: create, update, preview and destroy them, and read their configuration and outputs, with the Pulumi CLI."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from infra.outputs import CLOUDS, ENDPOINT, PENDING_UPDATES
from stackctl import pulumi_cli, pulumi_command, state_backend
from stackctl.engine_events import UpdateEvents
from stackctl.errors import StackError, UpdateError

PROJECT = Path(__file__).resolve().parent.parent

PREVIEW_ENVIRONMENT = {"PULUMI_SKIP_CHECKPOINTS": "true"}
"""A preview saves nothing; without this Pulumi serializes the whole state after each resource, which takes about a
second for a hundred resources."""

DRY_RUN_OPTIONS = ("--refresh", "--diff", "--suppress-progress")

_FIXES = {
    "passphrase": "set PULUMI_CONFIG_PASSPHRASE_FILE to the file that the stack was made with "
    f"(the project's own is {state_backend.FOLDER}/passphrase)",
    "no stack named": "make up STACK=<name>",
    "not a valid stack name": "letters, digits, hyphens, underscores and dots: make up STACK=dev",
}


@dataclass(frozen=True)
class Stack:
    name: str
    environment: dict[str, str]
    root: Path
    has_own_backend: bool

    @classmethod
    def open(cls, name: str, root: Path = PROJECT) -> Stack:
        """A stack by name, which need not exist yet.

        Raises:
            StackError: there is no Pulumi CLI.
        """
        environment = state_backend.environment(root, pulumi_cli.find())
        return cls(name, environment, root, state_backend.is_local(os.environ, root))

    def up(self) -> bool:
        """Create the stack or update it to its configuration; True if anything changed.

        Drift is repaired too, so a server that was killed starts again.

        Raises:
            UpdateError: Pulumi failed; it has printed why.
        """
        self._remove_stale_locks()
        try:
            self._prepare()
        except StackError as failure:
            raise UpdateError(failure.args[0], fix=failure.fix, has_begun=False) from None
        self._run("up", "--yes", "--skip-preview", "--refresh", "--stack", self.name, is_quiet=True)
        last = json.loads(self.query("stack", "history", "--json", "--page-size", "1", "--stack", self.name))[0]
        return set(last["resourceChanges"]) != {"same"}

    def configuration(self) -> dict[str, Any]:
        """The configuration's plain values, by key: text, or the values of a section.

        Raises:
            StackError: there is no such stack.
        """
        self._must_exist()
        entries = json.loads(self.query("config", "--json", "--stack", self.name))
        values = {name: entry.get("objectValue", entry.get("value")) for name, entry in entries.items()}
        return {name.removeprefix(self._namespace): value for name, value in values.items() if value is not None}

    def uses_cloud(self) -> bool:
        """Whether the configured target is a cloud's."""
        configuration = yaml.safe_load(self.read_configuration() or "") or {}
        return (configuration.get("config") or {}).get(f"{self._namespace}target") in CLOUDS

    def pending_updates(self) -> list[str]:
        """Updates that are still needed for the configuration, where the service makes one change at a time."""
        if not self.uses_cloud():
            return []
        outputs = json.loads(self.query("stack", "output", "--json", "--stack", self.name))
        return [update for cloud in CLOUDS for update in outputs.get(cloud, {}).get(PENDING_UPDATES, ())]

    def configure(self, changes: Mapping[str, str]) -> None:
        """Set keys of the configuration.

        Raises:
            StackError: there is no such stack.
        """
        self._must_exist()
        self.query("config", "set-all", *_settings(changes), "--stack", self.name)

    def read_configuration(self) -> str | None:
        """The text of the configuration file; None where every key has its default."""
        try:
            return self._file.read_text()
        except FileNotFoundError:
            return None

    def write_configuration(self, text: str | None) -> None:
        """Replace the configuration file atomically, or remove it."""
        if text is None:
            self._file.unlink(missing_ok=True)
            return
        new = self._file.with_name(f".{self._file.name}.new")
        new.write_text(text)
        if self._file.exists():
            shutil.copymode(self._file, new)
        new.replace(self._file)

    def copy_configuration(self, other: Stack, leaving_out: Sequence[str], changes: Mapping[str, str]) -> None:
        """Create this stack with a copy of another's configuration: without some keys, and with some changed.

        Raises:
            StackError: there is no such other stack.
        """
        other._must_exist()
        self.create()
        with tempfile.TemporaryDirectory() as folder:
            scratch = replace(self, root=Path(folder))
            for file in (self.root / "Pulumi.yaml", other._file, self._file):
                if file.exists():
                    shutil.copy(file, folder)
            scratch.query("config", "cp", "--stack", other.name, "--dest", self.name)
            for key in leaving_out:
                scratch.query("config", "rm", "--path", key, "--stack", self.name)
            scratch.configure(changes)
            self.write_configuration(scratch.read_configuration())

    @contextlib.contextmanager
    def changed_configuration(self, changes: Mapping[str, str]) -> Iterator[Path]:
        """A temporary file with a copy of the configuration that has the changes.

        Raises:
            StackError: there is no such stack.
        """
        self._must_exist()
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / self._file.name
            copy.write_text(self.read_configuration() or "")
            self.query("config", "set-all", *_settings(changes), "--config-file", str(copy), "--stack", self.name)
            yield copy

    @property
    def _namespace(self) -> str:
        """The prefix of the project's keys in a stack's configuration: the project's name."""
        return f"{yaml.safe_load((self.root / 'Pulumi.yaml').read_text())['name']}:"

    @property
    def _file(self) -> Path:
        return self.root / f"Pulumi.{self.name}.yaml"

    def exists(self) -> bool:
        return self.name in self._names()

    def create(self) -> None:
        """Create an empty stack if it doesn't exist; the selected stack stays selected."""
        if not self.exists():
            self.query("stack", "init", "--no-select", self.name)

    def _prepare(self) -> None:
        """Create the stack if it doesn't exist. It becomes the selected one only if there is none."""
        is_current = {stack["name"]: stack["current"] for stack in json.loads(self.query("stack", "ls", "--json"))}
        if self.name not in is_current:
            self.query("stack", "init", *["--no-select"] * any(is_current.values()), self.name)
        elif not any(is_current.values()):
            self.query("stack", "select", self.name)

    def preview(self, *options: str) -> None:
        """Preview what `up` would change, and show it.

        Raises:
            StackError: there is no such stack, or a check failed; Pulumi has printed why.
        """
        self._must_exist()
        self._saving_nothing._run("preview", *options, "--stack", self.name)

    def check(self, *options: str) -> None:
        """Preview what `up` would change, for its checks only.

        Raises:
            StackError: there is no such stack, or a check failed.
        """
        self._must_exist()
        self._saving_nothing._run("preview", "--refresh", *options, "--stack", self.name, is_quiet=True)

    @property
    def _saving_nothing(self) -> Stack:
        return replace(self, environment={**self.environment, **PREVIEW_ENVIRONMENT})

    def dry_run(self, *options: str) -> None:
        """Preview in full what `up` would change, drift included.

        Raises:
            StackError: there is no such stack, or a check failed; Pulumi has printed why.
        """
        self.preview(*DRY_RUN_OPTIONS, *options)

    def down(self) -> None:
        """Destroy the stack's resources; its configuration stays.

        Raises:
            StackError: there is no such stack, or Pulumi failed.
        """
        self._must_exist()
        self._remove_stale_locks()
        self._run("destroy", "--yes", "--skip-preview", "--stack", self.name, is_quiet=True)

    def has_resources(self) -> bool:
        """Whether the stack exists and has resources."""
        by_name = {stack["name"]: stack for stack in json.loads(self.query("stack", "ls", "--json"))}
        return bool(by_name.get(self.name, {}).get("resourceCount"))

    def is_up(self) -> bool:
        """Whether the stack exists and has more than passwords and certificates."""
        return self.has_resources() and any(
            resource["custom"] and not resource["type"].startswith("pulumi:") and _kind(resource) not in _PREPARATIONS
            for resource in self._resources()
        )

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, with secrets in plain text.

        Raises:
            StackError: there is no such stack, it isn't up, or its secrets can't be read.
        """
        try:
            outputs = json.loads(self.query("stack", "output", "--json", "--show-secrets", "--stack", self.name))
        except StackError:
            self._must_exist()
            raise
        if ENDPOINT not in outputs:
            raise StackError(f"the stack {self.name} isn't up", fix=f"make up STACK={self.name}")
        if "[secret]" in json.dumps(outputs):
            raise StackError("Pulumi printed no secrets", fix="use a Pulumi CLI that supports --show-secrets")
        return dict(outputs)

    def last_change(self) -> str:
        """When the stack was last changed, UTC."""
        (last,) = json.loads(self.query("stack", "history", "--json", "--page-size", "1", "--stack", self.name))
        return str(last["endTime"])

    def resource(self, kind: str) -> dict[str, Any]:
        """The outputs of the stack's only resource of a kind, from the state, with secrets in plain text.

        Raises:
            StackError: there is none, or its secrets can't be read.
        """
        self._must_exist()
        for resource in self._resources("--show-secrets"):
            if _kind(resource) == kind:
                return dict(_plain(resource["outputs"]))
        raise StackError(f"the stack {self.name} isn't up", fix=f"make up STACK={self.name}")

    def _resources(self, *options: str) -> list[dict[str, Any]]:
        state = json.loads(self.query("stack", "export", *options, "--stack", self.name))
        return list(state["deployment"].get("resources", []))

    def _names(self) -> list[str]:
        return [stack["name"] for stack in json.loads(self.query("stack", "ls", "--json"))]

    def _must_exist(self) -> None:
        names = self._names()
        if self.name not in names:
            raise StackError(
                f"there is no stack {self.name} (there is {', '.join(names) or 'none'})",
                fix=f"make up STACK={self.name}",
            )

    def _remove_stale_locks(self) -> None:
        if self.has_own_backend:
            state_backend.remove_stale_locks(self.root, self.name)

    def query(self, *arguments: str) -> str:
        """Run a short `pulumi` command in the project and return its output.

        Raises:
            StackError: the command failed.
        """
        command = ["pulumi", "--non-interactive", *arguments]
        result = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise _explain(result.stderr)
        return result.stdout

    def _run(self, *arguments: str, is_quiet: bool = False) -> None:
        """Run a long command whose output the user sees, or with `is_quiet` its progress and result."""
        run = pulumi_command.run([*arguments], self.root, self.environment, is_quiet=is_quiet)
        if run.is_interrupted:
            fix = "run the same command again to resume" if run.events.has_begun else ""
            raise UpdateError("interrupted", fix=fix, has_begun=run.events.has_begun)
        if run.returncode:
            raise self._explain(run.output, run.events)

    def _explain(self, output: str, happened: UpdateEvents) -> UpdateError:
        error = _explain(output)
        if "currently locked" in output:
            text = f"another pulumi command is changing the stack {self.name}"
            fix = f"wait for it; if it died on another machine: pulumi cancel {self.name}"
        elif happened.errors:
            text, fix = happened.errors[0], ""
        else:
            text, fix = error.args[0], error.fix
        return UpdateError(text, fix=fix, has_begun=happened.has_begun)


_PREPARATIONS = ("Password", "Authority", "Certificate", "Rotation", "Cleanup", "ProcessCleanup")


def _kind(resource: Mapping[str, Any]) -> str:
    return str(resource["type"]).rpartition(":")[2]


def _settings(changes: Mapping[str, str]) -> list[str]:
    return [part for key, value in changes.items() for part in ("--plaintext", f"{key}={value}")]


_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""What Pulumi marks values of a special kind with in the state (sdk/go/common/resource/sig)."""


def _plain(value: Any) -> Any:
    """A value of the state without the marks of secrets."""
    if isinstance(value, dict):
        if _SIGNATURE in value and "plaintext" in value:
            return _plain(json.loads(value["plaintext"]))
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _explain(output: str) -> StackError:
    errors = [line.removeprefix("error: ") for line in output.splitlines() if line.startswith("error: ")]
    message = errors[0] if errors else output.strip() or "pulumi failed, see above"
    fix = next((fix for text, fix in _FIXES.items() if text in output), "")
    return StackError(message, fix=fix)
