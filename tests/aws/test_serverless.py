"""The serverless cache: its source and its limits."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cloud.aws import service
from tests.aws.recorded import DeployedAws


def test_a_serverless_cache_starts_from_an_rdb_file_too() -> None:
    cache = DeployedAws.of({"topology": "serverless", "restoreFrom": "arn:aws:s3:::dumps/redis.rdb"})
    assert cache.one(service.SERVERLESS)["snapshotArnsToRestores"] == ["arn:aws:s3:::dumps/redis.rdb"]


@pytest.mark.parametrize(
    ("limits", "storage", "ecpu"),
    [
        ({}, {"maximum": 20}, None),
        ({"aws.maxEcpu": "9000"}, {"maximum": 20}, [{"maximum": 9000}]),
        ({"aws.minEcpu": "2000"}, {"maximum": 20}, [{"minimum": 2000}]),
        ({"aws.minMemory": "1500mb"}, {"minimum": 2, "maximum": 20}, None),
    ],
)
def test_the_limits_are_those_of_the_configuration(limits: dict[str, str], storage: Any, ecpu: Any) -> None:
    cache = DeployedAws.of({"topology": "serverless", "memory": "20gb"} | limits).one(service.SERVERLESS)
    assert cache["cacheUsageLimits"]["dataStorage"] == {"unit": "GB", **storage}
    assert cache["cacheUsageLimits"].get("ecpuPerSeconds") == ecpu
