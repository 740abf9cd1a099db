"""Changes of a queue by `valkeykit queue`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import typer

from valkeykit.errors import InvalidJobError
from valkeykit.queue import Queue
from valkeykit.queue.protocol import batched_ids

Purgeable = Literal["waiting", "delayed", "dead"]


class Operations(NamedTuple):
    """The changes that the command line requests."""

    pause: bool
    resume: bool
    requeue: list[str]
    requeue_all: bool
    cancel: list[str]
    purge: Purgeable | None

    @property
    def is_any(self) -> bool:
        return any(self)


def operate(queue: Queue, operations: Operations, *, as_json: bool) -> None:
    """Change the queue and print what changed.

    Raises:
        InvalidJobError: An id is invalid or unknown; the other changes are made.
    """
    batched_ids([*operations.requeue, *operations.cancel])  # checks them before anything changes
    changes = _change(queue, operations)
    if as_json:
        typer.echo(json.dumps(changes))
    else:
        for line in _lines(changes):
            typer.echo(line)
    _check_found(queue.name, operations, changes)


def confirm_purge(queue: Queue, state: Purgeable) -> None:
    """Ask the user for confirmation; a script passes --yes."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("--purge needs --yes if the input is not a terminal")
    number = getattr(queue.statistics(), state)
    typer.confirm(f"Delete all {state} jobs of the queue {queue.name} ({number:,} now)?", abort=True)


def _change(queue: Queue, operations: Operations) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if operations.pause:
        queue.pause()
        changes["paused"] = True
    if operations.resume:
        queue.resume()
        changes["paused"] = False
    if operations.requeue or operations.requeue_all:
        changes["requeued"] = queue.requeue(operations.requeue) + _requeue_all(queue, operations)
    if operations.cancel:
        changes["cancelled"] = {identity: queue.cancel(identity) for identity in operations.cancel}
    if operations.purge is not None:
        changes["purged"] = {operations.purge: queue.purge(operations.purge)}
    return changes


def _requeue_all(queue: Queue, operations: Operations) -> int:
    """Requeue the current dead letters; a job that fails again meanwhile stays one."""
    if not operations.requeue_all:
        return 0
    return queue.requeue([letter.id for letter in queue.dead_letters(queue.statistics().dead)])


def _lines(changes: dict[str, Any]) -> Iterator[str]:
    if "paused" in changes:
        yield "paused: no worker takes jobs" if changes["paused"] else "resumed: workers take jobs"
    if "requeued" in changes:
        yield f"requeued {_count(changes['requeued'], 'dead letter')}"
    for identity, state in changes.get("cancelled", {}).items():
        if state == "active":
            yield f"cancelled {identity}: it was active, its worker interrupts it within seconds"
        elif state != "missing":
            yield f"cancelled {identity}: it was {state}"
    for state, number in changes.get("purged", {}).items():
        yield f"deleted {_count(number, state + ' job')}"


def _check_found(name: str, operations: Operations, changes: dict[str, Any]) -> None:
    missing = [identity for identity, state in changes.get("cancelled", {}).items() if state == "missing"]
    if missing:
        raise InvalidJobError(
            f"the queue {name} has no job {', '.join(missing)}", fix=f"valkeykit queue {name} --jobs waiting"
        )
    wanted = len(operations.requeue)
    if not operations.requeue_all and changes.get("requeued", wanted) < wanted:
        of = (
            f"{wanted - changes['requeued']} of {wanted} ids are not"
            if wanted > 1
            else f"{operations.requeue[0]} is not"
        )
        raise InvalidJobError(
            f"{of} dead letters of the queue {name}" if wanted > 1 else f"{of} a dead letter of the queue {name}",
            fix=f"valkeykit queue {name} --jobs dead",
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
