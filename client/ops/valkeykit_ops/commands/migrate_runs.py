"""The sub-commands of `valkeykit migrate` that write: run, cut-over and reverse."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from valkeykit.errors import ConfigurationError

from valkeykit_ops.commands import migrate_options as given
from valkeykit_ops.commands.migrate_session import (
    Session,
    check_follows_changes,
    checking_usage,
    finish,
    session,
)
from valkeykit_ops.commands.option_groups import with_option_groups
from valkeykit_ops.migrate import reverse
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.state import MigrationState


@with_option_groups
def run(
    *,
    arguments: given.ForwardArguments,
    selection: given.Selection,
    consents: given.Consents,
    limits: given.Limits,
    conflict: given.Conflict = "fail",
    follow: given.Follow = None,
    sample: given.Sample = False,
    notifications: given.Notifications = False,
    as_json: given.AsJson = False,
) -> None:
    """Copy all keys while both servers are in use, and verify them. Run the same command again to resume."""
    with checking_usage():
        options = Options(
            scope=selection.scope,
            conflict=conflict,
            verify="sample" if sample else "full",
            **_shared(consents, limits, notifications=notifications),
        )
        if follow:
            check_follows_changes(options)
    with session(arguments, as_json=as_json) as both, both.migration(options) as migration:
        report = migration.run(follow=follow)
    finish(report, as_json=as_json)


@with_option_groups
def cut_over(
    *,
    arguments: given.ForwardArguments,
    how: given.CutOverOptions,
    selection: given.Selection,
    consents: given.Consents,
    limits: given.Limits,
    conflict: given.Conflict = "fail",
    notifications: given.Notifications = False,
    as_json: given.AsJson = False,
) -> None:
    """Copy, wait until writes stop, then copy the last changes and verify. Run the same command again to resume."""
    with checking_usage():
        options = Options(
            scope=selection.scope, conflict=conflict, **_shared(consents, limits, notifications=notifications)
        )
        check_follows_changes(options)
        step = CutOver(how.quiet, how.pause_writes)
    with session(arguments, as_json=as_json) as both, both.migration(options) as migration:
        report = migration.run(step)
    finish(report, as_json=as_json)


@with_option_groups
def reverse_migration(
    *,
    arguments: given.MigrationArguments,
    how: given.CutOverOptions,
    consents: given.Consents,
    limits: given.Limits,
    follow: given.Follow = None,
    end: Annotated[
        bool, typer.Option("--cut-over", help="Switch back: wait until writes at the new server stop, then verify.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before keys of the previous server change.")] = False,
    notifications: given.Notifications = False,
    as_json: given.AsJson = False,
) -> None:
    """Copy from the new server back to the previous one, after a cut-over.

    The arguments are those of the forward migration: SOURCE is the previous server, TARGET the new one.
    """
    with checking_usage():
        chosen = Options(**_shared(consents, limits, notifications=notifications))
        if how.pause_writes is not None and not end:
            raise ConfigurationError("--pause-writes belongs to a cut-over", fix="add --cut-over")
        step = CutOver(how.quiet, how.pause_writes) if end else None
    with (
        session(arguments, as_json=as_json) as both,
        contextlib.closing(MigrationState(arguments.state / reverse.FOLDER)) as kept,
    ):
        _confirm(both, kept, yes=yes)
        options = reverse.reverse_options(both.state, chosen)
        with both.migration(options, kept, reverse=True) as migration:
            report = migration.run(step, follow=follow)
    finish(report, as_json=as_json)


def _shared(consents: given.Consents, limits: given.Limits, *, notifications: bool) -> dict[str, Any]:
    """The options that all three have."""
    return {**asdict(consents), **asdict(limits), "notifications": notifications}


def _confirm(both: Session, kept: MigrationState, *, yes: bool) -> None:
    """Ask once; an interrupted reverse migration resumes without the question."""
    summary = reverse.summarize(both.state, both.source, both.target)
    if reverse.is_confirmed(kept):
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UnsafeOperationError(summary.question, fix="pass --yes to agree")
        typer.echo(summary.question, err=True)
        if not typer.confirm("Continue?", err=True):
            raise UnsafeOperationError("nothing was changed")
    reverse.confirm(kept, summary)
