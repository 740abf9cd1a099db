"""Pulumi's view of the drivers: thin dynamic providers.

This module's path and its class names are part of every stack's state: renaming one breaks
`refresh` and `destroy` of what is deployed. Providers are pickled by reference, so the code
that runs is always today's.
"""

from __future__ import annotations

import secrets
import string
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from valkeykit.errors import ValkeykitError

if TYPE_CHECKING:
    from infra.local.server import Spec, State

Props = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")

_ALPHABET = string.ascii_letters + string.digits
PASSWORD_LENGTH = 43
"""Letters and digits, 43 of them: 256 bits, and no character that any URL, shell or service minds."""


def one_line(method: Callable[P, T]) -> Callable[P, T]:
    """Pulumi prints what a provider raises with its traceback; an operator's mistake deserves one line."""

    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except ValkeykitError:
            sys.tracebacklimit = 0
            raise

    return wrapped


class PasswordProvider(ResourceProvider):
    """A random password; with another rotation a new one, and the one before is kept beside it."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        return CreateResult(uuid.uuid4().hex, {"rotation": props["rotation"], "value": _password(), "previous": ""})

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        return DiffResult(changes=olds.get("rotation", "") != news["rotation"])

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult({"rotation": news["rotation"], "value": _password(), "previous": olds["value"]})


def _password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))


class Password(Resource, module="valkey", name="Password"):
    """value: what is handed out. previous: the one before the last rotation, or nothing."""

    value: pulumi.Output[str]
    previous: pulumi.Output[str | None]

    def __init__(self, name: str, rotation: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value", "previous"])
        props = {"rotation": rotation, "value": None, "previous": None}
        super().__init__(PasswordProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


class ServerProvider(ResourceProvider):
    """A server process on this machine. The driver is imported late: most operations find nothing to do."""

    serialize_as_secret_always = False

    def check(self, olds: Props, news: Props) -> CheckResult:
        return CheckResult(news, [CheckFailure(key, reason) for key, reason in _refusals(olds, news)])

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        changed = any(olds.get(key) != news.get(key) for key in (*_INPUTS, "__provider"))
        return DiffResult(changes=changed or bool(olds.get("drift")), replaces=[])

    @one_line
    def create(self, props: Props) -> CreateResult:
        resource = uuid.uuid4().hex
        return CreateResult(resource, _ensure(resource, props, port=int(props["port"])))

    @one_line
    def update(self, resource: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(_ensure(resource, news, port=int(news["port"] or olds["listens"])))

    @one_line
    def read(self, resource: str, props: Props) -> ReadResult:
        from infra.local import server

        state = server.inspect(_spec(resource, props, int(props["listens"])))
        return ReadResult(resource, {**props, "drift": _drift(props, state)})

    @one_line
    def delete(self, resource: str, props: Props) -> None:
        from infra.local import server

        spec = _spec(resource, props, int(props["listens"]))
        server.remove(spec, keep_snapshot=bool(props["finalSnapshot"]))


class Server(Resource, module="valkey", name="Server"):
    """A running valkey-server.

    folder: relative to the project, or absolute.
    port: 0 for the first free one; `listens` says which it is.
    directives: of valkey.conf. acl: an ACL file. password: the user admin's.
    restoreFrom: an RDB file that a new server starts with, or "".
    """

    listens: pulumi.Output[int]
    runs: pulumi.Output[str]

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"listens": None, "runs": None, "reported": None, "reportedAcl": None, "drift": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["acl", "password"])
        super().__init__(ServerProvider(), name, {**props, **outputs}, pulumi.ResourceOptions.merge(opts, secret))


_INPUTS = ("folder", "stack", "version", "port", "directives", "acl", "password", "finalSnapshot")


def _ensure(resource: str, props: Props, port: int) -> Props:
    from infra.local import server

    state = server.ensure(_spec(resource, props, port))
    return {
        **props,
        "listens": state.port,
        "runs": state.version,
        "reported": dict(state.directives),
        "reportedAcl": state.acl,
        "drift": [],
    }


def _spec(resource: str, props: Props, port: int) -> Spec:
    from infra.local import folder, server
    from infra.project import root

    return server.Spec(
        folder=folder.Folder(root() / props["folder"]),
        claim=folder.Claim(stack=props["stack"], resource=resource, version=props["version"]),
        port=port,
        directives=props["directives"],
        acl=props["acl"],
        password=props["password"],
        restore_from=Path(props["restoreFrom"]) if props["restoreFrom"] else None,
    )


def _drift(props: Props, state: State | None) -> list[str]:
    """What differs from what was reported after the last update."""
    if state is None:
        return ["it doesn't run"]
    found = [name for name, value in sorted(props["reported"].items()) if state.directives.get(name) != value]
    if state.acl != props["reportedAcl"]:
        found.append("users")
    if state.port != int(props["listens"]):
        found.append("port")
    return found


def _refusals(olds: Props, news: Props) -> list[tuple[str, str]]:
    """Changes that would leave data behind without a word."""
    refusals = []
    if olds and olds["folder"] != news["folder"]:
        reason = f"the data lies in {olds['folder']} and would stay there -> pulumi config set dataDir {olds['folder']}"
        refusals.append(("dataDir", reason))
    if olds and news["restoreFrom"] not in ("", olds["restoreFrom"]):
        reason = "only a new stack can start from a file, this one has data -> pulumi config rm restoreFrom"
        refusals.append(("restoreFrom", reason))
    return refusals
