"""`pulumi preview` of the aws target's largest configuration beside an empty program, with the stand-in for AWS."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.report import at_most, publish
from bench.up import EMPTY, seconds
from tests.aws import account
from tests.aws.recorded import MINIMAL
from tests.aws.test_requests import TOPOLOGIES
from tests.aws.variables import ADDRESS
from tests.cloud.stack import CloudStack, plugin
from tools.stack import PROJECT

ROUNDS = 5

NETWORK = ("aws.vpcId", "aws.subnetIds")
"""Keys that name what the stand-in's account hasn't."""


def run() -> None:
    """About two minutes."""
    with account.served() as address, tempfile.TemporaryDirectory() as folder:
        ours, empty = _measure(Path(folder), address)
    row = at_most("preview of 90 nodes beyond an empty program, s", ours - empty, 3)
    publish("cloud", [at_most("preview of an empty program, s", empty, 3), row])


def _measure(folder: Path, moto: str) -> tuple[float, float]:
    """The medians of both in seconds, taken in turn, so that both see the same machine."""
    plugins = plugin(folder / "plugins", "aws", "tests.aws.backend", PROJECT)
    stack = CloudStack.make(folder, plugins, {ADDRESS: moto})
    largest = {key: value for key, value in TOPOLOGIES["everything"].items() if key not in NETWORK}
    stack.configure(MINIMAL | largest)
    other = folder / "empty"
    other.mkdir()
    (other / "Pulumi.yaml").write_text(EMPTY)
    (other / "__main__.py").write_text("import pulumi\n")
    empty = replace(stack.project.stack, root=other)
    empty._query("stack", "select", "--create", empty.name)
    times: dict[Path, list[float]] = {stack.project.root: [], other: []}
    for _ in range(ROUNDS):
        for root, taken in times.items():
            taken.append(seconds(lambda root=root: _preview(root, empty.environment)))  # type: ignore[misc]
    return statistics.median(times[stack.project.root]), statistics.median(times[other])


def _preview(root: Path, environment: dict[str, str]) -> None:
    command = ["pulumi", "preview", "--stack", "test"]
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
