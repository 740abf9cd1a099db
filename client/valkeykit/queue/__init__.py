"""A job queue that loses nothing. See docs/client/queue.md for what it guarantees."""

from __future__ import annotations

from valkeykit.queue.answers import Added, DeadLetter, JobState, Statistics
from valkeykit.queue.aqueue import AsyncQueue
from valkeykit.queue.events import Event, Listener, telemetry
from valkeykit.queue.job import Job, current_job
from valkeykit.queue.options import JobOptions
from valkeykit.queue.queue import Queue
from valkeykit.queue.repeats import Repeat
from valkeykit.queue.worker import Worker

__all__ = [
    "Added",
    "AsyncQueue",
    "DeadLetter",
    "Event",
    "Job",
    "JobOptions",
    "JobState",
    "Listener",
    "Queue",
    "Repeat",
    "Statistics",
    "Worker",
    "current_job",
    "telemetry",
]
