"""After a failed update nothing is registered until a refresh: the state has the new values, AWS the previous ones."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cloud.aws.configurations import MINIMAL
from harness.cloud.config_strategies import load
from infra.targets.aws import AwsDeployment
from infra.targets.identity import Identity
from infra.targets.previous_resources import PreviousResources
from infra.targets.setting_inputs import SettingInputs
from tests.aws.recorded import CALLS, RESOURCES
from tests.cloud.recording import Recorder, deploy, record

FAILED = {"urn": "urn:pulumi:test::valkey::aws:elasticache/user:User::app", "type": "aws:elasticache/user:User"}
"""A resource without a guard of its own."""


class PreviousFailure(PreviousResources):
    """What the engine provides after a failed update, which mocks don't have."""

    def __init__(self) -> None:
        super().__init__()
        self._by_urn = {FAILED["urn"]: FAILED | {"initErrors": ["InvalidUserState"]}}


@pytest.mark.parametrize("allowed", ["false", "true"])
def test_nothing_is_registered_after_a_failed_update(monkeypatch: pytest.MonkeyPatch, allowed: str) -> None:
    monkeypatch.setattr("infra.targets.aws.deployment.PreviousResources", PreviousFailure)
    recorder = Recorder(RESOURCES, CALLS)
    settings = load(MINIMAL | {"aws.allowReplacement": allowed})

    def program() -> Any:
        deploy(AwsDeployment(SettingInputs(settings), Identity.of_stack("valkey", "test")), "valkey:target:Aws")

    with pytest.raises(Exception, match=r"the previous update of app failed.* -> pulumi up --refresh"):
        record(recorder, program)
    assert [resource.kind for resource in recorder.recorded] == ["pulumi:providers:aws"]
    assert recorder.requests["valkey:target:Aws", "valkey"].state_migrations
