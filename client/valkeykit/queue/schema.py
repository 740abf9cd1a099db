"""Keys and records of a queue on the server. All keys begin with `valkeykit:{name}:`, so they are in one hash slot.

    jobs         hash   id -> record
    waiting:P    list   ids in order, one list for each priority from 0 to 9
    delayed:P    zset   id -> when it is due (ms)
    suspect      list   ids that were lost with their worker more than once: a worker runs one of them at a time
    leases       zset   id -> when its lease ends (ms)
    active       hash   id -> "attempts worker"; worker is "-" between two attempts
    started      hash   ids whose last attempt has begun
    losses       hash   id -> how often its lease ended
    dead         zset   id -> when it became a dead letter (ms)
    errors, traces, progress, cancelled   hashes by id
    result:ID    text   the result as JSON, with a time to live
    unique       hash   key -> id of the job that was added under it
    unique_ends  zset   key -> when it may be used again (ms)
    schedules       hash   name -> what is repeated, as JSON that only clients read
    schedule_times  zset   name -> when it is due next (ms)
    schedule_jobs   hash   name -> id of the job that was added last
    wakeups      list   at most one element, on which idle workers block
    config       hash   paused, rate, period, dead_count, dead_age
    starts       list   when the latest jobs started (ms), under a rate limit
    stats        hash   totals
    minutes      hash   "what:minute modulo 60" -> "minute count"
    recent       list   time (ms), then lines "duration attempt name id" of jobs that were completed together
    workers      hash   name -> the worker's description, as JSON
    beats        zset   worker -> time of its last report (ms)
    seen:P       bits   calls of a producer that have run; answers:P, hash, what some of them answered
    taken:W      text   number, suspects and ids of a worker's latest take
    report:W     text   number and answer of a worker's latest report

A record is `v1 created key priority attempts timeout result_ttl backoff name`, a line break and the arguments as JSON;
the key is `-` for none, else `=key`. A number with a zero in front is a default that the worker's handler replaces.
Before the name of a traced job is its trace context: a W3C traceparent, and after a semicolon a tracestate, if it has
one, escaped as in URLs. The beginning of a record, up to the attempts, is the same in every version of the format.

KEYS[1] of each script is `valkeykit:{name}`, which never exists, and its other keys are all that it accesses. So while
the slot moves to another node key by key, the server answers each call with TRYAGAIN, and no script runs on a part of
the queue.
"""

from __future__ import annotations

import re
from functools import lru_cache

from valkeykit.queue.job_options import JobSpec

FORMAT_VERSION = b"v1"
"""The version of records that this package writes and reads."""

SCHEDULE_VERSION = 1
"""The version of stored schedules that this package writes and reads."""

REGISTRY_KEY = "valkeykit:queues"
"""The set of all queues' names; the only key that belongs to no queue."""

_FIELDS = 9

_TRACE = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:;[!-~]{1,2048})?")


class CorruptJobError(Exception):
    """The record stored under this id isn't a job. It becomes a dead letter, and is not tried again."""


class NewerFormatError(Exception):
    """A record of an unsupported version. A worker gives it back."""


def key_prefix(name: str) -> str:
    """The prefix of all keys of a queue, before a colon."""
    return f"valkeykit:{{{name}}}"


def read_record(record: bytes) -> tuple[JobSpec, bytes, str]:
    """A record's name and options, its arguments as JSON, and its trace context, "" for none.

    Raises:
        CorruptJobError: The text is not a record.
        NewerFormatError: The record has another version.
    """
    head, newline, payload = record.partition(b"\n")
    parts = head.split(b" ", 3)
    version = parts[0]
    if (
        not newline
        or len(parts) < 4
        or (version != FORMAT_VERSION and not (version[:1] == b"v" and version[1:].isdigit()))
    ):
        raise CorruptJobError("the record has no header")
    if version != FORMAT_VERSION:
        raise NewerFormatError(f"the record has the unsupported format version {version.decode()}")
    try:
        return _spec(parts[3]), payload, ""
    except NewerFormatError:  # it may be the further field of a traced job; other jobs pay nothing for it
        options, trace, name = parts[3].rsplit(b" ", 2)
        if not _TRACE.fullmatch(trace):
            raise
        return _spec(options + b" " + name), payload, trace.decode()


def name_of(record: bytes) -> str:
    """The name of a record's job, of any version; "?" where the record is corrupt."""
    head = record.partition(b"\n")[0].split(b" ")
    return head[-1].decode(errors="replace") if len(head) >= _FIELDS and head[0][:1] == b"v" else "?"


@lru_cache(maxsize=1024)
def _spec(header: bytes) -> JobSpec:
    """Jobs of a kind have the same header, so it is read once."""
    if header.count(b" ") > _FIELDS - 4:
        raise NewerFormatError(f"the record has more than {_FIELDS} fields")
    try:
        return JobSpec.from_spec_line(header.decode())
    except ValueError:
        raise CorruptJobError("the record's header can't be read") from None
