"""Sequences of configuration changes, whose predicted effects are compared with those of the engine."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.cloud.changes import REPLACEMENTS, Effect, EffectRow, Step, effect, table, touched
from harness.cloud.config_strategies import Configuration
from harness.cloud.stack import CloudStack
from infra.settings import loading
from tests.cloud.recording import Inputs, Recorded

WRITE = "WRITE_DOCS"
"""The environment variable that has a table written instead of compared."""

Batch = tuple[tuple[str, str], ...]
"""Keys and their new values that one update changes."""

Scenario = tuple[Configuration, tuple[Batch, ...]]
"""A configuration, and the changes from there, one batch after another; what is refused is a batch of its own."""

Plan = Callable[[Configuration, Configuration], list[Step] | Effect]
"""From one configuration to another: the steps, or what it would have been if it weren't refused."""

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
class ScenarioRunner:
    """scenarios: refused changes are taken back. same_as: keys that go only with others, by the key that does the same.
    refusals: what the operator is told of a change that isn't made, by what it would have been.
    holding, deferred: as `harness.cloud.changes.effect` wants them.
    """

    minimal: Configuration
    scenarios: Mapping[str, Scenario]
    same_as: Mapping[str, str]
    plan: Plan
    refusals: Mapping[Effect, str]
    holding: Collection[str]
    deferred: Mapping[str, Collection[str]] = field(default_factory=dict)

    def predictions(self) -> dict[str, EffectRow]:
        """Of every key by itself, in its scenario."""
        rows = {key: self.row(key, self.plan(before, after)) for key, before, after in self.changes()}
        return rows | {key: replace(rows[same], key=key) for key, same in self.same_as.items()}

    def changes(self) -> Iterator[tuple[str, Configuration, Configuration]]:
        """Every key by itself, and the configurations before and after its change."""
        for base, batches in self.scenarios.values():
            configuration = base
            for key, value in itertools.chain(*batches):
                after = configuration | {key: value}
                yield _documented(key), configuration, after
                if isinstance(self.plan(configuration, after), list):  # it isn't refused
                    configuration = after

    def assert_engine_agrees(self, stack: CloudStack, name: str, theirs: Mapping[str, str] | None = None) -> None:
        """The engine takes the steps of each batch that were predicted, or refuses it as was predicted.

        theirs: what the fake provider's account has instead of some of the values.
        """
        configuration, batches = self.scenarios[name]
        stack.configure(self.minimal | configuration)
        first = stack.up()
        assert first.succeeded, first.said
        for batch in batches:
            wanted = configuration | {key: (theirs or {}).get(value, value) for key, value in batch}
            stack.configure(self.minimal | wanted)
            planned = self.plan(configuration, wanted)
            if isinstance(planned, list):
                done = stack.up()
                assert done.succeeded, f"{batch}: {done.said}"
                assert _summary(done.steps) == _summary(planned)
                configuration = wanted
            else:
                assert len(batch) == 1, "which of them is refused can't be seen"
                refused = stack.preview()
                assert not refused.succeeded, f"{batch} isn't refused"
                assert self.refusals[planned] in refused.said

    def row(self, key: str, planned: list[Step] | Effect) -> EffectRow:
        """The table's row of a key."""
        if not isinstance(planned, list):
            return EffectRow(key, planned, guarded=True, touched=())
        does = effect(planned, self.holding, self.deferred)
        assert does != "a replacement", f"{key} replaces without a guard"
        return EffectRow(key, does, guarded=False, touched=touched(planned))


def _documented(key: str) -> str:
    """The entries of a map are changes of one key."""
    keys = {known for known, _ in loading.describe_keys()}
    return key if key in keys else key.rpartition(".")[0]


def _summary(steps: Iterable[Step]) -> set[tuple[str, str, str]]:
    """What is done to which resource; a replacement is several steps to the engine."""
    return {("replace" if step.operation in REPLACEMENTS else step.operation, step.kind, step.name) for step in steps}


def assert_documented(
    file: Path, head: str, rows: Mapping[str, EffectRow], target: str, without: Collection[str]
) -> None:
    """The file is the head and a line for each key that the target has, or is written so where WRITE is set."""
    order = [key for key, _ in loading.describe_keys() if key.partition(".")[0] in (key, target) and key not in without]
    assert set(rows) == set(order)
    text = head + table(rows[key] for key in order)
    if os.environ.get(WRITE):
        file.write_text(text)
    assert file.read_text() == text, f"{WRITE}=1 writes it again"
