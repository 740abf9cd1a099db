"""`pulumi preview` of each cloud's largest configuration, compared with an empty program, with fake clouds."""

from __future__ import annotations

import functools
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench.report import at_most, publish
from bench.up import EMPTY, seconds
from harness.cloud.aws import account
from harness.cloud.aws.configurations import MINIMAL as AWS
from harness.cloud.aws.configurations import TOPOLOGIES as AWS_TOPOLOGIES
from harness.cloud.aws.variables import ADDRESS
from harness.cloud.config_strategies import Configuration
from harness.cloud.gcp.answers import FILE
from harness.cloud.gcp.configurations import MINIMAL as GCP
from harness.cloud.gcp.configurations import TOPOLOGIES as GCP_TOPOLOGIES
from harness.cloud.stack import CloudStack, running
from stackctl.stack import DRY_RUN_OPTIONS, PREVIEW_ENVIRONMENT, PROJECT, Stack

ROUNDS = 5

NETWORK = ("aws.vpcId", "aws.subnetIds")
"""Keys that name what the fake account does not have."""


class Times(NamedTuple):
    """Medians, in seconds. dry_run: as `make up DRY=1` calls Pulumi."""

    empty: float
    dry_run: float
    by_hand: float


def run() -> None:
    """Two minutes."""
    aws = AWS | {key: value for key, value in AWS_TOPOLOGIES["everything"].items() if key not in NETWORK}
    with account.served() as address:
        on_aws = _measure("aws", aws, {ADDRESS: address})
    with tempfile.NamedTemporaryFile("w+", suffix=".json") as resources:
        resources.write("{}")
        resources.flush()
        on_gcp = _measure("gcp", GCP | GCP_TOPOLOGIES["everything"], {FILE: resources.name})
    empty = statistics.mean([on_aws.empty, on_gcp.empty])
    rows = [
        at_most("preview of an empty program, s", empty, 3),
        at_most("aws: 90 nodes by make up DRY=1, beyond that, s", on_aws.dry_run - on_aws.empty, 3),
        at_most("gcp: 120 nodes by make up DRY=1, beyond that, s", on_gcp.dry_run - on_gcp.empty, 3),
        at_most("aws: 90 nodes by plain pulumi preview, s", on_aws.by_hand - on_aws.empty, 3),
        at_most("gcp: 120 nodes by plain pulumi preview, s", on_gcp.by_hand - on_gcp.empty, 3),
    ]
    publish("cloud", rows)


def _measure(cloud: str, configuration: Configuration, variables: Mapping[str, str]) -> Times:
    """variables: for the fake provider, which runs already: its start says nothing about the real provider's."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(cloud, f"harness.cloud.{cloud}.backend", PROJECT, variables) as attached,
    ):
        return _in_turn(Path(folder), configuration, attached)


def _in_turn(folder: Path, configuration: Configuration, variables: Mapping[str, str]) -> Times:
    """One after the other, so that all see the same machine."""
    cloud = CloudStack.create(folder, folder, variables)
    cloud.configure(configuration)
    stack = cloud.project.stack
    other = folder / "empty"
    other.mkdir()
    (other / "Pulumi.yaml").write_text(EMPTY)
    (other / "__main__.py").write_text("import pulumi\n")
    empty = replace(stack, root=other)
    empty.query("stack", "select", "--create", empty.name)
    ways = [
        functools.partial(_preview, empty, {}),
        functools.partial(_preview, stack, PREVIEW_ENVIRONMENT, *DRY_RUN_OPTIONS),
        functools.partial(_preview, stack, {}),
    ]
    times = [[seconds(way) for way in ways] for _ in range(ROUNDS)]
    return Times(*(statistics.median(taken) for taken in zip(*times, strict=True)))


def _preview(stack: Stack, variables: Mapping[str, str], *options: str) -> None:
    command = ["pulumi", "preview", *options, "--stack", stack.name]
    environment = {**stack.environment, **variables}
    subprocess.run(command, cwd=stack.root, env=environment, check=True, stdout=subprocess.DEVNULL)
