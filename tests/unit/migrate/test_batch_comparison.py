"""Which values are compared in batches, and when two of them are equal."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError
from valkeykit_ops.migrate import batch_comparison
from valkeykit_ops.migrate.batch_comparison import BatchKind, DifferingPayloads


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        (14, 18, "list"), (2, 20, "set"), (12, 17, "zset"), (13, 16, "hash"), (0, 0, "string"),
        (0, 18, None), (15, 21, None), (16, 22, None), (25, 22, None), (7, 7, None),
    ],
)  # fmt: skip
def test_streams_modules_and_hashes_with_ttls_are_compared_closely(source: int, target: int, kind: str | None) -> None:
    assert DifferingPayloads(b"k", b"k", bytes([source]), bytes([target])).kind == kind


@pytest.mark.parametrize(
    ("kind", "one", "other", "equal"),
    [
        ("string", b"a", b"a", True), ("string", b"a", b"b", False), ("string", None, None, False),
        ("list", [b"a", b"b"], [b"a", b"b"], True), ("list", [b"a", b"b"], [b"b", b"a"], False),
        ("set", [b"a", b"b"], [b"b", b"a"], True), ("set", [b"a", b"b"], [b"a", b"c"], False),
        ("zset", [b"a", b"1e-05"], [b"a", b"1.0000000000000001e-05"], True),
        ("zset", [b"a", b"1", b"b", b"2"], [b"a", b"2", b"b", b"1"], False),
        ("zset", [b"a", b"inf"], [b"b", b"inf"], False),
        ("hash", [b"a", b"1", b"b", b"2"], [b"b", b"2", b"a", b"1"], True),
        ("hash", [b"a", b"1"], [b"a", b"1.0"], False), ("hash", [b"a", b"1"], [], False),
        ("list", ResponseError("WRONGTYPE"), ResponseError("WRONGTYPE"), False),
    ],
)  # fmt: skip
def test_equal_values(kind: BatchKind, one: Any, other: Any, equal: bool) -> None:
    assert batch_comparison._is_equal(kind, one, other) is equal
