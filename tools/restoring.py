"""A backup as a stack of its own, beside the one that it was taken of: nothing that runs is touched."""

from __future__ import annotations

import contextlib
from pathlib import Path

from valkeykit.endpoint import Endpoint

from infra.drivers import rdb
from tools import backup
from tools.errors import ToolError
from tools.stack import Stack

_ITS_OWN = (
    "port",
    "dataDir",
    "passwordRotation",
    "completedRotation",
    "docker.subnet",
    "docker.project",
    "aws.existing",
)
"""Keys of the first stack that a second one beside it can't have too."""


def prepare(stack: Stack, into: Stack, source: str, *, dry: bool) -> str:
    """Make a stack that is configured as another is, and starts with a backup: the newest, or `source`.

    Returns the backup. dry: only look. Killed half-way, it can be run again.

    Raises:
        ToolError: there is no such stack or backup, no server of the stack's version can read it, or `into` is up.
    """
    endpoint = Endpoint.from_dict(stack.outputs()["endpoint"])
    if into.name != stack.name and into.is_begun() and (begun := _begun(into)) and source in ("", begun):
        return begun
    if into.name == stack.name or into.is_up():
        raise ToolError(
            f"the stack {into.name} is up: what it holds would be lost", fix="name one that isn't: INTO=<name>"
        )
    found = _local(stack, source, endpoint) if endpoint.target in backup.TARGETS else _remote(stack, source)
    if not dry:
        into.copy_configuration(stack, leaving_out=_ITS_OWN, changes={"restoreFrom": found})
    return found


def _begun(into: Stack) -> str:
    """The backup of a restore that was interrupted, which `up` resumes; "" for a stack that is complete."""
    with contextlib.suppress(ToolError):
        into.outputs()
        return ""
    return str(into.configuration().get("restoreFrom", ""))


def _local(stack: Stack, source: str, endpoint: Endpoint) -> str:
    dump = Path(source).resolve() if source else _whole(backup.newest(stack))
    if not dump.exists():
        raise ToolError(f"there is no {dump}", fix=f"ls {stack.root}/.valkey/{stack.name}/backups")
    files = rdb.files(dump) if endpoint.topology == "cluster" else [dump]
    if not files:
        raise ToolError(f"{dump} holds no RDB file", fix="name a backup: FROM=<file or folder>")
    for file in files:
        if problem := rdb.unreadable(file, endpoint.version):
            raise ToolError(problem.args[0], fix="name another backup: FROM=<file or folder>")
    return str(dump)


def _remote(stack: Stack, source: str) -> str:
    if not source:
        raise ToolError(
            "which of the cloud's backups?",
            fix=f"make backup STACK={stack.name} names a new one, then FROM=<its name>",
        )
    return source


def _whole(folder: Path) -> Path:
    """A folder of one file is that file; a cluster's has one for each primary."""
    files = list(folder.glob("*.rdb"))
    return files[0] if len(files) == 1 else folder
