"""`make restore`: what the new stack takes over from the configuration of the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from valkeykit.endpoint import Endpoint

from harness.cloud.aws.configurations import MINIMAL as AWS
from harness.cloud.aws.configurations import NAMED
from harness.cloud.config_strategies import Configuration, load
from harness.cloud.gcp.configurations import MINIMAL as GCP
from infra.outputs import ENDPOINT
from infra.settings import StackSettings
from stackctl.operations import restore
from stackctl.stack import Stack

OTHER = "projects/my-project/locations/europe-west1/instances/other"

IMPORTED = {"topology": "single", "aws.existing": "my-redis", "aws.nodeType": "cache.m7g.large"}
PRIMARY = {"gcp.replicationRole": "primary", "gcp.secondaryInstances": OTHER}
SECONDARY = {"gcp.replicationRole": "secondary", "gcp.primaryInstance": OTHER}


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> StackSettings:
    """The settings of a stack that is restored from one with the configuration of the parameter."""
    first: Configuration = request.param
    target = load(first).target
    made: Configuration = {}
    endpoint = Endpoint(target, "single", (), True, "9.0", "mixed", 1, ())

    def copy(_self: Stack, _other: Stack, leaving_out: Sequence[str], changes: Mapping[str, str]) -> None:
        made.update({key: value for key, value in first.items() if key not in leaving_out}, **changes)

    monkeypatch.setattr(Stack, "outputs", lambda _self: {ENDPOINT: endpoint.to_dict()})
    monkeypatch.setattr(Stack, "has_resources", lambda _self: False)
    monkeypatch.setattr(Stack, "is_up", lambda _self: False)
    monkeypatch.setattr(Stack, "copy_configuration", copy)
    source = "nightly" if target == "aws" else "gs://dumps/a.rdb"
    other, new = (Stack(name, {}, tmp_path, True) for name in ("first", "second"))
    restore.prepare(other, new, source, dry=False)
    return load(made)


@pytest.mark.parametrize(
    "restored",
    [AWS | IMPORTED, AWS | NAMED, GCP | {"gcp.existing": "my-instance"}],
    indirect=True,
)
def test_what_exists_and_its_names_stay_with_the_first_stack(restored: StackSettings) -> None:
    assert restored.restoreFrom
    assert (restored.aws.existing, restored.aws.dnsName, restored.gcp.existing) == ("", "", "")


@pytest.mark.parametrize("restored", [GCP | PRIMARY, GCP | SECONDARY], indirect=True)
def test_replication_stays_with_the_first_stack(restored: StackSettings) -> None:
    assert not restored.gcp.replicationRole


def test_no_target_has_another_key_for_what_exists() -> None:
    for section in ("docker", "aws", "gcp"):
        known = type(getattr(StackSettings(), section)).model_fields
        assert {f"{section}.{key}" for key in ("existing", "name") if key in known} <= set(restore.NOT_COPIED)
