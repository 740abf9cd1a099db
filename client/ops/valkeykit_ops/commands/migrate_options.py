"""Arguments and options that the sub-commands of `valkeykit migrate` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

STATE_FOLDER = Path("valkeykit-migration")

_URL = "URL, or @FILE with the URL in its first line; default: the variable {}"

Source = Annotated[
    str | None, typer.Argument(help=_URL.format("SOURCE_URL") + ". Or an RDB or append-only file.", show_default=False)
]
SourceServer = Annotated[str | None, typer.Argument(help=_URL.format("SOURCE_URL") + ".", show_default=False)]
Target = Annotated[str | None, typer.Argument(help=_URL.format("TARGET_URL") + ".", show_default=False)]
SourceCa = Annotated[Path | None, typer.Option(help="Path of the source's CA certificate.")]
TargetCa = Annotated[Path | None, typer.Option(help="Path of the target's CA certificate.")]

Match = Annotated[str | None, typer.Option(help="Migrate only keys that match this pattern.")]
Rename = Annotated[str | None, typer.Option(help="Migrate only keys with a prefix, and replace it: OLD=NEW.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Migrate only this type; can be repeated.")]
Databases = Annotated[
    list[int] | None, typer.Option("--database", min=0, help="Migrate only this database; can be repeated.")
]

Conflict = Annotated[str, typer.Option(help="If the target has keys in scope: fail, skip or replace.")]
TrustSource = Annotated[
    bool,
    typer.Option("--trust-source", help="Delete what the source lost in a restart, a flush or with most of its keys."),
]
AcceptTargetWrites = Annotated[
    bool,
    typer.Option("--accept-target-writes", help="Overwrite and delete what other clients write to the target."),
]
AcceptLoss = Annotated[bool, typer.Option("--accept-loss", help="Continue and skip keys that cannot be migrated.")]
AllowEviction = Annotated[
    bool, typer.Option("--allow-eviction", help="Start although the target evicts keys when it is full.")
]
Sample = Annotated[bool, typer.Option("--sample", help="Compare 2,000 keys per node and database; exit 6 if equal.")]
Notifications = Annotated[
    bool, typer.Option("--notifications", help="Enable keyspace notifications at the source during the run.")
]
Follow = Annotated[float | None, typer.Option(min=0, help="Keep the target in sync for this many seconds.")]

Rate = Annotated[int | None, typer.Option(help="Maximum keys per second.")]
MaxLatency = Annotated[
    float | None, typer.Option(help="Slow down if a PING to the source takes longer than this many milliseconds.")
]
Batch = Annotated[int, typer.Option(help="Keys per round trip.")]

State = Annotated[Path, typer.Option(help="Folder for the state of the migration.")]
ReconnectTimeout = Annotated[
    float, typer.Option(help="Seconds that a server may be unreachable before the command fails.")
]
ScratchServer = Annotated[str | None, typer.Option(help="Server program that loads files.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")]
