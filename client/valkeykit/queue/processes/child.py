"""The child process of a HandlerProcess: runs calls of handlers, one after the other."""

from __future__ import annotations

import asyncio
import contextvars
import faulthandler
import fcntl
import inspect
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple, NoReturn, cast

from valkeykit.queue.handlers import exhaust, exhaust_async
from valkeykit.queue.job import InvalidResultError, Job, enter
from valkeykit.queue.job_options import check_progress
from valkeykit.queue.processes.references import Reference, resolve

MAX_SENT_CHARACTERS = 20_000
"""Characters of an error's text and of its traceback that the parent gets."""


class HandlerCall(NamedTuple):
    """A message from the parent.

    Attributes:
        arguments: JSON.
        max_result: Bytes that the result may take; None if it isn't kept.
    """

    reference: Reference
    arguments: str
    job_id: str
    attempt: int
    is_last_attempt: bool
    queue: str
    name: str
    trace: str
    max_result: int | None


class Message(NamedTuple):
    """A message from the child: any number of times progress, then one of the others.

    Attributes:
        content: Progress and result are JSON; failed has the kind, the text and the traceback of an exception.
    """

    kind: Literal["progress", "result", "failed", "exhausted"]
    content: Any = None


class ChildJob:
    """The job as its handler sees it in a child process, with the public attributes of `Job`."""

    is_interrupted = False
    """A child process is killed when its job is to end."""

    def __init__(self, call: HandlerCall, connection: Connection) -> None:
        self.id = call.job_id
        self.attempt = call.attempt
        self.is_last_attempt = call.is_last_attempt
        self.queue = call.queue
        self.name = call.name
        self.trace_id = call.trace[3:35]
        self._arguments = call.arguments
        self._connection = connection
        self._lock = threading.Lock()
        self._is_over = False

    @property
    def arguments(self) -> dict[str, Any]:
        """What the handler is called with."""
        arguments: dict[str, Any] = json.loads(self._arguments)
        return arguments

    def progress(self, value: Any) -> None:
        """Report how far the job is, as `Job.progress` does.

        Raises:
            InvalidJobError: The value isn't JSON, or too large.
        """
        self._send(Message("progress", json.dumps(check_progress(value))))

    def finish(self, message: Message) -> None:
        """Send how the job ended; a thread that the handler left behind can't send progress after it."""
        self._send(message, is_last=True)

    def _send(self, message: Message, *, is_last: bool = False) -> None:
        if self._connection.closed:  # in a process that the handler forked
            return
        with self._lock:
            if not self._is_over:
                self._is_over = is_last
                self._connection.send(tuple(message))


def serve(connection: Connection, lifeline: int) -> NoReturn:
    """Run calls until the parent closes its end."""
    status = 1
    try:
        _end_with_parent(lifeline)
        _ignore_termination()
        _be_first_out_of_memory()
        _keep_from_forks(connection, lifeline)
        with suppress(RuntimeError, ValueError, OSError):  # no usable stderr
            faulthandler.enable()
        while True:
            reference, *call = connection.recv()
            _run(HandlerCall(Reference(*reference), *call), connection)
    except (EOFError, OSError):
        status = 0
    except BaseException:  # noqa: BLE001  (never back into the interpreter, which waits for threads)
        traceback.print_exc()
    finally:
        os._exit(status)


def _run(call: HandlerCall, connection: Connection) -> None:
    own = os.getpid()
    job = ChildJob(call, connection)
    try:
        message = Message("result", contextvars.copy_context().run(_call_handler, call, job))
    except MemoryError:
        message = Message("exhausted")
        traceback.print_exc()
    except BaseException as error:  # noqa: BLE001  (whatever a handler raises fails its job only)
        message = Message("failed", _describe(error))
    is_fork = os.getpid() != own  # that the handler made and did not end
    with suppress(Exception):  # the handler may have replaced or closed them
        if is_fork and message.kind == "failed":
            sys.stderr.write(message.content[2])
        sys.stdout.flush()
        sys.stderr.flush()
    if is_fork:
        os._exit(message.kind != "result")
    job.finish(message)


def _call_handler(call: HandlerCall, job: ChildJob) -> str | None:
    enter(cast("Job", job))
    if call.trace:
        _enter_trace(call.trace)
    function: Callable[..., Any] = resolve(call.reference)
    value = _complete(function(**job.arguments))
    if value is None or call.max_result is None:
        return None
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except MemoryError:
        raise
    except Exception as problem:  # noqa: BLE001  (the result's own code may run here)
        raise InvalidResultError(f"the result isn't JSON: {_text_of(problem)}") from None
    if len(text) > call.max_result:  # the parent would have to hold all of it
        raise InvalidResultError(f"the result takes {len(text)} bytes, and max_result is {call.max_result}")
    return text


def _enter_trace(trace: str) -> None:
    from valkeykit.queue.tracing import enter_trace  # imports much, which is not needed without traces

    enter_trace(trace)


def _complete(value: Any) -> Any:
    """Run a coroutine or a generator to its end."""
    if inspect.isawaitable(value):
        return asyncio.run(_await(value))
    if inspect.isasyncgen(value):
        return asyncio.run(exhaust_async(value))
    if inspect.isgenerator(value):
        return exhaust(value)
    return value


async def _await(value: Awaitable[Any]) -> Any:
    return await value


def _describe(error: BaseException) -> tuple[str, str, str]:
    """An exception as text, since not every exception can be pickled."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except BaseException:  # noqa: BLE001  (the exception's own code may run here)
        lines = []
    return _clean(type(error).__name__), _clean(_text_of(error)), _clean("".join(lines))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001  (the exception's own code)
        return "<no text: its __str__ raises>"


def _clean(text: str) -> str:
    """A plain str that can be encoded, cut in its middle."""
    text = str.encode(text, errors="backslashreplace").decode()
    return (
        text
        if len(text) <= MAX_SENT_CHARACTERS
        else f"{text[: MAX_SENT_CHARACTERS // 2]}\n…\n{text[-MAX_SENT_CHARACTERS // 2 :]}"
    )


def _end_with_parent(lifeline: int) -> None:
    """End this process and those that it started when the parent ends, which closes the other end of this pipe.

    A thread can't do that while an extension holds the GIL. On Linux the kernel does it.
    """
    os.set_inheritable(lifeline, False)
    if sys.platform == "linux":
        with suppress(OSError):  # an emulation of Linux may lack it
            fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
            fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:
        with suppress(OSError):
            os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="valkeykit-parent", daemon=True).start()


def _ignore_termination() -> None:
    """The worker drains at Ctrl-C and SIGTERM. What the job's handler starts or forks can be terminated as usual."""
    defaults: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    for number in defaults:
        signal.signal(number, _ignore)  # unlike SIG_IGN it does not survive an exec
    signal.pthread_sigmask(signal.SIG_UNBLOCK, defaults)
    saved = threading.local()

    def block() -> None:
        """A signal that is sent to a fork at once waits until the fork has its defaults."""
        saved.mask = signal.pthread_sigmask(signal.SIG_BLOCK, defaults)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, saved.mask)

    def restore() -> None:
        for number, default in defaults.items():
            if signal.getsignal(number) is _ignore:
                signal.signal(number, default)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=restore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """The handler of a signal that changes nothing."""


def _be_first_out_of_memory() -> None:
    """The kernel should kill this process rather than the worker."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _keep_from_forks(connection: Connection, lifeline: int) -> None:
    """A process that the handler forks must not hold the connection: the parent sees by its end that this one ended."""
    os.set_inheritable(connection.fileno(), False)

    def close() -> None:
        if not connection.closed:  # a fork of a fork
            connection.close()
            os.close(lifeline)

    os.register_at_fork(after_in_child=close)
