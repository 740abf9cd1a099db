"""The stack's `gcp:` and `aws:` configuration reaches the targets' own providers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pulumi_aws
import pulumi_gcp
import pytest
from pulumi.runtime.config import set_all_config
from valkeykit.errors import ConfigurationError

from harness.cloud.aws import configurations as on_aws
from harness.cloud.config_strategies import load
from harness.cloud.gcp import configurations as on_gcp
from infra.targets.provider_configuration import argument_name
from tests.aws.recorded import DeployedAws
from tests.cloud.recording import Recorded
from tests.gcp.recorded import DeployedGcp

Configure = Callable[..., Recorded]


@pytest.fixture
def provider_of() -> Iterator[Configure]:
    """Deploys with a configuration, and returns the recorded provider."""

    def deploy(cloud: str, config: Mapping[str, str], secret: Sequence[str] = ()) -> Recorded:
        set_all_config(dict(config), list(secret))
        deployed: Any = DeployedGcp(load(on_gcp.MINIMAL)) if cloud == "gcp" else DeployedAws(load(on_aws.MINIMAL))
        provider: Recorded = deployed.recorder.one(f"pulumi:providers:{cloud}")
        return provider

    yield deploy
    set_all_config({}, [])


def test_the_configuration_is_passed_on_to_google(provider_of: Configure) -> None:
    provider = provider_of(
        "gcp",
        {
            "gcp:project": "another",
            "gcp:version": "10.2.0",
            "gcp:impersonateServiceAccount": "deployer@my-project.iam.gserviceaccount.com",
            "gcp:userProjectOverride": "true",
            "gcp:billingProject": "billing",
            "gcp:memorystoreCustomEndpoint": "http://127.0.0.1:1/v1/",
            "gcp:credentials": '{"type": "service_account"}',
            "gcp:scopes": '["https://www.googleapis.com/auth/cloud-platform"]',
            "aws:profile": "of another cloud",
        },
        ["gcp:billingProject"],
    )
    given = {name: value for name, value in provider.inputs.items() if name not in ("region", "zone")}
    assert given == {
        "project": "my-project",
        "impersonateServiceAccount": "deployer@my-project.iam.gserviceaccount.com",
        "userProjectOverride": "true",
        "billingProject": "billing",
        "memorystoreCustomEndpoint": "http://127.0.0.1:1/v1/",
        "credentials": '{"type": "service_account"}',
        "scopes": '["https://www.googleapis.com/auth/cloud-platform"]',
    }
    assert provider.secret == {"credentials", "billingProject"}


def test_the_configuration_is_passed_on_to_amazon(provider_of: Configure) -> None:
    roles = '[{"roleArn": "arn:aws:iam::123456789012:role/deployer"}]'
    provider = provider_of("aws", {"aws:region": "us-east-1", "aws:profile": "work", "aws:assumeRoles": roles})
    assert (provider.inputs["region"], provider.inputs["profile"]) == ("eu-central-1", "work")
    assert provider.inputs["assumeRoles"] == roles


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("gcp:impersonateServiceAcount", "a@b.c", "did you mean gcp:impersonateServiceAccount?"),
        ("gcp:userProjectOverride", "yes", "expected true, false"),
        ("gcp:opts", "{}", "unknown to the provider"),
    ],
)
def test_an_error_in_it_has_its_fix(provider_of: Configure, key: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider_of("gcp", {key: value})
    assert reason in str(caught.value)
    assert str(caught.value).endswith(f"-> pulumi config rm {key}")


@pytest.mark.parametrize("arguments", [pulumi_gcp.ProviderArgs, pulumi_aws.ProviderArgs])
def test_every_key_of_the_sdk_has_the_expected_argument(arguments: type) -> None:
    getters: dict[str, Any] = {
        name: value.fget for name, value in vars(arguments).items() if isinstance(value, property)
    }
    assert {argument_name(getter._pulumi_name) for getter in getters.values()} == set(getters)
    assert len(getters) > 30
