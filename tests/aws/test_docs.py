"""The blocks of docs/aws.md run as written. Blocks in `console` need AWS: see tests/docs/test_pages.py."""

from __future__ import annotations

from pathlib import Path

from harness.cloud.aws.account import client
from harness.cloud.aws.configurations import MINIMAL
from stackctl.stack import PROJECT
from tests.aws.test_import import WHAT_IT_IS, make_redis
from tests.cloud.page_runner import PageRunner, new_stack
from tests.support import checkout

START, ROTATE, RETIRE, RESTORE, TAKE_OVER, COMPATIBLE, ENABLED, ALLOW = checkout.runnable(PROJECT / "docs" / "aws.md")


def test_the_session_of_a_reader(page_runner: PageRunner, moto: str, existing: Path) -> None:
    make_redis(moto, existing)
    page_runner.run(START, ROTATE, RETIRE, ALLOW)
    page_runner.run(new_stack("dump", MINIMAL), RESTORE, "pulumi preview\n")
    page_runner.run(
        new_stack("pair", MINIMAL | {"topology": "replicated"}), "pulumi up\n", COMPATIBLE, ENABLED, "pulumi destroy\n"
    )
    said = page_runner.run(new_stack("moved", WHAT_IT_IS), TAKE_OVER).stdout
    assert "1 imported" in said
    groups = client(moto, "elasticache").describe_replication_groups()["ReplicationGroups"]
    assert {group["ReplicationGroupId"] for group in groups} == {"valkey-cloud", "my-redis"}
