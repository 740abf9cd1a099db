"""The chart of the last hour, as SVG without scripts and styles."""

from __future__ import annotations

from typing import NamedTuple

from valkeykit.queue import Minute

WIDTH, HEIGHT, BAR = 600, 80, 10


class Bar(NamedTuple):
    """The rectangles of a minute, in the units of the chart, and its text."""

    x: int
    completed_y: float
    completed_height: float
    failed_y: float
    failed_height: float
    text: str


def bars(minutes: list[Minute]) -> list[Bar]:
    """A bar for each minute: jobs that were completed below, dead letters above."""
    most = max([minute.completed + minute.failed for minute in minutes], default=0) or 1
    return [_bar(index, minute, HEIGHT / most) for index, minute in enumerate(minutes)]


def _bar(index: int, minute: Minute, scale: float) -> Bar:
    completed, failed = round(minute.completed * scale, 1), round(minute.failed * scale, 1)
    clock = f"{minute.start // 3600 % 24:02}:{minute.start // 60 % 60:02} UTC"
    text = f"{clock}: {minute.completed:,} completed, {minute.failed:,} dead letters, {minute.retried:,} retried"
    top = round(HEIGHT - completed, 1)
    return Bar(index * BAR, top, completed, round(top - failed, 1), failed, text)
