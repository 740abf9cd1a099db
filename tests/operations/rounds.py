"""One round: a command that is killed, what the operator runs next, and `make up`; nothing may need a manual fix."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.drivers import drill
from infra.hardening import Topology
from tests.operations import clients, killing, leftovers
from tests.operations.killing import Kill
from tests.operations.operator import Operator
from tests.operations.stack import Command, Name, Target
from tests.operations.totals import ROUNDS, totals

SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
"""Of the first round; each has the next one. `SEED=n ROUNDS=1` repeats a round."""

TOPOLOGIES: tuple[Topology, ...] = ("single", "replicated", "cluster")
TARGETS: tuple[Target, ...] = ("embedded", "docker")
MEASURED = 5
"""ROUNDS from which on a command runs once undisturbed, so that its time is known; else that of `up` counts."""

_COMMANDS: Sequence[Name] = ("rotate", "finish", "scale", "upgrade", "backup", "restore", "failover", "up", "down")
_ONCE: Sequence[Name] = ("upgrade", "down")
"""Commands after which a stack isn't as it was: they aren't run only to know their time."""
_OTHERS: Sequence[Name] = ("backup", "scale", "failover", "rotate", "down")


@dataclass(frozen=True)
class Case:
    """The scenario of a seed."""

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
        kill = Kill(choose.choice(killing.WAYS), moment, choose.random())
        missing |= {command} | ({"rotate"} if command == "finish" else set())
        others = [name for name in _OTHERS if name not in missing]
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
class Round(Operator):
    case: Case = field(kw_only=True)
    was_killed: bool = False
    _saved: dict[str, int] = field(default_factory=dict)
    _finals_before: set[Path] = field(default_factory=set)

    def play(self) -> None:
        """Everything of the round; what is wrong is in `problems` afterwards."""
        case = self.case
        if not self._is_prepared():
            return
        if case.has_down:
            self._pause()
        command = self.deployment.command(case.command)
        self._kill(command)
        again = case.follow_up == case.command
        self.must_succeed(command if again else self.deployment.command(case.follow_up), may_be_done=again)
        if self.must_succeed(self.deployment.command("up")):
            if case.command == "restore":
                self._check_restored()
                self._end_restored()
            self._check()
        self.check_requests()

    def _is_prepared(self) -> bool:
        """Bring the stack into a state in which the command makes sense, and applications continue."""
        self.bring_up()
        if not self.problems and self._needs_its_time():
            self._prepare()
            self.must_succeed(self.deployment.command(self.case.command))
            self.publish()
        if not self.problems:
            self._prepare()
        if not self.problems and not all(client.continues() for client in self.applications):
            self.problems.append("an application can't write before the round")
        return not self.problems

    def _needs_its_time(self) -> bool:
        command = self.case.command
        return ROUNDS >= MEASURED and command not in {*self.deployment.durations, *_ONCE}

    def _prepare(self) -> None:
        """Bring the stack into a state in which the command makes sense."""
        name = self.case.command
        if name == "finish" and not self.deployment.is_rotating():
            self.must_succeed(self.deployment.command("rotate"))
            self.publish()
        if "rotate" in {name, self.case.follow_up} and self.deployment.is_rotating():
            self.must_succeed(self.deployment.command("finish"))
        if name == "restore":
            self._end_restored()
            self._saved = {key: number for client in self.applications for key, number in client.acknowledged.items()}
            self.must_succeed(self.deployment.command("backup"))

    def _kill(self, command: Command) -> None:
        durations = self.deployment.durations
        seconds = durations.get(command.name, durations["up"])
        running = self.deployment.start(command)
        self.was_killed = killing.carry_out(self.deployment, running, self.case.kill, seconds)
        run = running.wait()
        self.runs.append(run)
        if run.code is None:
            self.get_stuck(f"{command} did not end")
        elif not self.was_killed and not run.has_succeeded:
            self.get_stuck(f"{command} failed though nothing was sent to it")
        elif not self.was_killed:
            durations[command.name] = run.seconds

    def _pause(self) -> None:
        """Before `down`: no request may fail because there is no stack."""
        for client in self.applications:
            client.use(None)
        self._finals_before = self._finals()

    def _check(self) -> None:
        if self.case.has_down:
            self._check_kept()
        else:  # with what they have had all the time; on a replicated stack only valkeykit finds the primary
            self.check_clients(self.applications if self.case.topology != "replicated" else self.applications[:1])
        if self.publish():
            self.check_clients(self.applications)
            self.check_writes()
        if self.case.target == "docker":
            helpers = [one.name for one in leftovers.containers(self.deployment.name) if one.is_helper]
            self.report("containers that help a command are left after make up", helpers)
        is_finished = self.case.command == "finish" and not self.deployment.is_rotating()
        if is_finished and not self.rejects_replaced_password():
            self.problems.append("the password before the rotation is still valid")

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
        run, variables = self.deployment.read_variables()
        return run.has_succeeded and not any(client.lost(variables) for client in self.applications)

    def _check_restored(self) -> None:
        """What the backup has is in the restored stack, if the last command was to complete it."""
        if self.is_stuck or self.case.follow_up != "restore":
            return
        run, variables = self.deployment.read_variables(self.deployment.restored)
        self.runs.append(run)
        restored = clients.read(self.case.topology, variables, list(self._saved)) if run.has_succeeded else {}
        lost = [key for key, number in self._saved.items() if restored.get(key, -1) < number]
        self.report("keys of the backup are not in the restored stack", lost)
        totals.lost += len(lost)

    def _end_restored(self) -> None:
        deployment, restored = self.deployment, self.deployment.restored
        if deployment.state_file(restored).exists():
            self.must_succeed(Command("down", ("down",), restored))
            left = leftovers.find(deployment, restored)
            totals.left_behind += len(left)
            self.problems += [f"down has left: {line}" for line in left]

    def _finals(self) -> set[Path]:
        """The RDB files that `down` has left."""
        folder = self.deployment.root / ".valkey" / self.deployment.name
        return {*folder.glob("final-*.rdb"), *folder.glob("final-*/*.rdb")}
