"""Who gets in, and what may they do?"""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.smoke.subject import Subject

DANGEROUS = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("CONFIG", "SET", "maxmemory", "0"),
    ("REPLICAOF", "NO", "ONE"),
    ("DEBUG", "SLEEP", "0"),
    ("ACL", "SETUSER", "x"),
    ("KEYS", "*"),
    ("MONITOR",),
    ("MODULE", "LIST"),
)
"""SHUTDOWN isn't here: every server refuses it inside MULTI, so a probe would prove nothing."""


def test_no_credentials(subject: Subject) -> None:
    """Nobody gets in without a password."""
    assert not _gets_in(subject.as_user(None, None)), "the server is open to whoever reaches it"


def test_wrong_password(subject: Subject) -> None:
    """A wrong password is refused."""
    assert not _gets_in(subject.as_user(subject.address.username, "wrong")), "any password will do"


@pytest.mark.needs("admin")
def test_default_user(subject: Subject) -> None:
    """The default user is off."""
    with subject.as_admin() as admin:
        assert "off" in admin.acl_getuser("default")["flags"]


@pytest.mark.needs("endpoint")
def test_users(subject: Subject) -> None:
    """Each URL is its own user's."""
    clients = {"app": subject.as_app(), "admin": subject.as_admin(), "monitor": subject.as_monitor()}
    for name, client in clients.items():
        with client:
            assert client.acl_whoami() == name


def test_dangerous(subject: Subject) -> None:
    """The application can't stop, empty or reconfigure the server."""
    with subject.as_app() as app:
        allowed = [" ".join(command) for command in DANGEROUS if not _is_refused(app, command)]
    assert not allowed, f"allowed: {', '.join(allowed)}"


@pytest.mark.needs("admin", "monitor")
def test_monitor(subject: Subject, monitor: redis.Redis) -> None:
    """The monitor reads figures, but no values, and writes nothing."""
    assert monitor.info("memory")["used_memory"] > 0
    commands = (("get", "key"), ("set", "key", "1"), ("del", "key"), ("flushall",), ("client", "kill", "id", "1"))
    with subject.as_admin() as admin:
        allowed = [" ".join(c) for c in commands if admin.execute_command("ACL DRYRUN", "monitor", *c) == "OK"]
    assert not allowed, f"allowed: {', '.join(allowed)}"


def _gets_in(client: redis.Redis) -> bool:
    with client:
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return False


def _is_refused(client: redis.Redis, command: tuple[str, ...]) -> bool:
    """Queue the command in a transaction and drop it: permission is checked at once, nothing runs."""
    connection: Any = client.connection_pool.get_connection()  # redis-py leaves its methods without types
    try:
        _send(connection, "MULTI")
        _send(connection, *command)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as problem:  # a service may not know the command, or lock it for everybody
        return any(sign in str(problem) for sign in ("unknown command", "command not allowed"))
    else:
        return False
    finally:
        connection.disconnect()


def _send(connection: Any, *command: str) -> None:
    connection.send_command(*command)
    connection.read_response()
