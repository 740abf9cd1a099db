"""Two commands at the same time: each succeeds, or reports why it doesn't and has changed nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.docker import NEW, OLD
from infra.hardening import Topology
from tests.operations.conftest import Harness
from tests.operations.operator import Operator
from tests.operations.rounds import SEED, TARGETS, TOPOLOGIES
from tests.operations.stack import Command, CommandRun, Deployment, Name, Target
from tests.operations.totals import ROUNDS, totals

PAIRS: tuple[tuple[Name, Name], ...] = (
    ("rotate", "rotate"),
    ("scale", "scale"),
    ("up", "rotate"),
    ("upgrade", "backup"),
)

_KEYS: dict[Name, str] = {"scale": "memory", "rotate": "passwordRotation", "upgrade": "version"}
"""The key of the configuration that a command sets."""

_APART_SECONDS = 5.0


@dataclass(frozen=True)
class CommandPair:
    """seconds: how long after the first command the second one starts."""

    seed: int
    target: Target
    topology: Topology
    names: tuple[Name, Name]
    seconds: float

    @classmethod
    def of(cls, seed: int, target: Target) -> CommandPair:
        choose = random.Random(f"pair {seed} {target}")
        possible = [pair for pair in PAIRS if target == "docker" or "upgrade" not in pair]
        return cls(
            seed, target, choose.choice(TOPOLOGIES), choose.choice(possible), choose.choice((0, choose.random()))
        )

    def __str__(self) -> str:
        first, second = self.names
        return f"{self.target} {first} and {second}"


@pytest.mark.parametrize("target", TARGETS)
def test_of_two_at_the_same_time_one_wins(harness_of: Callable[[Target, Topology], Harness], target: Target) -> None:
    failures = []
    for pair in (CommandPair.of(seed, target) for seed in range(SEED, SEED + ROUNDS)):
        harness = harness_of(target, pair.topology)
        problems, runs = _play(harness, pair)
        problems += harness.end()
        totals.pairs[str(pair)] += 1
        if problems:
            totals.failed_pairs[str(pair)] += 1
            again = f"SEED={pair.seed} make test ONLY=operations/test_pairs.py ROUNDS=1"
            listed = [f"{pair}, {pair.topology}", f"again: {again}", *(f"- {problem}" for problem in problems)]
            failures.append("\n".join([*listed, *map(str, runs)]))
        totals.record()
    if failures:
        pytest.fail("\n\n".join(failures), pytrace=False)


def _play(harness: Harness, pair: CommandPair) -> tuple[list[str], list[CommandRun]]:
    deployment, applications = harness.get(OLD if "upgrade" in pair.names else NEW)
    operator = Operator(deployment, applications)
    operator.bring_up()
    if operator.problems:
        return operator.problems, operator.runs
    before = deployment.configuration()
    runs = _run_both(deployment, pair)
    operator.runs += runs
    operator.problems += _judge(deployment, before, runs)
    after = deployment.configuration()
    if operator.must_succeed(deployment.command("up")):
        if deployment.configuration() != after:
            operator.problems.append("make up has changed the configuration")
        if deployment.maxmemory() != deployment.configuration()["memory"]:
            operator.problems.append("the servers do not have the memory of the configuration")
        operator.check_clients(applications if pair.topology != "replicated" else applications[:1])
        if operator.publish() and deployment.is_rotating():  # of the winner
            operator.must_succeed(deployment.command("finish"))
            operator.check_clients(applications)
        operator.check_writes()
    operator.check_requests()
    totals.stuck += operator.is_stuck
    return operator.problems, operator.runs


def _run_both(deployment: Deployment, pair: CommandPair) -> list[CommandRun]:
    first, second = pair.names
    commands: list[Command] = [deployment.command(first), deployment.commands(second)[-1]]
    running = [deployment.start(commands[0])]
    time.sleep(pair.seconds * _APART_SECONDS)
    running.append(deployment.start(commands[1]))
    return [one.wait() for one in running]


def _judge(deployment: Deployment, before: dict[str, object], runs: list[CommandRun]) -> list[str]:
    """What is wrong with the exit codes, and with the configuration, which only the winners may have changed."""
    unclear = [run.command for run in runs if not run.has_succeeded and not run.is_clear_refusal]
    problems = [f"{command} failed without a clear error" for command in unclear]
    winners = [run.command for run in runs if run.has_succeeded]
    if not winners:
        problems.append("both failed")
    after = deployment.configuration()
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    unexplained = sorted(changed - {_KEYS.get(command.name, "") for command in winners})
    problems += [f"a command that failed has changed {key} to {after.get(key)!r}" for key in unexplained]
    sizes = {command.arguments[-1] for command in winners if command.name == "scale"}
    if "memory" in changed and after["memory"] not in sizes:
        problems.append(f"memory is {after['memory']}, which is none that succeeded: {', '.join(sorted(sizes))}")
    return problems
