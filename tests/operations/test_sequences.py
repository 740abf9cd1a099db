"""Every pair and triple of commands in sequence, undisturbed, on an embedded stack of one server.

One sequence has every triple of commands: a de Bruijn sequence. ROUNDS=100 or more runs all of it, fewer a part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from harness.docker import NEW
from infra.hardening import Topology
from tests.operations import leftovers
from tests.operations.conftest import Harness
from tests.operations.rounds import SEED
from tests.operations.stack import Command, CommandRun, Deployment, Name, Target
from tests.operations.totals import ROUNDS, totals

NAMES: tuple[Name, ...] = ("up", "rotate", "finish", "scale", "upgrade", "backup", "restore", "failover", "down")
ALL = 100
"""ROUNDS from which on every triple runs."""

_TRIPLES_A_ROUND = 5


@dataclass
class Model:
    """What the commands so far make of the stack. has_restarted: `down` and `up` came after a rotation began."""

    deployment: Deployment
    exists: bool = False
    is_up: bool = False
    has_restarted: bool = False
    done: list[str] = field(default_factory=list)

    @property
    def has_backup(self) -> bool:
        folder = self.deployment.root / ".valkey" / self.deployment.name / "backups"
        return any(folder.glob("*Z"))

    def note(self, name: Name) -> None:
        """A command that succeeded."""
        if name == "down":
            self.is_up = False
            self.has_restarted = self.deployment.is_rotating()
        elif name in {"up", "scale", "upgrade"}:
            self.exists = self.is_up = True
        elif name in {"rotate", "finish"}:
            self.has_restarted = False


REJECTED_WHEN: Mapping[Name, Callable[[Model], bool]] = {
    "up": lambda _: False,
    "rotate": lambda model: not model.is_up or model.deployment.is_rotating(),
    "finish": lambda model: not model.is_up or not model.deployment.is_rotating(),
    "scale": lambda model: not model.exists,
    "upgrade": lambda model: not model.exists,
    "backup": lambda model: not model.is_up,
    "restore": lambda model: not model.is_up or not model.has_backup,
    "failover": lambda _: True,
    "down": lambda model: not model.exists,
}
"""Which commands are to be rejected, with exit code 1, one error and its fix; nothing is changed."""

OPEN: Mapping[Name, Callable[[Model], bool]] = {
    "scale": lambda model: not model.is_up,
    "upgrade": lambda model: not model.is_up,
    "rotate": lambda model: model.has_restarted,
    "finish": lambda model: model.has_restarted,
}
"""When either is right: the docs don't say whether a stack that is down can be changed."""


def command_sequence() -> list[Name]:
    """Commands of which every three in a row are another triple."""
    every = [NAMES[number] for number in _de_bruijn(len(NAMES), 3)]
    if ROUNDS >= ALL:
        return every + every[:2]
    start = random.Random(SEED).randrange(len(every))
    return (every + every)[start : start + ROUNDS * _TRIPLES_A_ROUND + 2]


def test_commands_in_any_order(harness_of: Callable[[Target, Topology], Harness]) -> None:
    harness = harness_of("embedded", "single")
    failures: list[str] = []
    model: Model | None = None
    for name in ("up", *command_sequence()):
        if model is None:
            model = Model(harness.get(NEW)[0])
            if name != "up":
                failures += _step(model, "up")
        problems = _step(model, name)
        totals.sequences += 1
        if problems:
            totals.failed_sequences += 1
            failures += problems
            harness.discard()
            model = None
        totals.record()
    failures += harness.end() if model and model.exists else []
    if failures:
        again = f"again: SEED={SEED} make test ONLY=operations/test_sequences.py ROUNDS={ROUNDS}"
        pytest.fail("\n\n".join([again, *failures]), pytrace=False)


def test_the_walk_has_every_triple() -> None:
    every = _de_bruijn(len(NAMES), 3)
    triples = set(zip(every, every[1:] + every[:1], every[2:] + every[:2], strict=True))
    assert len(triples) == len(every) == len(NAMES) ** 3


def _step(model: Model, name: Name) -> list[str]:
    """Run one command; returns a report of what is wrong with it."""
    deployment = model.deployment
    rejected, either = REJECTED_WHEN[name](model), name in OPEN and OPEN[name](model)
    before = _contents(deployment)
    run = deployment.run(deployment.command(name))
    problems = []
    if run.has_succeeded and rejected and not either:
        problems.append("it succeeded, and should be rejected")
    if not run.has_succeeded and not rejected and not either:
        problems.append("it failed, and should succeed")
    if not run.has_succeeded:
        problems += [] if run.is_clear_refusal else ["it reported no clear error"]
    if not run.has_succeeded and name != "up":  # it continues what it can
        after = _contents(deployment)
        problems += [f"it failed, and has changed {part}" for part in before if after[part] != before[part]]
    model.done.append(name)
    runs = [run]
    if run.has_succeeded:
        model.note(name)
        if name == "restore":
            runs += _end_restored(deployment, problems)
        if name == "down":
            problems += [f"it has left: {line}" for line in leftovers.find(deployment)]
    sequence = ", ".join(model.done[-4:])
    return ["\n".join([sequence, *(f"- {problem}" for problem in problems), *map(str, runs)])] if problems else []


def _end_restored(deployment: Deployment, problems: list[str]) -> list[CommandRun]:
    down = deployment.run(Command("down", ("down",), deployment.restored))
    if not down.has_succeeded:
        problems.append("the restored stack could not be taken down")
    problems += [f"down has left: {line}" for line in leftovers.find(deployment, deployment.restored)]
    return [down]


def _contents(deployment: Deployment) -> dict[str, str]:
    """The configuration and the state, as text."""
    files = {"the configuration": deployment.configuration_file(), "the state": deployment.state_file()}
    return {name: file.read_text() if file.exists() else "" for name, file in files.items()}


def _de_bruijn(letters: int, length: int) -> list[int]:
    """The shortest cyclic sequence that has every word of a length once (Fredricksen, Kessler and Maiorana)."""

    def words(position: int, period: int) -> Iterator[int]:
        if position > length:
            if length % period == 0:
                yield from word[1 : period + 1]
            return
        word[position] = word[position - period]
        yield from words(position + 1, period)
        for letter in range(word[position - period] + 1, letters):
            word[position] = letter
            yield from words(position + 1, position)

    word = [0] * (length + 1)
    return list(words(1, 1))
