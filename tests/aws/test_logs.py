"""Where slow logs and engine logs go."""

from __future__ import annotations

import pytest

from harness.cloud.aws import service
from tests.aws.recorded import DeployedAws

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_logs_go_to_log_groups_of_the_stack(log_format: str) -> None:
    made = DeployedAws.of({"aws.logFormat": log_format})
    deliveries = made.one(service.GROUP)["logDeliveryConfigurations"]
    assert {each["destination"] for each in deliveries} == {group["name"] for group in made.all(LOG_GROUP).values()}
    assert {(each["destinationType"], each["logFormat"]) for each in deliveries} == {("cloudwatch-logs", log_format)}


def test_logs_go_to_a_firehose_stream_instead() -> None:
    made = DeployedAws.of({"aws.logFirehose": "their-logs"})
    deliveries = made.one(service.GROUP)["logDeliveryConfigurations"]
    assert {each["logType"] for each in deliveries} == {"slow-log", "engine-log"}
    assert {(each["destinationType"], each["destination"]) for each in deliveries} == {
        ("kinesis-firehose", "their-logs")
    }
    assert made.all(LOG_GROUP) == {}
