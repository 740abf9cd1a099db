"""The import of an existing group: what the update sends, and which configurations would scale the group."""

from __future__ import annotations

import pytest
from valkeykit.errors import ConfigurationError

from tests.aws.recorded import DeployedAws

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
AS_IT_IS = {"topology": "replicated", "replicas": "1", "aws.nodeType": "cache.r6g.xlarge", "aws.existing": "my-redis"}
"""Of the recorded account, whose groups have an AUTH token."""


def test_an_auth_token_is_removed_in_the_update_that_attaches_the_users() -> None:
    """Without the strategy, AWS refuses a user group on a group with a token; without a token, the strategy."""
    group = DeployedAws.of(AS_IT_IS).one(GROUP)
    assert group["authTokenUpdateStrategy"] == "DELETE"
    assert group["userGroupIds"]
    assert "authToken" not in group
    assert "authTokenUpdateStrategy" not in DeployedAws.of({"topology": "replicated"}).one(GROUP)


def test_the_engine_changes_at_once_also_in_prod() -> None:
    """Users are attached at once, and only a Valkey accepts those of Valkey."""
    prod = AS_IT_IS | {"environment": "prod"}
    assert DeployedAws.of(prod).one(GROUP)["applyImmediately"] is True
    assert DeployedAws.of(prod | {"aws.existing": "a-valkey"}).one(GROUP)["applyImmediately"] is False


@pytest.mark.parametrize(
    ("change", "reason", "fix"),
    [
        ({"aws.nodeType": "cache.t4g.micro"}, "the group has cache.r6g.xlarge", "aws.nodeType cache.r6g.xlarge"),
        ({"replicas": "2"}, "replicas is 2, the group has 1", "config set replicas 1"),
        (
            {"topology": "cluster", "shards": "3"},
            "topology is cluster, the group has replicated",
            "topology replicated",
        ),
    ],
)
def test_an_import_does_not_scale_the_group(change: dict[str, str], reason: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeployedAws.of(AS_IT_IS | change)
    assert reason in str(caught.value)
    assert fix in str(caught.value)
