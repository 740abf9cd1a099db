"""The worker: takes jobs, runs them, and acknowledges them."""

from __future__ import annotations

from valkeykit.queue.worker.worker import Worker

__all__ = ["Worker"]
