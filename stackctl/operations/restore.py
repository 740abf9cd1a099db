"""Restore of a backup into a new stack. The stack that it was taken of does not change."""

from __future__ import annotations

import contextlib
from pathlib import Path

from valkeykit.endpoint import Endpoint

from infra.drivers import rdb
from infra.outputs import ENDPOINT
from stackctl.errors import StackError
from stackctl.messages import show, show_dry_run
from stackctl.operations import backup
from stackctl.operations.up import deploy
from stackctl.stack import Stack

NOT_COPIED = (
    "port",
    "dataDir",
    "passwordRotation",
    "completedRotation",
    "docker.subnet",
    "docker.project",
    "aws.existing",
    "aws.dnsName",
    "aws.hostedZone",
    "gcp.existing",
    "gcp.replicationRole",
    "gcp.primaryInstance",
    "gcp.secondaryInstances",
)
"""Keys that two stacks can't share."""


def restore(stack: str, into: str, source: str, *, dry: bool) -> int:
    """Restore a backup of a stack into a new one, both given by name; return the exit code of the smoke tests.

    Raises:
        StackError: as `prepare`, or Pulumi failed.
    """
    if not into:
        raise StackError("INTO is required", fix=f"make restore STACK={stack} INTO=<new stack>")
    restored = Stack.open(into)
    dump = prepare(Stack.open(stack), restored, source, dry=dry)
    show(f"{into}: with the configuration of {stack}, from {dump}")
    if dry:
        show_dry_run()
        return 0
    return deploy(restored, dry=False)


def prepare(stack: Stack, into: Stack, source: str, *, dry: bool) -> str:
    """Create a stack with another's configuration that starts from a backup: the newest, or `source`.

    Returns the backup. It can be run again after it was killed. dry: check only.

    Raises:
        StackError: there is no such stack or backup, no server of the stack's version can read it, or `into` is up.
    """
    endpoint = Endpoint.from_dict(stack.outputs()[ENDPOINT])
    if into.name != stack.name and into.has_resources() and (begun := _begun(into)) and source in ("", begun):
        return begun
    if into.name == stack.name or into.is_up():
        raise StackError(f"the stack {into.name} is up: its data would be lost", fix="name a new stack: INTO=<name>")
    dump = _local(stack, source, endpoint) if endpoint.target in backup.TARGETS else _remote(stack, source)
    if not dry:
        into.copy_configuration(stack, leaving_out=NOT_COPIED, changes={"restoreFrom": dump})
    return dump


def _begun(into: Stack) -> str:
    """The backup of a restore that was interrupted, which `up` resumes; "" for a stack that is complete."""
    with contextlib.suppress(StackError):
        into.outputs()
        return ""
    return str(into.configuration().get("restoreFrom", ""))


def _local(stack: Stack, source: str, endpoint: Endpoint) -> str:
    dump = Path(source).resolve() if source else _dump_of(backup.newest(stack))
    if not dump.exists():
        raise StackError(f"there is no {dump}", fix=f"ls {stack.root}/.valkey/{stack.name}/backups")
    files = rdb.files(dump) if endpoint.topology == "cluster" else [dump]
    if not files:
        raise StackError(f"{dump} has no RDB file", fix="FROM=<file or folder of a backup>")
    for file in files:
        if problem := rdb.header_error(file, endpoint.version):
            raise StackError(problem.args[0], fix="FROM=<file or folder of another backup>")
    return str(dump)


def _remote(stack: Stack, source: str) -> str:
    if not source:
        raise StackError(
            "FROM is required: the name of a backup in the cloud",
            fix=f"make backup STACK={stack.name} prints the name of a new one, then FROM=<its name>",
        )
    return source


def _dump_of(folder: Path) -> Path:
    """The file of a folder with only one; a cluster's folder has one for each primary."""
    files = list(folder.glob("*.rdb"))
    return files[0] if len(files) == 1 else folder
