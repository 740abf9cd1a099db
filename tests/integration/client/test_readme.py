"""The README's examples run as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from valkeykit import Queue

from harness.servers import ServerProcess

README = Path(__file__).parents[3] / "client" / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example(number: int, server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALKEY_URL", server.url)
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(EXAMPLES[number], str(README), "exec"), names)  # noqa: S102  (it is what a reader runs)
    queue = names.get("queue")
    if isinstance(queue, Queue):
        assert queue.statistics().waiting == 1
        queue.close()


def test_cache_and_queue_take_ten_lines() -> None:
    assert len(EXAMPLES) == 2
    assert all(sum(bool(line.strip()) for line in example.splitlines()) <= 10 for example in EXAMPLES)
