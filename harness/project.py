"""A project of its own: the real CLI, its own state, its own servers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis
from valkeykit.connection import connect

from infra.drivers.processes import process
from infra.drivers.processes.folder import ServerFolder
from stackctl.stack import PROJECT, Stack

USERS_CHOICE = (
    "PULUMI_BACKEND_URL",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
)
"""Variables that would lead a test to another backend than its own."""

NO_PIP = {"PYTHONPATH": str(PROJECT / "harness" / "nopip")}
"""An old language host asks pip at each run which plugins to fetch: a second, and there is nothing to fetch."""


def link_policies(root: Path) -> None:
    """Give a copy of the project the policy pack's environment, made in this one."""
    environment = "infra/policy/.venv"
    subprocess.run(["make", f"{environment}/.ready"], cwd=PROJECT, check=True, capture_output=True)
    (root / environment).symlink_to(PROJECT / environment)


@dataclass
class Project:
    root: Path
    stack: Stack

    @property
    def folder(self) -> ServerFolder:
        return ServerFolder(self.root / ".valkey" / self.stack.name)

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the CLI by hand on the stack; the caller looks at the exit code."""
        command = ["pulumi", "--non-interactive", *arguments, "--stack", self.stack.name]
        return subprocess.run(
            command, cwd=self.root, env=self.stack.environment, capture_output=True, text=True, check=False
        )

    def configure(self, **values: str) -> None:
        self.stack.query("stack", "select", "--create", self.stack.name)
        for key, value in values.items():
            done = self.pulumi("config", "set", key, value)
            assert done.returncode == 0, done.stderr

    def resources(self) -> list[dict[str, Any]]:
        exported = self.pulumi("stack", "export")
        assert exported.returncode == 0, exported.stderr
        return list(json.loads(exported.stdout)["deployment"].get("resources", []))

    def server(self) -> psutil.Process:
        running = process.find(self.folder)
        assert running is not None, "no server runs"
        return running

    def client(self, output: str = "adminUrl") -> redis.Redis:
        return connect(self.stack.outputs()[output])  # type: ignore[return-value]  # a cluster's client has the same commands

    @classmethod
    def create(cls, folder: Path) -> Project:
        """Copy this project's program, without its state, into an empty folder."""
        root = folder / "project"
        root.mkdir()
        shutil.copy(PROJECT / "Pulumi.yaml", root)
        shutil.copytree(PROJECT / "infra", root / "infra", ignore=shutil.ignore_patterns(".venv", "__pycache__"))
        for link in (root / ".venv", root / "infra" / ".venv"):
            link.symlink_to(PROJECT / ".venv")
        for name in USERS_CHOICE:
            os.environ.pop(name, None)
        os.environ["PULUMI_HOME"] = str(folder / "home")
        made = cls(root, Stack.open("test", root))
        made.stack.environment.update(NO_PIP)
        return made

    def end(self) -> None:
        """End what a failed test left running."""
        for folder in (path.parent for path in (self.root / ".valkey").rglob("claim.json")):
            if running := process.find(ServerFolder(folder)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    running.kill()
                    running.wait(10)
