"""Walks through the configuration of a stack: one change after another, each made or refused, each a row for docs/."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cloud.changes import Effect, Row, effect, table, touched
from tests.cloud.space import Configuration
from tests.cloud.stack import CloudStack

WRITE = "WRITE_DOCS"
"""The environment variable that has a table written instead of compared."""

Walk = tuple[Configuration, tuple[tuple[str, str], ...]]
"""A configuration, and the changes from there: a key and its new value each."""


@dataclass(frozen=True)
class Walker:
    """refusals: what is said of a change that isn't made, and what it would have been.
    holding, deferred: as `tests.cloud.changes.effect` wants them.
    """

    refusals: Mapping[str, Effect]
    holding: Collection[str]
    deferred: Mapping[str, Collection[str]] = field(default_factory=dict)

    def walk(self, stack: CloudStack, minimal: Configuration, walk: Walk) -> Iterator[Row]:
        """Refused changes are taken back."""
        base, changes = walk
        configuration = minimal | base
        stack.configure(configuration)
        first = stack.up()
        assert first.succeeded, first.said
        for key, value in changes:
            wanted = configuration | {key: value}
            stack.configure(wanted)
            done = stack.up()
            refused = next((does for sign, does in self.refusals.items() if sign in done.said), None)
            assert done.succeeded == (refused is None), f"{key}: {done.said}"
            if refused:
                yield Row(key, refused, guarded=True, touched=())
            else:
                configuration = wanted
                does = effect(done.steps, self.holding, self.deferred)
                assert does != "a replacement", f"{key} replaces without a guard"
                yield Row(key, does, guarded=False, touched=touched(done.steps))
        stack.configure(configuration)


def compare(file: Path, head: str, rows: Mapping[str, Row], order: Iterable[str]) -> None:
    """The file is head and table, or it is written so where WRITE is set."""
    text = head + table(rows[key] for key in order)
    if os.environ.get(WRITE):
        file.write_text(text)
    assert file.read_text() == text, f"{WRITE}=1 writes it anew"
