"""valkeykit migrate: migrate data from Redis or Valkey to Valkey."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from valkeykit_ops.commands import migrate_options as given
from valkeykit_ops.commands import migrate_runs
from valkeykit_ops.commands.migrate_session import EXIT_INCOMPLETE, EXIT_NO_GO, checking_usage, finish, opened, session
from valkeykit_ops.commands.migrate_views import show_plan, show_survey
from valkeykit_ops.commands.option_groups import with_option_groups
from valkeykit_ops.migrate import endpoints, reverse
from valkeykit_ops.migrate import survey as surveys
from valkeykit_ops.migrate.failures import translating_errors
from valkeykit_ops.migrate.options import Options


class _SubCommands(TyperGroup):
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The word of an unknown command isn't printed: it may be a URL with a password."""
        command = super().get_command(ctx, cmd_name)
        if command is None:
            raise typer.BadParameter(f"expected a sub-command: {', '.join(self.list_commands(ctx))}")
        return command


migrate = typer.Typer(
    name="migrate",
    cls=_SubCommands,
    help="Migrate data to Valkey: live copy, verified key by key.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@migrate.command(epilog="Example: valkeykit migrate plan @source.url @target.url --match 'shop:*'")
@with_option_groups
def plan(
    *,
    arguments: given.ForwardArguments,
    selection: given.Selection,
    conflict: given.Conflict = "fail",
    accept_loss: given.AcceptLoss = False,
    allow_eviction: given.AllowEviction = False,
    as_json: given.AsJson = False,
) -> None:
    """Check both servers and print the plan; write to neither. Exit 3 if the migration cannot start."""
    with checking_usage():
        options = Options(
            scope=selection.scope, conflict=conflict, accept_loss=accept_loss, allow_eviction=allow_eviction
        )
    with session(arguments, as_json=as_json) as both, both.migration(options) as migration:
        result = migration.plan()
    show_plan(result, as_json=as_json)
    raise typer.Exit(0 if result.is_go else EXIT_NO_GO)


migrate.command(epilog="Example: valkeykit migrate run @source.url @target.url --rate 20000 --follow 3600")(
    migrate_runs.run
)


@migrate.command(epilog="Example: valkeykit migrate verify @source.url @target.url")
@with_option_groups
def verify(
    *,
    arguments: given.ForwardArguments,
    selection: given.Selection,
    limits: given.Limits,
    sample: given.Sample = False,
    accept_loss: given.AcceptLoss = False,
    as_json: given.AsJson = False,
) -> None:
    """Compare both servers; write to neither. Without a filter, compare what the state folder's migration copies."""
    with checking_usage():
        options = Options(
            scope=selection.scope,
            verify="sample" if sample else "full",
            accept_loss=accept_loss,
            **asdict(limits),
        )
    with session(arguments, as_json=as_json) as both:
        if options.scope.is_everything and both.state.get("identity"):
            options = replace(options, scope=reverse.forward_scope(both.state))
        with both.migration(options) as migration:
            report = migration.verify()
    finish(report, as_json=as_json)


migrate.command(epilog="Example: valkeykit migrate cut-over @source.url @target.url --pause-writes 30")(
    migrate_runs.cut_over
)

migrate.command("reverse", epilog="Example: valkeykit migrate reverse @source.url @target.url --follow 86400")(
    migrate_runs.reverse_migration
)


@migrate.command(epilog="Example: valkeykit migrate survey @source.url @target.url --idle 60")
@with_option_groups
def survey(
    *,
    arguments: given.ServerArguments,
    idle: Annotated[
        float | None, typer.Option(min=0.1, help="Observe for this many seconds; exit 0 only if the server is idle.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the clients of the source and the commands they use."""
    with translating_errors(), contextlib.ExitStack() as stack:
        url = endpoints.resolve_url(arguments.source, endpoints.SOURCE_URL)
        server = stack.enter_context(opened(url, arguments.source_tls, role="source"))
        other = None
        if arguments.target:
            url = endpoints.resolve_url(arguments.target, endpoints.TARGET_URL)
            other = stack.enter_context(opened(url, arguments.target_tls, role="target"))
        result = surveys.take(server, other, seconds=idle or 0.0)
    show_survey(result, as_json=as_json)
    if idle is not None and not result.is_idle:
        raise typer.Exit(EXIT_INCOMPLETE)
