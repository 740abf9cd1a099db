"""Copies a server to another and says how fast: migrate_peer.py valkeykit|plain|limit|redis-shake SOURCE TARGET.

plain: SCAN, DUMP and PTTL, RESTORE in pipelines of redis-py, a thousand keys each.
limit: reads a collection in chunks and writes prepared chunks, both at once, with nothing between.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis


def plain(source: str, target: str) -> None:
    old, new = redis.Redis.from_url(source), redis.Redis.from_url(target)
    cursor = 0
    while True:
        cursor, keys = old.scan(cursor, count=1000)
        read = old.pipeline(transaction=False)
        for key in keys:
            read.dump(key).pttl(key)
        answers = read.execute()
        write = new.pipeline(transaction=False)
        for place, key in enumerate(keys):
            write.restore(key, max(answers[2 * place + 1], 0), answers[2 * place], replace=True)
        write.execute()
        if not cursor:
            return


def valkeykit(source: str, target: str, figures: dict[str, float]) -> None:
    from valkeykit_ops.migrate import endpoints
    from valkeykit_ops.migrate.migration_run import Migration
    from valkeykit_ops.migrate.migration_server import MigrationServer
    from valkeykit_ops.migrate.options import Options
    from valkeykit_ops.migrate.progress import LogLines, ProgressReporter
    from valkeykit_ops.migrate.state import MigrationState

    stages: dict[str, float] = {}

    class Timed(ProgressReporter):
        def stage(self, name: str, total: int = 0, **facts: Any) -> None:
            stages[name] = time.perf_counter()
            super().stage(name, total, **facts)

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(MigrationState(Path(folder) / "state")) as state,
        contextlib.redirect_stderr(io.StringIO()),
        Timed(LogLines()) as reporter,
    ):
        old, new = (MigrationServer(endpoints.settings(url, None)) for url in (source, target))
        report = Migration(old, new, Options(), state, reporter).run()
        ended = time.perf_counter()
        old.close()
        new.close()
    if not report.complete:
        raise SystemExit(f"the target is incomplete: {report.record()}")
    figures["copy"] = stages["verification"] - stages["copy"]
    figures["verify"] = ended - stages["verification"]


def limit(source: str, target: str) -> float:
    """Four collections, one after the other, as migrate does."""
    old, new = redis.Redis.from_url(source, protocol=2), redis.Redis.from_url(target)
    pages = {}
    for key in old.scan_iter():
        kind = old.type(key)
        pages[key] = _write_commands(kind, key, _pages(old, kind, key))
    began = time.perf_counter()
    for key, commands in pages.items():
        reader = threading.Thread(target=lambda key=key: list(_pages(old, old.type(key), key)))
        reader.start()
        for command in commands:
            new.execute_command(*command)
        reader.join()
    return time.perf_counter() - began


def _pages(client: Any, kind: bytes, key: bytes) -> Iterator[list[bytes]]:
    if kind == b"list":
        for start in range(0, client.llen(key), 5000):
            yield client.lrange(key, start, start + 4999)
        return
    command = {b"hash": "HSCAN", b"set": "SSCAN", b"zset": "ZSCAN"}[kind]
    cursor = 0
    while True:
        cursor, page = _raw(client, command, key, cursor, "COUNT", 5000)
        yield page
        if not int(cursor):
            return


def _raw(client: Any, *words: Any) -> Any:
    """An answer as the server gives it."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        client.connection_pool.release(connection)


def _write_commands(kind: bytes, key: bytes, pages: Iterator[list[bytes]]) -> list[tuple[Any, ...]]:
    commands: list[tuple[Any, ...]] = []
    for page in pages:
        if kind == b"hash":
            commands.append(("HSET", key, *page))
        elif kind == b"zset":
            pairs = zip(page[1::2], page[::2], strict=True)
            commands.append(("ZADD", key, *(word for pair in pairs for word in pair)))
        else:
            commands.append(("SADD" if kind == b"set" else "RPUSH", key, *page))
    return commands


def shake(source: str, target: str) -> None:
    def address(url: str) -> str:
        return url.partition("//")[2].partition("/")[0]

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "shake.toml"
        config.write_text(
            f'[scan_reader]\naddress = "{address(source)}"\ncount = 1000\nksn = false\n'
            f'[redis_writer]\naddress = "{address(target)}"\n'
            f'[advanced]\ndir = "{folder}/data"\nlog_level = "warn"\nrdb_restore_command_behavior = "rewrite"\n'
        )
        subprocess.run(["redis-shake", str(config)], check=True, capture_output=True, cwd=folder)


def main() -> None:
    how, source, target = sys.argv[1:]
    with redis.Redis.from_url(source) as client:
        keys, size = client.dbsize(), client.info("memory")["used_memory_dataset"]
        elements = sum(_length(client, key) for key in client.scan_iter()) if keys < 100 else keys
    figures: dict[str, float] = {}
    began = time.perf_counter()
    if how == "valkeykit":
        valkeykit(source, target, figures)
        seconds = figures["copy"]
    elif how == "limit":
        seconds = limit(source, target)
    else:
        {"plain": plain, "redis-shake": shake}[how](source, target)
        seconds = time.perf_counter() - began
    figures |= {
        "rate": keys / seconds,
        "megabytes": size / 1e6 / seconds,
        "elements": elements / seconds,
        "memory": peak_memory(),
    }
    with redis.Redis.from_url(target) as client:
        if how != "limit" and client.dbsize() != keys:
            raise SystemExit(f"{client.dbsize()} of {keys} keys are there")
    print(json.dumps(figures))


def peak_memory() -> float:
    """MiB that this process took at most. Linux's rusage won't do: it counts what the parent had at the fork."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def _length(client: Any, key: bytes) -> int:
    kind = client.type(key)
    measures = {b"hash": client.hlen, b"set": client.scard, b"zset": client.zcard, b"list": client.llen}
    return int(measures[kind](key))


if __name__ == "__main__":
    main()
