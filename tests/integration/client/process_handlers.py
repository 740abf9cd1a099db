"""Handlers that child processes import by name."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import functools
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Any

from valkeykit import current_job
from valkeykit.errors import InvalidJobError

_seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


class UnpicklableError(Exception):
    def __init__(self, lock: Any, text: str) -> None:
        super().__init__(text)
        self.lock = lock

    def __reduce__(self) -> str:
        raise TypeError


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class MailError(BaseException):
    pass


def echo(**arguments: Any) -> Any:
    return arguments


def return_a_set() -> set[int]:
    return {1, 2}


def return_nan() -> float:
    return float("nan")


def return_nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def value_of(value: Any) -> Any:
    return value


def pid() -> int:
    return os.getpid()


def process_group() -> int:
    return os.getpgrp()


def raise_error(kind: str) -> None:
    raise {
        "value": ValueError("no such user"),
        "unpicklable": UnpicklableError(threading.Lock(), "held"),
        "mute": MuteError(),
        "surrogate": ValueError("half \ud83d of it"),
        "long": ValueError("x" * 10_000_000),
        "base": MailError("not an Exception"),
        "keyboard": KeyboardInterrupt(),
        "cancelled": asyncio.CancelledError(),
    }[kind]


def raise_chained() -> None:
    try:
        raise_error("value")
    except ValueError as error:
        raise LookupError("nobody") from error


def recurse() -> None:
    recurse()


def leave() -> None:
    sys.exit("done")


def end(how: str) -> None:
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "close":
        os.closerange(3, 100)


def fork_and_end() -> None:
    """Leave a process behind that outlives the handler's."""
    if os.fork() == 0:
        time.sleep(600)
    current_job().progress("forked")
    os._exit(7)


def return_from_a_fork() -> str:
    return "parent" if os.fork() else "fork"


def exhaust_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (512 * 1024**2, resource.RLIM_INFINITY))
    blocks = []
    while True:
        blocks.append(bytearray(16 * 1024**2))


def hold_the_gil() -> None:
    current_job().progress(os.getpid())
    re.match(r"(a+)+$", "a" * 60 + "b")


def start_a_command() -> None:
    command = subprocess.Popen(["sleep", "600"])
    current_job().progress(command.pid)
    command.wait()


def terminate_a_command() -> int:
    command = subprocess.Popen(["sleep", "600"])
    command.terminate()
    return command.wait()


def terminate_a_fork() -> int | None:
    fork = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    fork.start()
    fork.terminate()
    fork.join()
    return fork.exitcode


def survive_signals() -> str:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    return "alive"


def trace_id() -> str:
    from opentelemetry import trace

    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


def describe_job(user: str) -> dict[str, Any]:
    job = current_job()
    job.progress({"user": user})
    return {
        "id": job.id,
        "name": job.name,
        "queue": job.queue,
        "attempt": job.attempt,
        "arguments": job.arguments,
        "is_interrupted": job.is_interrupted,
    }


def report(number: int) -> str:
    for value in range(number):
        current_job().progress({"done": value})
    return "reported"


def report_a_set() -> None:
    current_job().progress({1, 2})


def report_later() -> None:
    """Leave a thread behind that reports during the jobs after this one."""
    job = current_job()

    def go_on() -> None:
        while True:
            job.progress("late")
            time.sleep(0.001)

    threading.Thread(target=go_on, daemon=True).start()


async def return_later(value: Any) -> Any:
    await asyncio.sleep(0)
    current_job().progress("awaited")
    return value


def return_awaitable(value: Any) -> Any:
    return return_later(value)


def generate(number: int) -> Generator[int, None, str]:
    for value in range(number):
        current_job().progress(value)
        yield value
    return "generated"


async def generate_later(number: int) -> AsyncIterator[int]:
    for value in range(number):
        current_job().progress(value)
        yield value


def remember(text: str) -> str:
    before = _seen.get()
    _seen.set(text)
    return before


def read_stdin() -> str:
    return sys.stdin.read()


def write(text: str) -> None:
    print(text)


def work_in_a_pool() -> list[int]:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def _logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        return ["logged", function(*args, **keywords)]

    return call


def _unnamed(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        return function(*args)

    return call


def wrapped() -> str:
    return "bare"


bare = wrapped
wrapped = _logged(wrapped)


@_unnamed
def unnamed() -> None:
    pass


def replaced() -> int:
    return 1


first = replaced


def replaced() -> int:  # type: ignore[no-redef]
    return 2


class Mailer:
    @staticmethod
    def send() -> str:
        return "sent"

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    def post(self) -> None:
        pass

    def __call__(self) -> None:
        pass


anonymous = lambda: None  # noqa: E731
partially = partial(echo, user=1)
mailer = Mailer()


async def pid_later() -> int:
    await asyncio.sleep(0)
    return os.getpid()


def return_text(size: int) -> str:
    return "x" * size


def report_too_much() -> str:
    try:
        current_job().progress("x" * 100_000)
    except InvalidJobError:
        return "rejected"
    return "accepted"


def is_last_attempt() -> bool:
    return current_job().is_last_attempt
