"""The web page of queues, jobs and workers."""

from __future__ import annotations

from valkeykit_ops.web.app import create_app

__all__ = ["create_app"]
