"""A new stack: the provider accepts every resource, and changes nothing when the same is deployed again."""

from __future__ import annotations

from tests.provider.judge import Judge, resources_of
from tests.provider.sample import RANDOM, deployments

LACKING = {"5": {"durability"}}
"""Inputs that a major version of the provider lacks; Pulumi's is version 6."""


def test_every_resource_of_every_configuration_is_accepted(judge: Judge) -> None:
    assert len(deployments()) >= RANDOM
    judge.create((kind, inputs) for made in deployments() for (kind, _), inputs in resources_of(made).items())
    assert judge.missing <= LACKING.get(judge.workspace.version.partition(".")[0], set())


def test_the_same_again_changes_nothing(judge: Judge) -> None:
    every = {str(inputs): (kind, inputs) for made in deployments() for (kind, _), inputs in resources_of(made).items()}
    planned = judge.change({name: (kind, inputs, inputs) for name, (kind, inputs) in every.items()})
    assert {name: change.changed for name, change in planned.items() if change.operation != "none"} == {}
