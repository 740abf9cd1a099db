"""An operator: runs commands on a stack that applications use, and notes what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.operations import clients
from tests.operations.clients import ApplicationClient
from tests.operations.stack import Command, CommandRun, Deployment, password_of
from tests.operations.totals import totals


@dataclass
class Operator:
    """runs: the commands so far. problems: what is wrong. is_stuck: whether the stack needs a manual fix."""

    deployment: Deployment
    applications: list[ApplicationClient]
    runs: list[CommandRun] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_stuck: bool = False

    def bring_up(self) -> None:
        """For a stack that isn't up yet."""
        if not self.deployment.published and self.must_succeed(self.deployment.command("up")):
            self.publish()

    def must_succeed(self, command: Command, *, may_be_done: bool = False) -> bool:
        """Run a command; one that fails is a problem, and the stack needs a manual fix.

        may_be_done: it may be rejected where the one that was killed has done all of it.
        """
        run = self.deployment.run(command)
        self.runs.append(run)
        if run.has_succeeded or (may_be_done and run.is_clear_refusal and self._is_done(command)):
            return True
        self.get_stuck(f"{command} failed")
        return False

    def get_stuck(self, problem: str) -> None:
        self.problems.append(problem)
        self.is_stuck = True

    def publish(self) -> bool:
        """Give every application what `make env` writes."""
        run, variables = self.deployment.publish()
        if not run.has_succeeded:
            self.runs.append(run)
            self.get_stuck("make env failed")
            return False
        for client in self.applications:
            client.use(variables)
        return True

    def _is_done(self, command: Command) -> bool:
        """Whether the stack has what the command is for, as its servers have it."""
        if command.name == "finish":
            return self.rejects_replaced_password()
        if command.name == "restore":
            return self.deployment.read_variables(self.deployment.restored)[0].has_succeeded
        if command.name == "rotate":
            run, variables = self.deployment.read_variables()
            return run.has_succeeded and password_of(variables) != password_of(self.deployment.published)
        return False

    def rejects_replaced_password(self) -> bool:
        deployment = self.deployment
        return clients.is_rejected(deployment.topology, deployment.published, deployment.replaced)

    def check_clients(self, applications: Sequence[ApplicationClient]) -> None:
        stopped = [client.kind for client in applications if not client.continues()]
        self.problems += [f"{kind} can't write after make up" for kind in stopped]

    def check_writes(self) -> None:
        """Every acknowledged write is there."""
        for client in self.applications:
            lost = client.lost(self.deployment.published)
            totals.lost += len(lost)
            self.report(f"acknowledged writes of {client.kind} are lost", lost)

    def check_requests(self) -> None:
        """No request so far had an answer that it may not have."""
        for client in self.applications:
            totals.stale += len(client.stale)
            totals.locked_out += len(client.locked_out)
            self.report("reads returned None or an older value", client.stale)
            self.report("requests with the published password were rejected", client.locked_out)
            client.stale, client.locked_out = [], []

    def report(self, what: str, lines: Sequence[str]) -> None:
        if lines:
            self.problems.append(f"{len(lines)} {what}, for example {lines[0]}")
