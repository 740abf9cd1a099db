"""The README's examples run as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from valkeykit import Queue

from harness.servers import ServerProcess

PROJECT = Path(__file__).parents[3]
README = PROJECT / "client" / "README.md"
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


@pytest.mark.parametrize("page", ["README.md", "client/README.md"])
def test_a_worker_that_imports_the_queue_sample_adds_no_job(
    page: str, server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VALKEY_URL", server.url)
    (sample,) = re.findall(r"`app\.py`:\n\n```python\n(.*?)```", (PROJECT / page).read_text(), re.DOTALL)
    (tmp_path / "app.py").write_text(sample)
    worker = str(Path(sys.executable).parent / "valkeykit")
    for command in ([sys.executable, "app.py"], *[[worker, "worker", "app:queue", "--burst"]] * 2):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with Queue("mail") as queue:
        statistics = queue.statistics()
    assert (statistics.waiting, statistics.completed) == (0, 1)


def test_cache_and_queue_take_ten_lines() -> None:
    assert len(EXAMPLES) == 2
    assert all(sum(bool(line.strip()) for line in example.splitlines()) <= 10 for example in EXAMPLES)
