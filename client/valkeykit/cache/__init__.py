"""A cache with stampede protection and tags that degrades gracefully when the server is down."""

from __future__ import annotations

from valkeykit.cache import ttl
from valkeykit.cache.acache import AsyncCache
from valkeykit.cache.cache import Cache
from valkeykit.cache.codec import JsonSerializer, Serializer
from valkeykit.cache.entries import MISSING
from valkeykit.cache.leaderboard import AsyncLeaderboard, Leaderboard, RankedMember
from valkeykit.cache.sessions import AsyncSessions, Sessions
from valkeykit.cache.statistics import CacheStatistics

__all__ = [
    "MISSING",
    "AsyncCache",
    "AsyncLeaderboard",
    "AsyncSessions",
    "Cache",
    "CacheStatistics",
    "JsonSerializer",
    "Leaderboard",
    "RankedMember",
    "Serializer",
    "Sessions",
    "ttl",
]
