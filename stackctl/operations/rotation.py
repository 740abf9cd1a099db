"""Password rotation in two steps, so that no request fails: between them both passwords are valid.

The state records which step is complete, and the configuration which one is requested. So the same command resumes an
interrupted step, and the previous passwords are never revoked before the new ones are valid.
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
from stackctl import admin_clients, password_trial
from stackctl.errors import StackError
from stackctl.messages import show
from stackctl.operations.change import change
from stackctl.stack import Stack

TRIAL_SECONDS = 10.0
"""How long the previous passwords are disabled. A client that logs in less often isn't noticed."""

_STAMP = "%Y%m%dT%H%M%SZ"
_LOG_ENTRIES = 128

PASSWORD_ROTATION = "passwordRotation"  # noqa: S105 — a key
COMPLETED_ROTATION = "completedRotation"
"""Configuration keys."""

Admins = Callable[[], Iterator[tuple[Node, redis.Redis]]]
"""Yields each node with a client of its administrator."""

LoginRejection = tuple[str, int, str]
"""An entry of a server's ACL LOG: the node, the entry's number, the user and its address."""


@dataclass(frozen=True)
class RotationState:
    """The keys `passwordRotation` and `completedRotation`, as configured or as carried out.

    loaded: when the servers loaded the passwords of this rotation, if known.
    """

    rotation: str
    completed: str
    loaded: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the previous passwords are still valid."""
        return self.rotation != self.completed


def rotate(stack: Stack, command: str, *, is_last_step: bool, force: bool, dry: bool) -> int:
    """Make one of the two steps; return the exit code of the smoke tests.

    Args:
        stack: the stack.
        command: as the operator typed it.
        is_last_step: revoke the previous passwords.
        force: although clients may still use them.
        dry: preview the step only.

    Raises:
        StackError: as `begin` or `finish`, or Pulumi failed.
    """
    plan = partial(finish, stack, force=force, dry=dry) if is_last_step else partial(begin, stack)
    failed = change(stack, plan, command, dry=dry)
    if not (failed or dry or is_last_step):
        show(
            f"Both passwords are valid. Give every application the new one: make env STACK={stack.name}\n"
            f"Then revoke the previous one: make rotate STACK={stack.name} FINISH=1"
        )
    return failed


def begin(stack: Stack) -> dict[str, str]:
    """The keys to set for new passwords, with the previous ones still valid; the same keys for an interrupted rotation.

    Raises:
        StackError: there is no such stack, it isn't up, or the last rotation isn't finished.
    """
    stack.outputs()
    requested, done = _requested(stack), _completed(stack)
    if requested.rotation != done.rotation and requested.is_open:
        return {PASSWORD_ROTATION: requested.rotation}
    if done.is_open:
        raise StackError(
            f"the rotation {done.rotation} isn't finished: the passwords before it are still valid",
            fix=f"make rotate STACK={stack.name} FINISH=1",
        )
    return {PASSWORD_ROTATION: datetime.now(timezone.utc).strftime(_STAMP)}


def finish(stack: Stack, *, force: bool, dry: bool = False) -> dict[str, str]:
    """The keys to set to revoke the previous passwords; the same keys for an interrupted step.

    force: although clients may still use them. dry: without the trial, which disables them for some seconds.

    Raises:
        StackError: no rotation is in progress or it isn't complete, or a client still uses a previous password.
    """
    outputs = stack.outputs()
    requested, done = _requested(stack), _completed(stack)
    if requested.rotation != done.rotation:
        raise StackError(
            f"the rotation {requested.rotation} isn't complete: the servers don't have its passwords yet",
            fix=f"make rotate STACK={stack.name}",
        )
    if not done.is_open:
        raise StackError("no rotation is in progress", fix=f"make rotate STACK={stack.name}")
    if requested.is_open and not force:  # else it was checked when this step began
        admins = partial(admin_clients.as_admin, outputs, stack.name)
        endpoint = Endpoint.from_dict(outputs[ENDPOINT])
        before = _logged_in_before(admins, endpoint.users, done.loaded)
        _reject_users(stack, before, "connections that logged in before the rotation")
        if not dry and endpoint.target in SELF_HOSTED:
            rejected = _try_without(admins, outputs)
            _reject_users(stack, rejected, "logins that were rejected during a trial without the previous passwords")
    return {COMPLETED_ROTATION: requested.rotation}


def _reject_users(stack: Stack, users: Counter[str], who: str) -> None:
    if users:
        listed = ", ".join(f"{name} ({number})" for name, number in sorted(users.items()))
        raise StackError(
            f"{who}, perhaps with a previous password: {listed}",
            fix="restart these clients with the output of `make env`, or "
            f"make rotate STACK={stack.name} FINISH=1 FORCE=1",
        )


def _requested(stack: Stack) -> RotationState:
    configuration = stack.configuration()
    return RotationState(configuration.get(PASSWORD_ROTATION, ""), configuration.get(COMPLETED_ROTATION, ""))


def _completed(stack: Stack) -> RotationState:
    """The rotation that the servers have. The state of an older stack has less of it, and without passwords nothing."""
    from infra.providers.credentials import completed_rotation  # loads Pulumi

    requested = _requested(stack)
    with contextlib.suppress(StackError):
        state = stack.resource("Rotation")
        return RotationState(state["rotation"], completed_rotation(state), datetime.fromisoformat(state["loaded"]))
    with contextlib.suppress(StackError):
        return RotationState(stack.resource("Password")["rotation"], requested.completed, _time_of(requested.rotation))
    return requested


def _time_of(rotation: str) -> datetime | None:
    with contextlib.suppress(ValueError):  # a name that the operator chose
        return datetime.strptime(rotation, _STAMP).replace(tzinfo=timezone.utc)
    return None


def _logged_in_before(admins: Admins, users: Collection[str], loaded: datetime | None) -> Counter[str]:
    """Connections older than the new passwords, counted by user and address; none where that time is unknown."""
    if loaded is None:
        return Counter()
    seconds = (datetime.now(timezone.utc) - loaded).total_seconds()
    with translate_errors():
        return Counter(
            f"{client['user']} from {client['addr'].rpartition(':')[0]}"
            for _, admin in admins()
            for client in admin.client_list()
            if client["user"] in users and int(client["age"]) + 1 > seconds  # the age is rounded down
        )


def _try_without(admins: Admins, outputs: Mapping[str, Any]) -> Counter[str]:
    """Disable the previous passwords for some seconds, and count the rejected logins by user and address.

    Nothing else shows clients that connect for each request: no server reports which of a user's passwords a login had.
    """
    logins = {login.username or "": login.password or "" for login in (parse(outputs[url]) for url in URLS.values())}
    valid = {user: hashlib.sha256(password.encode()).hexdigest() for user, password in logins.items()}
    with translate_errors():
        before = dict(_rejections(admins, valid))
        with password_trial.restored(outputs):
            for _, admin in admins():
                _disable_previous(admin, valid)
            return _count_rejections(admins, valid, before)


def _disable_previous(admin: redis.Redis, valid: Mapping[str, str]) -> None:
    for user, password in valid.items():
        rules: Any = admin.acl_getuser(user)
        for previous in {text.lstrip("#") for text in rules["passwords"]} - {password}:
            admin.execute_command("ACL", "SETUSER", user, f"!{previous}")


def _count_rejections(admins: Admins, valid: Mapping[str, str], before: Mapping[LoginRejection, int]) -> Counter[str]:
    end = time.monotonic() + TRIAL_SECONDS
    total: Counter[str] = Counter()
    while not total and time.monotonic() < end:
        time.sleep(0.5)
        for (node, entry, who), count in _rejections(admins, valid):
            total[who] += count - before.get((node, entry, who), 0)
        total = +total
    return total


def _rejections(admins: Admins, users: Collection[str]) -> Iterator[tuple[LoginRejection, int]]:
    """Rejected logins of the last minutes, as the servers' logs count them."""
    for node, admin in admins():
        entries: Any = admin.acl_log(_LOG_ENTRIES)
        for entry in entries:
            if entry["reason"] == "auth" and entry["username"] in users:
                who = f"{entry['username']} from {entry['client-info']['addr'].rpartition(':')[0]}"
                yield (str(node), entry["entry-id"], who), entry["count"]
