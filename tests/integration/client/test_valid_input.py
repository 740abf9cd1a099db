"""Unusual but valid input."""

from __future__ import annotations

from typing import Any

from valkeykit import Queue


def test_unusual_but_valid_input_is_accepted(queue: Queue) -> None:
    odd: list[dict[str, Any] | None] = [
        None,
        {},
        {"": 1},
        {"ü \n": [None, True, 1.5, {"a": {}}, "\x00"]},
        {"n": 10**100},
    ]
    for arguments in odd:
        job = queue.add("send", arguments, delay=0.0, at=None, priority=0, timeout=None).id
        assert queue.jobs("waiting")[-1].arguments == (arguments or {})
        assert queue.cancel(job) == "waiting"
    assert queue.add("ünï", id="ключ", key="鍵").id == "ключ"
    assert queue.job("ключ").name == "ünï"
    assert queue.requeue(iter(["ключ"])) == 0  # type: ignore[arg-type]
    assert queue.jobs("dead", 10**9, 10**9) == []
    queue.limit(10**9)
    assert len(queue.send(queue.protocol.take("w", 5, 30_000)).jobs) == 1
