"""Backup and maintenance windows, as minutes of a week in UTC."""

from __future__ import annotations

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_WEEK = 7 * _DAY


def too_short(window: str) -> bool:
    """Whether it is shorter than the hour that ElastiCache wants."""
    begin, end = _minutes(window)
    return (end - begin) % (_WEEK if _is_weekly(window) else _DAY) < 60


def overlap(daily: str, weekly: str) -> bool:
    """Whether a daily window, such as 03:00-04:00, touches a weekly one, such as sun:05:00-sun:06:00."""
    begin, end = _minutes(daily)
    length = (end - begin) % _DAY
    covered = {(day * _DAY + begin + minute) % _WEEK for day in range(7) for minute in range(length)}
    first, last = _minutes(weekly)
    return any((first + minute) % _WEEK in covered for minute in range((last - first) % _WEEK))


def _is_weekly(window: str) -> bool:
    return window[:3] in _DAYS


def _minutes(window: str) -> tuple[int, int]:
    begin, end = window.split("-")
    return _minute(begin), _minute(end)


def _minute(moment: str) -> int:
    *day, hours, minutes = moment.split(":")
    return (_DAYS.index(day[0]) * _DAY if day else 0) + int(hours) * 60 + int(minutes)
