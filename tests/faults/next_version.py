"""A worker or a producer of the next version of valkeykit, which writes records with a further field and other plans.

python -m tests.faults.next_version work
python -m tests.faults.next_version produce FILE    add jobs until SIGTERM; the ids go to FILE
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from valkeykit import Queue
from valkeykit.lua import Script
from valkeykit.lua import script as load
from valkeykit.queue import job, protocol, schedule, schema
from valkeykit.queue.job_options import JobSpec

REGION = "eu"
"""The further field of a record's header, after the attempts."""

_header = JobSpec.__dict__["spec_line"].func  # of a cached property
_from_v1 = JobSpec.from_spec_line
_read_record, _from_plan = schema.read_record, schedule.Schedule.deserialize.__func__  # type: ignore[attr-defined]


def become_next_version() -> None:
    """Change the package in this process."""
    schema.FORMAT_VERSION = b"v2"
    schema._FIELDS += 1
    schedule.SCHEDULE_VERSION = 2  # type: ignore[attr-defined]
    protocol.load = _load  # type: ignore[assignment,attr-defined]
    job.read_record = read_record  # type: ignore[attr-defined]
    JobSpec.spec_line = property(lambda spec: _upgraded(_header(spec)))  # type: ignore[assignment,method-assign]
    JobSpec.from_spec_line = staticmethod(_from_header)  # type: ignore[method-assign]
    schedule.Schedule.deserialize = classmethod(deserialize)  # type: ignore[assignment,method-assign]


def read_record(record: bytes) -> tuple[JobSpec, bytes, str]:
    """Both versions."""
    if record.startswith(b"v1 "):
        head, newline, payload = record.partition(b"\n")
        _, created, key, options = head.decode().split(" ", 3)
        record = f"v2 {created} {key} {_upgraded(options)}".encode() + newline + payload
    return _read_record(record)


def deserialize(cls: Any, name: str, plan: str) -> schedule.Schedule:
    """Both versions."""
    fields = json.loads(plan)
    if fields["v"] == 1:
        plan = json.dumps(fields | {"v": 2, "header": _upgraded(fields["header"])})
    return _from_plan(cls, name, plan)  # type: ignore[no-any-return]


def _from_header(line: str) -> JobSpec:
    priority, attempts, region, *rest = line.split(" ")
    if region != REGION:
        raise ValueError(line)
    return _from_v1(" ".join([priority, attempts, *rest]))


def _upgraded(header: str) -> str:
    priority, attempts, rest = header.split(" ", 2)
    return f"{priority} {attempts} {REGION} {rest}"


def _load(package: str, name: str) -> Script:
    script = load(package, name)
    source = script.source.replace('"v1 ', '"v2 ')
    return replace(script, source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def produce(path: str) -> None:
    """Add jobs for the handlers of both versions, and a schedule."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    attempts = int(os.environ["ATTEMPTS"])
    with (
        Queue("faults", os.environ["WORKER_URL"], retry_for=20) as queue,
        Path(path).open("a", encoding="utf-8") as file,
    ):
        queue.schedule("fresh", name="next", every=0.2, attempts=attempts)
        while not ended.wait(0.01):
            for name in ("work", "fresh"):
                print(queue.add(name, attempts=attempts).id, file=file, flush=True)


def work() -> None:
    from tests.faults import recording_worker  # after the changes

    recording_worker.queue.handler(recording_worker.fresh)
    recording_worker.main()


if __name__ == "__main__":
    become_next_version()
    if sys.argv[1] == "produce":
        produce(sys.argv[2])
    else:
        work()
