"""Whether clients still write is measured by what changed data."""

from __future__ import annotations

import pytest
from valkeykit_ops.migrate.cutover import WriteMark, writes_between

BEFORE = WriteMark("one", 10, "1000", {"set": 5, "brpop": 7})


@pytest.mark.parametrize(
    ("after", "writes"),
    [
        (BEFORE, {}),
        (WriteMark("one", 10, "1000", {"set": 5, "brpop": 9}), {}),
        (WriteMark("one", 11, "1000", {"set": 6, "brpop": 9}), {"set": 1, "brpop": 2}),
        (WriteMark("one", 11, "1000", {"set": 5, "brpop": 7}), {"a script or a module": 1}),
        (WriteMark("one", 0, "1005", {"set": 5, "brpop": 7}), {}),
        (WriteMark("one", 0, "1005", {"set": 6, "brpop": 7}), {"set": 1}),
        (WriteMark("one", None, "1000", {"set": 6, "brpop": 7}), {"set": 1}),
        (WriteMark("two", 10, "1000", {"set": 5, "brpop": 7}), {"restart": 1}),
    ],
)
def test_writes(after: WriteMark, writes: dict[str, int]) -> None:
    assert writes_between({"a:1": BEFORE}, {"a:1": after}) == writes


def test_a_new_primary_may_have_other_writes() -> None:
    assert writes_between({"a:1": BEFORE}, {"b:2": BEFORE}) == {"failover": 1}
