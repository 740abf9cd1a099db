"""New passwords in two steps, so that no request fails: both are valid in between.

What counts is what was carried out, which the state knows, beside what the configuration asks for: a step that was cut
off in between is completed by the same command, and the old passwords never end before the new ones are valid.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

import redis
from valkeykit.endpoint import Endpoint
from valkeykit.error_translation import translate_errors
from valkeykit.url import Node, parse

from infra.hardening import SELF_HOSTED
from infra.outputs import ENDPOINT, URLS
from tools import nodes, trial
from tools.errors import ToolError
from tools.stack import Stack

LISTEN_SECONDS = 10.0
"""How long the old passwords are off for a trial. Who logs in less often isn't noticed."""

_STAMP = "%Y%m%dT%H%M%SZ"
_LOG_ENTRIES = 128

PASSWORD_ROTATION = "passwordRotation"  # noqa: S105 — a key
COMPLETED_ROTATION = "completedRotation"
"""Configuration keys."""

Admins = Callable[[], Iterator[tuple[Node, redis.Redis]]]
"""Connects to one node after the other."""

Entry = tuple[str, int, str]
"""Of a server's log of rejections: the node, the entry's number there, the user and where from."""


@dataclass(frozen=True)
class RotationState:
    """The keys `passwordRotation` and `completedRotation`, as configured or as carried out.

    loaded: when the servers had the passwords of this rotation, if known.
    """

    rotation: str
    completed: str
    loaded: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the previous passwords are still valid."""
        return self.rotation != self.completed


def first_step(stack: Stack) -> dict[str, str]:
    """What to change for new passwords beside the old ones; of a rotation that was cut off, the same again.

    Raises:
        ToolError: there is no such stack, it isn't up, or the last rotation isn't finished.
    """
    stack.outputs()
    wanted, done = _wanted(stack), _carried_out(stack)
    if wanted.rotation != done.rotation and wanted.is_open:
        return {PASSWORD_ROTATION: wanted.rotation}
    if done.is_open:
        raise ToolError(
            f"the rotation {done.rotation} isn't finished: the passwords before it are still valid",
            fix=f"make rotate STACK={stack.name} FINISH=1",
        )
    return {PASSWORD_ROTATION: datetime.now(timezone.utc).strftime(_STAMP)}


def second_step(stack: Stack, *, force: bool, dry: bool = False) -> dict[str, str]:
    """What to change so that the old passwords end; of a step that was cut off, the same again.

    force: although somebody may still use them. dry: without the trial, which turns them off for some seconds.

    Raises:
        ToolError: no rotation is under way or it isn't complete, or somebody still uses the old passwords.
    """
    outputs = stack.outputs()
    wanted, done = _wanted(stack), _carried_out(stack)
    if wanted.rotation != done.rotation:
        raise ToolError(
            f"the rotation {wanted.rotation} isn't complete: the servers don't have its passwords yet",
            fix=f"make rotate STACK={stack.name}",
        )
    if not done.is_open:
        raise ToolError("no rotation is under way", fix=f"make rotate STACK={stack.name}")
    if wanted.is_open and not force:  # else it was checked when this step began
        admins = partial(nodes.as_admin, outputs, stack.name)
        endpoint = Endpoint.from_dict(outputs[ENDPOINT])
        before = _logged_in_before(admins, endpoint.users, done.loaded)
        _refuse(stack, before, "connections that logged in before the rotation")
        if not dry and endpoint.target in SELF_HOSTED:
            refused = _try_without(admins, outputs)
            _refuse(stack, refused, "logins that were rejected while the old passwords were off for a trial")
    return {COMPLETED_ROTATION: wanted.rotation}


def _refuse(stack: Stack, users: Counter[str], who: str) -> None:
    if users:
        listed = ", ".join(f"{name} ({number})" for name, number in sorted(users.items()))
        raise ToolError(
            f"{who}, so perhaps by an old password: {listed}",
            fix=f"restart these with what `make env` says now, or make rotate STACK={stack.name} FINISH=1 FORCE=1",
        )


def _wanted(stack: Stack) -> RotationState:
    config = stack.configuration()
    return RotationState(config.get(PASSWORD_ROTATION, ""), config.get(COMPLETED_ROTATION, ""))


def _carried_out(stack: Stack) -> RotationState:
    """What the servers have. Stacks of an earlier version know less of it, and those without passwords nothing."""
    wanted = _wanted(stack)
    with contextlib.suppress(ToolError):
        known = stack.resource("Rotation")
        return RotationState(known["rotation"], known["retired"], datetime.fromisoformat(known["loaded"]))
    with contextlib.suppress(ToolError):
        return RotationState(stack.resource("Password")["rotation"], wanted.completed, _time_of(wanted.rotation))
    return wanted


def _time_of(rotation: str) -> datetime | None:
    with contextlib.suppress(ValueError):  # a word of the operator's own
        return datetime.strptime(rotation, _STAMP).replace(tzinfo=timezone.utc)
    return None


def _logged_in_before(admins: Admins, users: Collection[str], loaded: datetime | None) -> Counter[str]:
    """Connections older than the new passwords, counted by user and address; none where their time isn't known."""
    if loaded is None:
        return Counter()
    seconds = (datetime.now(timezone.utc) - loaded).total_seconds()
    with translate_errors():
        return Counter(
            f"{client['user']} from {client['addr'].rpartition(':')[0]}"
            for _, admin in admins()
            for client in admin.client_list()
            if client["user"] in users and int(client["age"]) + 1 > seconds  # it is rounded down
        )


def _try_without(admins: Admins, outputs: Mapping[str, Any]) -> Counter[str]:
    """Turn the old passwords off for some seconds, and count the logins that are rejected, by user and address.

    Nothing else shows clients that connect for each request: no server tells which of a user's passwords a login had.
    """
    logins = {login.username or "": login.password or "" for login in (parse(outputs[url]) for url in URLS.values())}
    valid = {user: hashlib.sha256(password.encode()).hexdigest() for user, password in logins.items()}
    with translate_errors():
        before = dict(_rejections(admins, valid))
        with trial.restored(outputs):
            for _, admin in admins():
                _turn_off_old(admin, valid)
            return _listen(admins, valid, before)


def _turn_off_old(admin: redis.Redis, valid: Mapping[str, str]) -> None:
    for user, password in valid.items():
        known: Any = admin.acl_getuser(user)
        for old in {text.lstrip("#") for text in known["passwords"]} - {password}:
            admin.execute_command("ACL", "SETUSER", user, f"!{old}")


def _listen(admins: Admins, valid: Mapping[str, str], before: Mapping[Entry, int]) -> Counter[str]:
    end = time.monotonic() + LISTEN_SECONDS
    found: Counter[str] = Counter()
    while not found and time.monotonic() < end:
        time.sleep(0.5)
        for (node, entry, who), count in _rejections(admins, valid):
            found[who] += count - before.get((node, entry, who), 0)
        found = +found
    return found


def _rejections(admins: Admins, users: Collection[str]) -> Iterator[tuple[Entry, int]]:
    """Logins that were rejected, as the servers' logs of the last minutes count them."""
    for node, admin in admins():
        entries: Any = admin.acl_log(_LOG_ENTRIES)
        for entry in entries:
            if entry["reason"] == "auth" and entry["username"] in users:
                who = f"{entry['username']} from {entry['client-info']['addr'].rpartition(':')[0]}"
                yield (str(node), entry["entry-id"], who), entry["count"]
