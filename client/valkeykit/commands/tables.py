"""Tables for the terminal. Names, ids and errors come from applications, so they are escaped."""

from __future__ import annotations

from datetime import datetime, timezone

from rich.table import Table
from rich.text import Text


def table(title: str, *columns: str) -> Table:
    """Create an empty table."""
    made = Table(title=plain(title), title_justify="left")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def add_row(to: Table, *cells: object) -> None:
    """Add a row of data."""
    to.add_row(*map(plain, cells))


def plain(value: object) -> Text:
    """Text without markup. Line breaks and control characters become spaces or escapes."""
    return Text(clean(" ".join(str(value).split())))


def clean(text: str) -> str:
    """Escape control characters and characters that a terminal cannot show; tabs and line breaks are kept."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1] for character in text
    )


def moment(seconds: float | None) -> str:
    """Format a time of the server's clock, in UTC."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S}"
