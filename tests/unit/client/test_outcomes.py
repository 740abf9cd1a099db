"""What a worker reports at the end of a job."""

from __future__ import annotations

import pytest
from valkeykit.queue.job import Job
from valkeykit.queue.job_options import JobSpec
from valkeykit.queue.outcomes import next_delay


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 1000), (2, 2000), (3, 4000), (12, 2_048_000), (13, 3_600_000), (99, 3_600_000)]
)
def test_each_pause_is_twice_the_one_before_up_to_an_hour_with_jitter(attempt: int, longest: int) -> None:
    job = Job(b"1", attempt, JobSpec("note", attempts=100, backoff=1000), b"{}", None)
    delays = [next_delay(job, ValueError()) for _ in range(200)]
    assert longest / 2 <= min(delays) < max(delays) <= longest


def test_after_the_last_attempt_there_is_no_pause() -> None:
    assert next_delay(Job(b"1", 5, JobSpec("note", attempts=5), b"{}", None), ValueError()) == -1
