"""`pulumi preview` of each cloud's largest configuration beside an empty program.

The stand-ins for the clouds' providers run already: their start would say nothing about the real ones.
"""

from __future__ import annotations

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
from tests.cloud.stack import CloudStack, plugin, running
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
    with account.served() as address, tempfile.TemporaryDirectory() as folder:
        on_aws = _measure(Path(folder), "aws", aws, {ADDRESS: address})
    with tempfile.TemporaryDirectory() as folder:
        resources = Path(folder) / "google.json"
        resources.write_text("{}")
        on_gcp = _measure(Path(folder), "gcp", GCP | GCP_TOPOLOGIES["everything"], {FILE: str(resources)})
    rows = [
        at_most("preview of an empty program, s", statistics.mean([on_aws[1], on_gcp[1]]), 3),
        at_most("aws: preview of 90 nodes beyond that, s", on_aws[0] - on_aws[1], 3),
        at_most("gcp: preview of 120 nodes beyond that, s", on_gcp[0] - on_gcp[1], 3),
    ]
    publish("cloud", rows)


def _measure(
    folder: Path, cloud: str, configuration: Configuration, variables: Mapping[str, str]
) -> tuple[float, float]:
    """The medians of both in seconds, taken in turn, so that both see the same machine.

    variables: for the stand-in.
    """
    backend = f"tests.{cloud}.backend"
    with running(cloud, backend, PROJECT, variables) as attached:
        stack = CloudStack.make(folder, plugin(folder / "plugins", cloud, backend, PROJECT), attached)
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
                taken.append(seconds(lambda root=root: _preview(root, empty.environment)))  # type: ignore[misc]
    return statistics.median(times[stack.project.root]), statistics.median(times[other])


def _preview(root: Path, environment: dict[str, str]) -> None:
    command = ["pulumi", "preview", "--stack", "test"]
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
