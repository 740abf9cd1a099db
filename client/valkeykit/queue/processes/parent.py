"""Child processes that run handlers: a crash, or a C extension that never returns, ends one job and not the worker."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Pipe
from multiprocessing.spawn import get_executable
from typing import Any

from valkeykit.errors import InvalidJobError, JobError
from valkeykit.queue.job_options import MAX_RESULT_BYTES
from valkeykit.queue.outcomes import HandlerFailedError
from valkeykit.queue.processes.child import HandlerCall, Message
from valkeykit.queue.processes.references import check_not_importing, refer

# The directory where the parent was started may hold modules named like those of the standard library.
_BOOT = """\
import sys
sys.path = [path for path in sys.path if path]
from multiprocessing.connection import Connection
connection, lifeline = Connection(int(sys.argv[1])), int(sys.argv[2])
sys.path, sys.argv = connection.recv()
from valkeykit.queue.processes.child import serve
serve(connection, lifeline)
"""

_KILLED = "the child process of the job was killed"

_lock = threading.Lock()
"""Held while a child process is started or ended, and while this process is forked."""

_children: set[_Child] = set()


class ProcessEndedError(JobError):
    """The child process ended before the handler did."""


class HandlerProcess:
    """A child process that runs one call of a handler at a time. It starts at the first call and is kept."""

    def __init__(self, name: str = "valkeykit-job") -> None:
        """Start nothing.

        Args:
            name: Shown in the arguments of the process.

        Raises:
            ConfigurationError: This is a child process that imports the parent's script.
        """
        check_not_importing()
        self._name = name
        self._child: _Child | None = None
        self._is_busy = False
        self._is_killed = False
        self._is_closed = False

    def run(
        self,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        *,
        job_id: str,
        attempt: int,
        report_progress: Callable[[Any], None],
        is_cancelled: Callable[[], bool] | None = None,
        is_last_attempt: bool = False,
        queue: str = "",
        name: str = "",
        trace: str = "",
        max_result: int | None = MAX_RESULT_BYTES,
    ) -> str | None:
        """Call a handler and wait until it ends.

        Args:
            function: The handler. The child process imports it by its name.
            arguments: Its keyword arguments, JSON values.
            job_id: Seen by the handler as `current_job().id`.
            attempt: Seen as `current_job().attempt`.
            report_progress: Called in this thread with every value that the handler reports.
            is_cancelled: Queried once before the call starts: a `kill()` before that has no effect on it.
            is_last_attempt: Seen as `current_job().is_last_attempt`.
            queue: Seen as `current_job().queue`.
            name: Seen as `current_job().name`.
            trace: Context of the span that is the current one of the handler; "" for none.
            max_result: Bytes that the result may take; None if it isn't kept, and needs not be JSON.

        Returns:
            The result as JSON, None for a result of None and for one that isn't kept.

        Raises:
            HandlerFailedError: The handler raised an exception or can't be imported, or its result can't be kept.
            ProcessEndedError: The child process crashed, ran out of memory or was killed.
        """
        call = _build_call(function, arguments, job_id, attempt, is_last_attempt, queue, name, trace, max_result)
        with _lock:
            self._is_busy, self._is_killed = True, self._is_closed
        try:
            if is_cancelled is not None and is_cancelled():
                raise ProcessEndedError(_KILLED)
            message = self._exchange(call, report_progress)
        finally:
            self._rest()
        if message.kind == "failed":
            raise HandlerFailedError(*message.content)
        result: str | None = message.content
        return result

    def kill(self) -> None:
        """End the child process at once, from any thread; a call that it runs raises ProcessEndedError."""
        with _lock:
            self._is_killed = True
            child, is_busy = self._child, self._is_busy
            if child is not None:
                child.kill()
        if child is not None and not is_busy:
            child.end()

    def close(self) -> None:
        """End the child process for good; a call that it runs, and any later one, raises ProcessEndedError."""
        with _lock:
            self._is_closed = True
        self.kill()
        if self._child is not None:
            self._child.wait()

    def _exchange(self, call: HandlerCall, report_progress: Callable[[Any], None]) -> Message:
        child = self._start()
        try:
            child.send(call)
            while (message := child.receive()).kind == "progress":
                report_progress(json.loads(message.content))
        except _LostError:
            status = child.end()
            raise ProcessEndedError(_KILLED if self._is_killed else _explain(status)) from None
        except BaseException:  # the child is in the middle of a call
            self.kill()
            raise
        if message.kind == "exhausted":
            child.end()
            raise ProcessEndedError("the child process of the job ran out of memory (MemoryError)")
        return message

    def _start(self) -> _Child:
        if self._child is not None and self._child.has_ended:
            self._child.end()
        with _lock:
            if self._is_killed:
                raise ProcessEndedError(_KILLED)
            if self._child is None or self._child.is_killed:
                try:
                    self._child = _Child(self._name)
                except OSError as problem:
                    raise ProcessEndedError(f"a child process can't be started: {problem}") from None
            return self._child

    def _rest(self) -> None:
        with _lock:
            self._is_busy = False
            child = self._child if self._is_killed else None
        if child is not None:
            child.end()


class _LostError(Exception):
    """The child process ended, or sent something else than messages."""


class _Child:
    """A started child process, the connection to it, and the lifeline: a pipe that ends when this process does."""

    def __init__(self, name: str) -> None:
        """Start it. The caller holds the lock."""
        self.is_killed = False
        self._is_prepared = False
        self._connection, connection = Pipe()
        lifeline, self._lifeline = os.pipe()
        inherited = (connection.fileno(), lifeline)
        command = [*_interpreter(), "-c", _BOOT, *map(str, inherited), name]
        # A session of its own: Ctrl-C doesn't reach it, and it is killed with all that the handler has started.
        # Until the child process ignores these signals, they are blocked.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=inherited, start_new_session=True
            )
        except BaseException:
            self._release()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            connection.close()
            os.close(lifeline)
        _children.add(self)

    @property
    def has_ended(self) -> bool:
        return self.is_killed or self._connection.poll()  # between calls it sends nothing

    def send(self, call: HandlerCall) -> None:
        try:
            if not self._is_prepared:
                self._connection.send(
                    ([path for path in sys.path if isinstance(path, str)], getattr(sys, "argv", [""]))
                )
                self._is_prepared = True
            self._connection.send((tuple(call.reference), *call[1:]))
        except OSError:
            raise _LostError from None

    def receive(self) -> Message:
        try:
            return Message(*self._connection.recv())
        except (OSError, EOFError, pickle.UnpicklingError):
            raise _LostError from None

    def kill(self) -> None:
        """Kill it, once and before anything waits for it: later its id may be another's. The caller holds the lock."""
        if not self.is_killed:
            self.is_killed = True
            with suppress(ProcessLookupError, PermissionError):  # macOS refuses when it has ended already
                os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self) -> int:
        return self._process.wait()

    def end(self) -> int:
        """Kill it, release all that belongs to it, and return its status."""
        with _lock:
            self.kill()
        status = self.wait()
        with _lock:
            self._release()
            _children.discard(self)
        return status

    def forget(self) -> None:
        """In a fork of this process: it is not a child of the fork, which must not keep it alive."""
        self.is_killed = True
        self._process.returncode = 0
        self._release()

    def _release(self) -> None:
        if not self._connection.closed:
            self._connection.close()
            os.close(self._lifeline)


def _build_call(function: Callable[..., Any], arguments: Mapping[str, Any], *about: Any) -> HandlerCall:
    try:
        return HandlerCall(refer(function), json.dumps(dict(arguments)), *about)
    except (InvalidJobError, TypeError, ValueError, RecursionError) as problem:
        raise HandlerFailedError(type(problem).__name__, str(problem), "") from None


def _explain(status: int) -> str:
    if status >= 0:
        return f"the child process of the job exited with status {status}"
    if -status == signal.SIGKILL:
        return "the child process of the job was killed by SIGKILL; the kernel sends it when memory runs out"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"the child process of the job was killed by {name}"


def _interpreter() -> list[str]:
    """Python with the options of this process, such as -O and -X."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [os.fsdecode(get_executable() or sys.executable), *flags]


def _forget_children() -> None:
    for child in _children:
        child.forget()
    _children.clear()
    _lock.release()


os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_forget_children)
