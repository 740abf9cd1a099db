"""The commands, one file each."""

from __future__ import annotations

import typer

from valkeykit.commands.bench import bench
from valkeykit.commands.doctor import doctor
from valkeykit.commands.migrate import migrate
from valkeykit.commands.queue import queue
from valkeykit.commands.stats import metrics, stats
from valkeykit.commands.worker import worker

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Valkey for applications."
)
app.command()(worker)
app.command()(queue)
app.command()(migrate)
app.command()(doctor)
app.command()(stats)
app.command()(metrics)
app.command()(bench)
