"""Walks through the configuration of a stack: what each change does, predicted from what the program asks for before
and after it, and held against the real engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.settings import loading
from tests.cloud.changes import Effect, Row, Step, effect, table, touched
from tests.cloud.recording import Inputs, Recorded
from tests.cloud.space import Configuration
from tests.cloud.stack import CloudStack

WRITE = "WRITE_DOCS"
"""The environment variable that has a table written instead of compared."""

Walk = tuple[Configuration, tuple[tuple[str, str], ...]]
"""A configuration, and the changes from there: a key and its new value each."""

Replaces = Callable[[str, Inputs, Inputs, set[str]], set[str]]
"""Of a type, former and new inputs, and the names that differ: those that can't be changed in place."""


def steps_between(former: Iterable[Recorded], after: Iterable[Recorded], replaces: Replaces) -> Iterator[Step]:
    """What the engine would do to get from one program's resources to another's."""
    old = {(resource.kind, resource.name): resource.inputs for resource in former}
    new = {(resource.kind, resource.name): resource.inputs for resource in after}
    for kind, name in old.keys() | new.keys():
        inputs, wanted = old.get((kind, name)), new.get((kind, name))
        if inputs is None or wanted is None:
            yield Step("create" if inputs is None else "delete", kind, name, frozenset())
            continue
        changed = {field for field in {*inputs, *wanted} if inputs.get(field) != wanted.get(field)}
        if changed:
            forced = replaces(kind, inputs, wanted, changed)
            yield Step("replace" if forced else "update", kind, name, frozenset(changed))


@dataclass(frozen=True)
class Walker:
    """walks: refused changes are taken back. same_as: keys that go only with others, by the key that does the same.
    refusals: what is said of a change that isn't made, and what it would have been.
    holding, deferred: as `tests.cloud.changes.effect` wants them.
    """

    minimal: Configuration
    walks: Mapping[str, Walk]
    same_as: Mapping[str, str]
    refusals: Mapping[str, Effect]
    holding: Collection[str]
    deferred: Mapping[str, Collection[str]] = field(default_factory=dict)

    def made(self, key: str, steps: Collection[Step]) -> Row:
        """The row of a change that isn't refused."""
        does = effect(list(steps), self.holding, self.deferred)
        assert does != "a replacement", f"{key} replaces without a guard"
        return Row(key, does, guarded=False, touched=touched(steps))

    def predictions(self, predict: Callable[[Configuration, str, str], Row]) -> dict[str, Row]:
        """Of every key, in its walk. predict: of a configuration, a key and its new value."""
        rows = {}
        for base, changes in self.walks.values():
            configuration = base
            for key, value in changes:
                rows[key] = predict(configuration, key, value)
                if not rows[key].guarded:
                    configuration = configuration | {key: value}
        return rows | {key: replace(rows[same], key=key) for key, same in self.same_as.items()}

    def walk(self, stack: CloudStack, name: str) -> Iterator[Row]:
        """With the real engine."""
        base, changes = self.walks[name]
        configuration = self.minimal | base
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
                yield self.made(key, done.steps)

    def assert_as_predicted(self, stack: CloudStack, name: str, predicted: Mapping[str, Row]) -> None:
        """The engine makes or refuses each change of a walk as it was predicted."""
        told = {row.key: (row.effect, row.guarded) for row in self.walk(stack, name)}
        assert list(told) == [key for key, _ in self.walks[name][1]]
        assert told == {key: (predicted[key].effect, predicted[key].guarded) for key in told}


def assert_documented(file: Path, head: str, rows: Mapping[str, Row], target: str, without: Collection[str]) -> None:
    """The file is the head and a line for each key that the target has, or is written so where WRITE is set."""
    order = [key for key, _ in loading.described() if key.partition(".")[0] in (key, target) and key not in without]
    assert set(rows) == set(order)
    text = head + table(rows[key] for key in order)
    if os.environ.get(WRITE):
        file.write_text(text)
    assert file.read_text() == text, f"{WRITE}=1 writes it anew"
