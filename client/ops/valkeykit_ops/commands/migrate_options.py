"""Arguments and options that the sub-commands of `valkeykit migrate` share, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from valkeykit.errors import ConfigurationError

from valkeykit_ops.migrate.endpoints import TlsFiles
from valkeykit_ops.migrate.options import Scope

STATE_FOLDER = Path("valkeykit-migration")

_URL = "URL, or @FILE with the URL in its first line; default: the variable {}"


@dataclass(frozen=True)
class ServerArguments:
    """Both servers. The TLS options precede the arguments that a sub-command adds."""

    source: Annotated[str | None, typer.Argument(help=_URL.format("SOURCE_URL") + ".", show_default=False)] = None
    target: Annotated[str | None, typer.Argument(help=_URL.format("TARGET_URL") + ".", show_default=False)] = None
    source_ca: Annotated[Path | None, typer.Option(help="Path of the source's CA certificate.")] = None
    source_cert: Annotated[Path | None, typer.Option(help="Path of the client certificate for the source.")] = None
    source_key: Annotated[Path | None, typer.Option(help="Path of that certificate's private key.")] = None
    target_ca: Annotated[Path | None, typer.Option(help="Path of the target's CA certificate.")] = None
    target_cert: Annotated[Path | None, typer.Option(help="Path of the client certificate for the target.")] = None
    target_key: Annotated[Path | None, typer.Option(help="Path of that certificate's private key.")] = None

    @property
    def source_tls(self) -> TlsFiles:
        return TlsFiles(self.source_ca, self.source_cert, self.source_key)

    @property
    def target_tls(self) -> TlsFiles:
        return TlsFiles(self.target_ca, self.target_cert, self.target_key)


@dataclass(frozen=True)
class MigrationArguments(ServerArguments):
    """Both servers and the state folder."""

    state: Annotated[Path, typer.Option(help="Folder for the state of the migration.")] = STATE_FOLDER


@dataclass(frozen=True)
class ForwardArguments(MigrationArguments):
    """The arguments of a forward migration, whose source may be a file."""

    source: Annotated[
        str | None,
        typer.Argument(help=_URL.format("SOURCE_URL") + ". Or an RDB or append-only file.", show_default=False),
    ] = None
    scratch_server: Annotated[str | None, typer.Option(help="Server program that loads files.")] = None


@dataclass(frozen=True)
class Selection:
    """The options that select keys."""

    match: Annotated[str | None, typer.Option(help="Migrate only keys that match this pattern.")] = None
    rename: Annotated[str | None, typer.Option(help="Migrate only keys with a prefix, and replace it: OLD=NEW.")] = None
    types: Annotated[list[str] | None, typer.Option("--type", help="Migrate only this type; can be repeated.")] = None
    databases: Annotated[
        list[int] | None, typer.Option("--database", min=0, help="Migrate only this database; can be repeated.")
    ] = None

    @property
    def scope(self) -> Scope:
        """The scope that the options describe.

        Raises:
            ConfigurationError: An option is invalid.
        """
        return Scope(self.match, self._prefixes, frozenset(self.types or ()), frozenset(self.databases or ()))

    @property
    def _prefixes(self) -> tuple[str, str] | None:
        if self.rename is None:
            return None
        old, equals, new = self.rename.partition("=")
        if not equals or not old or "=" in new:
            raise ConfigurationError(f"--rename is {self.rename!r}, expected OLD=NEW", fix="--rename shop:=store:")
        return old, new


@dataclass(frozen=True)
class Consents:
    """The options that permit a loss."""

    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Continue and skip keys that cannot be migrated.")
    ] = False
    allow_eviction: Annotated[
        bool, typer.Option("--allow-eviction", help="Start although the target evicts keys when it is full.")
    ] = False
    trust_source: Annotated[
        bool,
        typer.Option(
            "--trust-source", help="Delete what the source lost in a restart, a flush or with most of its keys."
        ),
    ] = False
    accept_target_writes: Annotated[
        bool,
        typer.Option("--accept-target-writes", help="Overwrite and delete what other clients write to the target."),
    ] = False


@dataclass(frozen=True)
class Limits:
    """The options that limit the load and the time."""

    rate: Annotated[int | None, typer.Option(help="Maximum keys per second.")] = None
    max_latency: Annotated[
        float | None, typer.Option(help="Slow down if a PING to the source takes longer than this many milliseconds.")
    ] = None
    batch: Annotated[int, typer.Option(help="Keys per round trip.")] = 1000
    reconnect_timeout: Annotated[
        float, typer.Option(help="Seconds that a server may be unreachable before the command fails.")
    ] = 60.0


@dataclass(frozen=True)
class CutOverOptions:
    """The options of a cut-over."""

    quiet: Annotated[float, typer.Option(help="Seconds without a write after which writes count as stopped.")] = 5.0
    pause_writes: Annotated[
        float | None, typer.Option(help="Pause writes for this many seconds, instead of waiting.")
    ] = None


Conflict = Annotated[str, typer.Option(help="If the target has keys in scope: fail, skip or replace.")]
AcceptLoss = Annotated[bool, typer.Option("--accept-loss", help="Continue and skip keys that cannot be migrated.")]
AllowEviction = Annotated[
    bool, typer.Option("--allow-eviction", help="Start although the target evicts keys when it is full.")
]
Sample = Annotated[bool, typer.Option("--sample", help="Compare 2,000 keys per node and database; exit 6 if equal.")]
Notifications = Annotated[
    bool, typer.Option("--notifications", help="Enable keyspace notifications at the source during the run.")
]
Follow = Annotated[float | None, typer.Option(min=0, help="Keep the target in sync for this many seconds.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")]
