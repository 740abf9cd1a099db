"""Backup and maintenance windows of ElastiCache, compared as minutes of a week in UTC."""

from __future__ import annotations

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES


def too_short(window: str) -> bool:
    """Whether a window is shorter than ElastiCache's minimum of an hour."""
    begin, end = _minutes(window)
    return (end - begin) % (_WEEK_MINUTES if _is_weekly(window) else _DAY_MINUTES) < 60


def overlap(daily: str, weekly: str) -> bool:
    """Whether a daily window, such as 03:00-04:00, overlaps a weekly one, such as sun:05:00-sun:06:00."""
    begin, end = _minutes(daily)
    length = (end - begin) % _DAY_MINUTES
    covered = {(day * _DAY_MINUTES + begin + minute) % _WEEK_MINUTES for day in range(7) for minute in range(length)}
    first, last = _minutes(weekly)
    return any((first + minute) % _WEEK_MINUTES in covered for minute in range((last - first) % _WEEK_MINUTES))


def _is_weekly(window: str) -> bool:
    return window[:3] in _DAYS


def _minutes(window: str) -> tuple[int, int]:
    begin, end = window.split("-")
    return _minute(begin), _minute(end)


def _minute(moment: str) -> int:
    *day, hours, minutes = moment.split(":")
    return (_DAYS.index(day[0]) * _DAY_MINUTES if day else 0) + int(hours) * 60 + int(minutes)
