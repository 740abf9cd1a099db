"""The sub-commands of `valkeykit migrate` that write: run, cut-over and reverse."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from valkeykit_ops.commands import migrate_options as given
from valkeykit_ops.commands.migrate_options import STATE_FOLDER
from valkeykit_ops.commands.migrate_session import (
    MigrationArguments,
    Session,
    check_follows_changes,
    checking_usage,
    finish,
    scope,
    session,
)
from valkeykit_ops.migrate import reverse
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.state import MigrationState

Quiet = Annotated[float, typer.Option(help="Seconds without a write after which writes count as stopped.")]
PauseWrites = Annotated[float | None, typer.Option(help="Pause writes for this many seconds, instead of waiting.")]


def run(  # noqa: PLR0917  (typer makes them options)
    source: given.Source = None,
    target: given.Target = None,
    match: given.Match = None,
    rename: given.Rename = None,
    types: given.Types = None,
    databases: given.Databases = None,
    conflict: given.Conflict = "fail",
    follow: given.Follow = None,
    accept_loss: given.AcceptLoss = False,
    allow_eviction: given.AllowEviction = False,
    trust_source: given.TrustSource = False,
    accept_target_writes: given.AcceptTargetWrites = False,
    sample: given.Sample = False,
    notifications: given.Notifications = False,
    rate: given.Rate = None,
    max_latency: given.MaxLatency = None,
    batch: given.Batch = 1000,
    state: given.State = STATE_FOLDER,
    reconnect_timeout: given.ReconnectTimeout = 60.0,
    source_ca: given.SourceCa = None,
    target_ca: given.TargetCa = None,
    scratch_server: given.ScratchServer = None,
    as_json: given.AsJson = False,
) -> None:
    """Copy all keys while both servers are in use, and verify them. Run the same command again to resume."""
    arguments = MigrationArguments(source, target, state, source_ca, target_ca, scratch_server)
    with checking_usage():
        options = Options(
            scope=scope(match, rename, types, databases),
            conflict=conflict,
            rate=rate,
            max_latency=max_latency,
            batch=batch,
            accept_loss=accept_loss,
            allow_eviction=allow_eviction,
            trust_source=trust_source,
            accept_target_writes=accept_target_writes,
            notifications=notifications,
            verify="sample" if sample else "full",
            reconnect_timeout=reconnect_timeout,
        )
        if follow:
            check_follows_changes(options)
    with session(arguments, as_json=as_json) as both, both.migration(options) as migration:
        report = migration.run(follow=follow)
    finish(report, as_json=as_json)


def cut_over(  # noqa: PLR0917  (typer makes them options)
    source: given.Source = None,
    target: given.Target = None,
    quiet: Quiet = 5.0,
    pause_writes: PauseWrites = None,
    match: given.Match = None,
    rename: given.Rename = None,
    types: given.Types = None,
    databases: given.Databases = None,
    conflict: given.Conflict = "fail",
    accept_loss: given.AcceptLoss = False,
    allow_eviction: given.AllowEviction = False,
    trust_source: given.TrustSource = False,
    accept_target_writes: given.AcceptTargetWrites = False,
    notifications: given.Notifications = False,
    rate: given.Rate = None,
    max_latency: given.MaxLatency = None,
    batch: given.Batch = 1000,
    state: given.State = STATE_FOLDER,
    reconnect_timeout: given.ReconnectTimeout = 60.0,
    source_ca: given.SourceCa = None,
    target_ca: given.TargetCa = None,
    scratch_server: given.ScratchServer = None,
    as_json: given.AsJson = False,
) -> None:
    """Copy, wait until writes stop, then copy the last changes and verify. Run the same command again to resume."""
    arguments = MigrationArguments(source, target, state, source_ca, target_ca, scratch_server)
    with checking_usage():
        options = Options(
            scope=scope(match, rename, types, databases),
            conflict=conflict,
            rate=rate,
            max_latency=max_latency,
            batch=batch,
            accept_loss=accept_loss,
            allow_eviction=allow_eviction,
            trust_source=trust_source,
            accept_target_writes=accept_target_writes,
            notifications=notifications,
            reconnect_timeout=reconnect_timeout,
        )
        check_follows_changes(options)
        how = CutOver(quiet, pause_writes)
    with session(arguments, as_json=as_json) as both, both.migration(options) as migration:
        report = migration.run(how)
    finish(report, as_json=as_json)


def reverse_migration(  # noqa: PLR0917  (typer makes them options)
    source: given.SourceServer = None,
    target: given.Target = None,
    follow: given.Follow = None,
    end: Annotated[
        bool, typer.Option("--cut-over", help="Switch back: wait until writes at the new server stop, then verify.")
    ] = False,
    quiet: Quiet = 5.0,
    pause_writes: PauseWrites = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before keys of the previous server change.")] = False,
    accept_loss: given.AcceptLoss = False,
    allow_eviction: given.AllowEviction = False,
    trust_source: given.TrustSource = False,
    accept_target_writes: given.AcceptTargetWrites = False,
    notifications: given.Notifications = False,
    rate: given.Rate = None,
    max_latency: given.MaxLatency = None,
    batch: given.Batch = 1000,
    state: given.State = STATE_FOLDER,
    reconnect_timeout: given.ReconnectTimeout = 60.0,
    source_ca: given.SourceCa = None,
    target_ca: given.TargetCa = None,
    as_json: given.AsJson = False,
) -> None:
    """Copy from the new server back to the previous one, after a cut-over.

    The arguments are those of the forward migration: SOURCE is the previous server, TARGET the new one.
    """
    arguments = MigrationArguments(source, target, state, source_ca, target_ca)
    with checking_usage():
        given_options = Options(
            rate=rate,
            max_latency=max_latency,
            batch=batch,
            accept_loss=accept_loss,
            allow_eviction=allow_eviction,
            trust_source=trust_source,
            accept_target_writes=accept_target_writes,
            notifications=notifications,
            reconnect_timeout=reconnect_timeout,
        )
        how = CutOver(quiet, pause_writes) if end else None
    with (
        session(arguments, as_json=as_json) as both,
        contextlib.closing(MigrationState(state / reverse.FOLDER)) as kept,
    ):
        _confirm(both, kept, yes=yes)
        options = reverse.reverse_options(both.state, given_options)
        with both.migration(options, kept, reverse=True) as migration:
            report = migration.run(how, follow=follow)
    finish(report, as_json=as_json)


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
