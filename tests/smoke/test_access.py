"""Users and permissions."""

from __future__ import annotations

import itertools
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


@pytest.mark.needs("login")
def test_no_credentials(subject: Subject) -> None:
    """Nobody gets in without a password."""
    for node in subject.nodes:
        assert not _gets_in(subject.as_user(node, None, None)), f"{node} is open to whoever reaches it"


@pytest.mark.needs("login")
def test_wrong_password(subject: Subject) -> None:
    """A wrong password is refused."""
    for node in subject.nodes:
        assert not _gets_in(subject.as_user(node, subject.address.username, "wrong")), f"{node}: any password will do"


@pytest.mark.needs("admin")
def test_default_user(subject: Subject) -> None:
    """The default user is off."""
    for node in subject.nodes:
        with subject.at(node, "admin") as admin:
            assert "off" in admin.acl_getuser("default")["flags"], f"{node}: it is on"


@pytest.mark.needs("endpoint", "roles")
def test_users(subject: Subject) -> None:
    """Each URL is its own user's."""
    for node, name in itertools.product(subject.nodes, ("app", "admin", "monitor")):
        with subject.at(node, name) as client:
            assert client.acl_whoami() == subject.username(name)


@pytest.mark.needs("rights")
def test_dangerous(subject: Subject) -> None:
    """The application can't stop, empty or reconfigure the server."""
    for node in subject.nodes:
        with subject.at(node) as app:
            allowed = [" ".join(command) for command in DANGEROUS if not _is_refused(app, command)]
        assert not allowed, f"{node} allows {', '.join(allowed)}"


@pytest.mark.needs("admin", "monitor")
def test_monitor(subject: Subject) -> None:
    """The monitor reads figures, but no values, not even by the replicas' password, and writes nothing."""
    commands = (
        ("get", "key"), ("set", "key", "1"), ("del", "key"), ("flushall",), ("client", "kill", "id", "1"),
        ("config", "get", "primaryauth"),
    )  # fmt: skip
    name = subject.username("monitor")
    for node in subject.nodes:
        with subject.at(node, "monitor") as monitor, subject.at(node, "admin") as admin:
            assert monitor.info("memory")["used_memory"] > 0
            allowed = [" ".join(c) for c in commands if admin.execute_command("ACL DRYRUN", name, *c) == "OK"]
        assert not allowed, f"{node} allows {', '.join(allowed)}"


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
