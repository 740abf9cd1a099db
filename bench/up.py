"""`pulumi up` on the embedded target, compared with an empty program; the time until a new user's first server."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.report import Row, at_most, publish
from harness.project import Project
from infra import hardening
from infra.drivers import binary
from infra.drivers.processes import running_server, server
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.outputs import ADMIN_URL, MONITOR_URL, URL
from stackctl.stack import PROJECT

ROUNDS = 5
EMPTY = "name: empty\nruntime: python\n"


def run() -> None:
    """About a minute."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project.create(Path(folder))
        try:
            rows = [*_newcomer(project), *_no_change(project, Path(folder) / "empty"), _start(Path(folder))]
        finally:
            project.end()
    publish("up", rows)


def _newcomer(project: Project) -> list[Row]:
    """From nothing to smoke-tested, with tools and dependencies installed."""
    provision, check = seconds(project.stack.up), seconds(lambda: _smoke(project))
    return [
        at_most("from nothing to smoke-tested, s", provision + check, 10),
        at_most("the smoke suite, s", check, 5),
    ]


def _no_change(project: Project, empty: Path) -> list[Row]:
    """In turn, so that both see the same machine; the medians count."""
    empty.mkdir()
    (empty / "Pulumi.yaml").write_text(EMPTY)
    (empty / "__main__.py").write_text("import pulumi\n")
    other = replace(project.stack, root=empty)
    ours, theirs, refreshed = [], [], []
    for stack in (project.stack, other):
        stack.query("stack", "select", "--create", stack.name)
        _up(stack.root, stack.environment)
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: _up(project.root, project.stack.environment)))
        theirs.append(seconds(lambda: _up(empty, other.environment)))
        refreshed.append(seconds(lambda: _up(project.root, project.stack.environment, "--refresh")))
    base = statistics.median(theirs)
    return [
        at_most("pulumi up without a change, s", statistics.median(ours), 1.5, peer=base, peer_name="empty"),
        at_most("the same with --refresh, s", statistics.median(refreshed), 2.5, peer=base, peer_name="empty"),
    ]


def _start(folder: Path) -> Row:
    """A new server's way until it answers."""
    passwords = {user.name: "password" for user in hardening.USERS}
    spec = running_server.ServerSpec(
        folder=ServerFolder(folder / "server"),
        ownership=Ownership("bench/up", "bench", binary.version()),
        port=0,
        directives=hardening.directives("cache", 64 * 1024**2, "embedded"),
        acl=hardening.acl(passwords),
        password="password",  # noqa: S106
    )
    times = []
    for _ in range(ROUNDS):
        times.append(seconds(lambda: server.ensure(spec)))
        server.remove(spec, keep_snapshot=False)
    return at_most("the server's start until it answers, s", statistics.median(times), 1)


def _up(root: Path, environment: dict[str, str], *options: str) -> None:
    command = ["pulumi", "up", "--yes", "--skip-preview", *options, "--stack", "test"]
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)


def _smoke(project: Project) -> None:
    outputs = project.stack.outputs()
    environment = {
        **project.stack.environment,
        "VALKEY_URL": outputs[URL],
        "VALKEY_ADMIN_URL": outputs[ADMIN_URL],
        "VALKEY_MONITOR_URL": outputs[MONITOR_URL],
    }
    command = [sys.executable, "-m", "pytest", "tests/smoke", "-q", "--tb=no"]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin
