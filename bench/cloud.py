"""`pulumi preview` of each cloud's largest configuration beside an empty program, with the stand-ins for the clouds."""

from __future__ import annotations

import functools
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.report import at_most, publish
from bench.up import EMPTY, seconds
from tests.aws import account
from tests.aws.recorded import MINIMAL as AWS
from tests.aws.test_requests import TOPOLOGIES as AWS_TOPOLOGIES
from tests.aws.variables import ADDRESS
from tests.cloud.space import Configuration
from tests.cloud.stack import CloudStack, running
from tests.gcp.answers import FILE
from tests.gcp.recorded import MINIMAL as GCP
from tests.gcp.test_requests import TOPOLOGIES as GCP_TOPOLOGIES
from tools.stack import PROJECT

ROUNDS = 5

NETWORK = ("aws.vpcId", "aws.subnetIds")
"""Keys that name what the stand-in's account hasn't."""


def run() -> None:
    """About four minutes."""
    aws = AWS | {key: value for key, value in AWS_TOPOLOGIES["everything"].items() if key not in NETWORK}
    with account.served() as address:
        on_aws = _measure("aws", aws, {ADDRESS: address})
    with tempfile.NamedTemporaryFile("w+", suffix=".json") as resources:
        resources.write("{}")
        resources.flush()
        on_gcp = _measure("gcp", GCP | GCP_TOPOLOGIES["everything"], {FILE: resources.name})
    rows = [
        at_most("preview of an empty program, s", statistics.mean([on_aws[1], on_gcp[1]]), 3),
        at_most("aws: preview of 90 nodes beyond that, s", on_aws[0] - on_aws[1], 3),
        at_most("gcp: preview of 120 nodes beyond that, s", on_gcp[0] - on_gcp[1], 3),
    ]
    publish("cloud", rows)


def _measure(cloud: str, configuration: Configuration, variables: Mapping[str, str]) -> tuple[float, float]:
    """The medians of both in seconds, taken in turn, so that both see the same machine.

    variables: for the stand-in, which runs already: its start says nothing about the real provider's.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        running(cloud, f"tests.{cloud}.backend", PROJECT, variables) as attached,
    ):
        return _in_turn(Path(folder), configuration, attached)


def _in_turn(folder: Path, configuration: Configuration, variables: Mapping[str, str]) -> tuple[float, float]:
    stack = CloudStack.make(folder, folder, variables)
    stack.configure(configuration)
    other = folder / "empty"
    other.mkdir()
    (other / "Pulumi.yaml").write_text(EMPTY)
    (other / "__main__.py").write_text("import pulumi\n")
    empty = replace(stack.project.stack, root=other)
    empty._query("stack", "select", "--create", empty.name)
    times: dict[Path, list[float]] = {stack.project.root: [], other: []}
    for _ in range(ROUNDS):
        for root, taken in times.items():
            taken.append(seconds(functools.partial(_preview, root, empty.environment)))
    return statistics.median(times[stack.project.root]), statistics.median(times[other])


def _preview(root: Path, environment: dict[str, str]) -> None:
    command = ["pulumi", "preview", "--stack", "test"]
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
