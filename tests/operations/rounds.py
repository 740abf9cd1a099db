"""One round: a command that is killed, what the operator runs next, and `make up`; nothing may need a hand."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.hardening import Topology
from infra.local import drill
from tests.docker.bed import SHAPES
from tests.operations import clients, killing, leftovers
from tests.operations.clients import Client
from tests.operations.killing import Kill
from tests.operations.stack import Command, Deployment, Name, Run, Target
from tests.operations.totals import ROUNDS, totals

SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
"""Of the first round; each has the next one. `SEED=n ROUNDS=1` repeats a round."""

TOPOLOGIES: tuple[Topology, ...] = tuple(SHAPES)  # type: ignore[arg-type]
MEASURED = 5
"""ROUNDS from which on a command runs once undisturbed, so that its time is known; else that of `up` counts."""

_COMMANDS: Sequence[Name] = ("rotate", "finish", "scale", "upgrade", "backup", "restore", "failover", "up", "down")
_OTHERS: Sequence[Name] = ("backup", "scale", "failover", "rotate", "down")


@dataclass(frozen=True)
class Case:
    """What a seed stands for."""

    seed: int
    target: Target
    topology: Topology
    command: Name
    kill: Kill
    follow_up: Name

    @classmethod
    def of(cls, seed: int, target: Target) -> Case:
        choose = random.Random(f"{seed} {target}")
        topology = choose.choice(TOPOLOGIES)
        missing = {"failover"} if topology == "single" else set()
        missing |= {"upgrade"} if target == "embedded" else set()  # it has one version
        command = choose.choice([name for name in _COMMANDS if name not in missing])
        moment = choose.choice(killing.moments(command, target))
        kill = Kill(choose.choice(killing.SIGNALS), moment, choose.random())
        others = [
            name for name in _OTHERS if name not in {*missing, command} and not (command, name) == ("finish", "rotate")
        ]
        other: Name = choose.choice(others) if command != "down" else "up"
        return cls(seed, target, topology, command, kill, choose.choice([command, "up", other]))

    @property
    def has_down(self) -> bool:
        return "down" in {self.command, self.follow_up}

    def __str__(self) -> str:
        follow_up = "the same again" if self.follow_up == self.command else self.follow_up
        return f"{self.target} {self.topology}: {self.command}, {self.kill}, then {follow_up}"

    @property
    def repeat(self) -> str:
        return f"SEED={self.seed} make test ONLY=operations/test_killed.py ROUNDS=1"


def cases(target: Target, topology: Topology) -> list[Case]:
    """This run's rounds. Upgrades come first, since a stack begins with the old version."""
    every = [Case.of(seed, target) for seed in range(SEED, SEED + ROUNDS)]
    return sorted((case for case in every if case.topology == topology), key=lambda case: case.command != "upgrade")


@dataclass
class Round:
    deployment: Deployment
    applications: list[Client]
    case: Case
    runs: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_stuck: bool = False
    was_killed: bool = False
    _saved: dict[str, int] = field(default_factory=dict)
    _finals_before: set[Path] = field(default_factory=set)

    def bring_up(self) -> None:
        """For a stack that isn't up yet."""
        if not self.deployment.published:
            self._must_succeed(self.deployment.command("up"))
            self._publish()

    def play(self) -> None:
        """Everything of the round; what is wrong is in `problems` afterwards."""
        case = self.case
        self.bring_up()
        if (
            not self.problems
            and case.command not in self.deployment.durations
            and (ROUNDS >= MEASURED or case.command == "up")
        ):
            self._prepare()
            self._must_succeed(self.deployment.command(case.command))
        if self.problems:
            return
        self._prepare()
        if self.problems:
            return
        if not all(client.continues() for client in self.applications):
            self.problems.append("an application can't write before the round")
            return
        if case.has_down:
            self._pause()
        command = self.deployment.command(case.command)
        self._kill(command)
        if case.follow_up == case.command:
            self._must_succeed(command, may_be_done=True)
        else:
            self._must_succeed(self.deployment.command(case.follow_up))
        self._must_succeed(self.deployment.command("up"))
        if case.command == "restore":
            self._check_restored()
            self._end_restored()
        if not self.is_stuck:
            self._check()

    def _prepare(self) -> None:
        """Bring the stack into a state in which the command makes sense."""
        name = self.case.command
        if name == "finish" and not self.deployment.is_rotating():
            self._must_succeed(self.deployment.command("rotate"))
            self._publish()
        if name == "rotate" and self.deployment.is_rotating():
            self._must_succeed(self.deployment.command("finish"))
        if name == "restore":
            self._end_restored()
            self._saved = {key: number for client in self.applications for key, number in client.acknowledged.items()}
            self._must_succeed(self.deployment.command("backup"))

    def _kill(self, command: Command) -> None:
        known = self.deployment.durations
        running = self.deployment.start(command)
        self.was_killed = killing.carry_out(
            self.deployment, running, self.case.kill, known.get(command.name, known["up"])
        )
        run = running.wait()
        self.runs.append(run)
        if run.code is None:
            self._stuck(f"{command} did not end")
        elif not self.was_killed and run.code:
            self._stuck(f"{command} failed though nothing was sent to it")
        elif not self.was_killed:
            known[command.name] = run.seconds

    def _must_succeed(self, command: Command, *, may_be_done: bool = False) -> None:
        """may_be_done: it may be rejected where the one that was killed has done all of it."""
        if self.is_stuck:
            return
        run = self.deployment.run(command)
        self.runs.append(run)
        if run.has_succeeded or (may_be_done and run.is_clear_refusal and self._is_done(command)):
            return
        self._stuck(f"{command} failed")

    def _stuck(self, problem: str) -> None:
        self.problems.append(problem)
        self.is_stuck = True

    def _is_done(self, command: Command) -> bool:
        """Whether the stack has what the command is for, as its servers have it."""
        if command.name not in {"rotate", "finish", "restore"}:
            return False
        before = dict(self.deployment.published)
        of = self.deployment.restored if command.name == "restore" else ""
        run, variables = self.deployment.publish(of)
        if command.name == "restore":
            return run.has_succeeded
        self.deployment.published = before
        rotated = variables.get("VALKEY_URL") != before["VALKEY_URL"]
        return run.has_succeeded and (rotated if command.name == "rotate" else not self.deployment.is_rotating())

    def _pause(self) -> None:
        """Before `down`: no request may fail because there is no stack."""
        for client in self.applications:
            client.use(None)
        self._finals_before = self._finals()

    def _check(self) -> None:
        if self.case.has_down:
            self._check_kept()
        else:
            self._check_clients(self.applications if self.case.topology != "replicated" else self.applications[:1])
        self._publish()
        self._check_clients(self.applications)
        self._check_writes()

    def _check_clients(self, applications: Sequence[Client]) -> None:
        self.problems += [
            f"{client.kind} can't write after make up" for client in applications if not client.continues()
        ]

    def _check_writes(self) -> None:
        for client in self.applications:
            lost = client.lost(self.deployment.published)
            totals.lost += len(lost)
            totals.stale += len(client.stale)
            totals.locked_out += len(client.locked_out)
            self._report(f"acknowledged writes of {client.kind} are lost", lost)
            self._report("reads returned None or an older value", client.stale)
            self._report("the published password was rejected", client.locked_out)
            client.stale, client.locked_out = [], []

    def _report(self, what: str, lines: Sequence[str]) -> None:
        if lines:
            self.problems.append(f"{len(lines)} {what}, for example {lines[0]}")

    def _publish(self) -> None:
        if self.is_stuck:
            return
        run, variables = self.deployment.publish()
        if not run.has_succeeded:
            self.runs.append(run)
            self._stuck("make env failed")
            return
        for client in self.applications:
            client.use(variables)

    def _check_kept(self) -> None:
        """The data is in the servers, where they were never taken down, or in a final snapshot."""
        keys = sum(len(client.acknowledged) for client in self.applications)
        loaded = [drill.load(dump).keys for dump in self._finals() - self._finals_before]
        kept = sum(loaded) if self.case.topology == "cluster" else max(loaded, default=0)
        if kept < keys and not self._still_has_all():
            self.problems.append(f"down has kept {kept} keys of {keys}")
            totals.lost += keys - kept
        for client in self.applications:
            client.forget()

    def _still_has_all(self) -> bool:
        run, variables = self.deployment.publish()
        return run.has_succeeded and not any(client.lost(variables) for client in self.applications)

    def _check_restored(self) -> None:
        """What the backup has is in the restored stack, if the last command was to complete it."""
        if self.is_stuck or self.case.follow_up != "restore":
            return
        run, variables = self.deployment.publish(self.deployment.restored)
        self.runs.append(run)
        found = clients.read(self.case.topology, variables, list(self._saved)) if run.has_succeeded else {}
        lost = [key for key, number in self._saved.items() if found.get(key, -1) < number]
        self._report("keys of the backup are not in the restored stack", lost)
        totals.lost += len(lost)

    def _end_restored(self) -> None:
        deployment, restored = self.deployment, self.deployment.restored
        if deployment.state_file(restored).exists():
            self._must_succeed(Command("down", ("down",), restored))
            left = leftovers.find(deployment, restored)
            totals.left_behind += len(left)
            self.problems += [f"down has left: {line}" for line in left]

    def _finals(self) -> set[Path]:
        """The RDB files that `down` has left."""
        folder = self.deployment.root / ".valkey" / self.deployment.name
        return {
            file for entry in folder.glob("final-*") for file in ([entry] if entry.is_file() else entry.rglob("*.rdb"))
        }
