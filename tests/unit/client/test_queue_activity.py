"""What the server stores of a queue's activity, as values."""

from __future__ import annotations

from valkeykit.queue.activity import FinishedJob, Minute, read_history, read_recent, read_workers

NOW = 1_000_000 * 60_000 + 5


def test_the_hour_has_sixty_minutes_and_nothing_older() -> None:
    ring = [b"completed:40", b"1000000 7", b"failed:39", b"999999 2", b"completed:41", b"999941 9", b"completed:42",
            b"999942 8", b"new:40", b"1000000 1"]  # fmt: skip
    minutes = read_history([NOW, *ring])
    assert len(minutes) == 60
    assert minutes[-1] == Minute(60_000_000, completed=7)
    assert minutes[-2] == Minute(60_000_000 - 60, failed=2)
    assert minutes[0] == Minute((1_000_000 - 59) * 60, completed=9)
    assert sum(minute.completed for minute in minutes) == 7 + 9 + 8


def test_recent_jobs_come_latest_first_and_other_formats_are_left_out() -> None:
    texts = [b"2000\n5 1 send b\n1500 2 send c", b"1000\n7 1 note a\nv2 something else", b"corrupt"]
    assert read_recent(texts) == [
        FinishedJob("c", "send", 2, 1.5, 2.0),
        FinishedJob("b", "send", 1, 0.005, 2.0),
        FinishedJob("a", "note", 1, 0.007, 1.0),
    ]


def test_workers_of_earlier_versions_report_no_jobs() -> None:
    reports = read_workers([b"old", 10, b'{"running": 1}', b"new", 5, b'{"jobs": [["a", "send", 1.5]]}'])
    assert [[job.id for job in worker.jobs] for worker in reports] == [[], ["a"]]
