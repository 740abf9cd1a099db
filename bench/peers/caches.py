"""Seconds that one get and one set take, one after the other, with JSON and 100 bytes of value."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Callable
from typing import Any

NAME, URL, CALLS = sys.argv[1], sys.argv[2], int(sys.argv[3])
VALUE = {"text": "x" * 80, "number": 5}


async def floor() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from redis import Redis

    client = Redis.from_url(URL)
    return lambda key: json.loads(client.get(key)), lambda key, value: client.set(key, json.dumps(value), px=60_000)


async def floor_async() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from redis.asyncio import Redis

    client = Redis.from_url(URL)

    async def get(key: str) -> Any:
        return json.loads(await client.get(key))

    async def put(key: str, value: Any) -> None:
        await client.set(key, json.dumps(value), px=60_000)

    return get, put


async def valkeykit() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from valkeykit import Cache

    cache = Cache(URL)
    return cache.get, lambda key, value: cache.set(key, value, 60)


async def valkeykit_async() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from valkeykit import AsyncCache

    cache = AsyncCache(URL)
    return cache.get, lambda key, value: cache.set(key, value, 60)


async def aiocache() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from aiocache import RedisCache
    from aiocache.serializers import JsonSerializer

    cache = RedisCache(endpoint="127.0.0.1", port=int(URL.rsplit(":", 1)[1].split("/")[0]), serializer=JsonSerializer())
    return cache.get, lambda key, value: cache.set(key, value, ttl=60)


async def cashews() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from cashews import cache

    cache.setup(URL, pickle_type="json")
    return cache.get, lambda key, value: cache.set(key, value, expire=60)


async def django_valkey() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from django.conf import settings

    backend = {
        "BACKEND": "django_valkey.cache.ValkeyCache",
        "LOCATION": URL.replace("redis://", "valkey://"),
        "OPTIONS": {"SERIALIZER": "django_valkey.serializers.json.JSONSerializer"},
    }
    settings.configure(CACHES={"default": backend})
    from django.core.cache import cache

    return cache.get, lambda key, value: cache.set(key, value, timeout=60)


async def timed(call: Callable[..., Any], *arguments: Any) -> float:
    is_async = inspect.isawaitable(first := call("key", *arguments))
    if is_async:
        await first
    began = time.perf_counter()
    if is_async:
        for _ in range(CALLS):
            await call("key", *arguments)
    else:
        for _ in range(CALLS):
            call("key", *arguments)
    return (time.perf_counter() - began) / CALLS


async def main() -> None:
    get, put = await globals()[NAME]()
    seconds = {"set": await timed(put, VALUE)}
    found = get("key")
    assert (await found if inspect.isawaitable(found) else found) == VALUE
    print(json.dumps(seconds | {"get": await timed(get)}))


asyncio.run(main())
