"""A shop with a cache for its prices and a queue for its mails.

uvicorn app:api
valkeykit worker app:mails
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from valkeykit import AsyncCache, AsyncQueue, ValkeykitError

HEALTH_SECONDS = 2.0
"""Shorter than the timeout of the platform's probe; the queue itself retries for longer."""

cache = AsyncCache(namespace="shop")
mails = AsyncQueue("mails")


@mails.handler(attempts=5, timeout=30, result_ttl=3600)
async def send(to: str) -> str:
    return f"sent to {to}"


@asynccontextmanager
async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
    yield
    await cache.close()
    await mails.close()


api = FastAPI(lifespan=lifespan)


async def look_up(product: str) -> dict[str, Any]:
    """A slow call, such as to a database or a supplier."""
    await asyncio.sleep(0.1)
    return {"product": product, "price": 9.99}


@api.get("/prices/{product}")
async def price(product: str) -> Any:
    """From the cache; computed once for concurrent requests, and also without a server."""
    return await cache.get_or_compute(f"price:{product}", lambda: look_up(product), ttl=60, stale=300)


@api.post("/mails", status_code=202)
async def add_mail(to: str) -> dict[str, str]:
    return {"id": (await mails.add(send, {"to": to})).id}


@api.get("/mails/{mail_id}")
async def mail(mail_id: str) -> dict[str, Any]:
    return {"result": await mails.result(mail_id, timeout=10)}


@api.get("/health")
async def health() -> dict[str, int]:
    """Ready when jobs can be added; a missing cache doesn't make it unready."""
    try:
        known = await asyncio.wait_for(mails.statistics(), HEALTH_SECONDS)
    except (ValkeykitError, asyncio.TimeoutError) as problem:
        raise HTTPException(503, str(problem) or "Valkey doesn't answer") from problem
    return {"waiting": known.waiting}
