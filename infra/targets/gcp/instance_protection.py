"""Protection of an instance: one field per update, no replacement, no downgrade."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pulumi
from pulumi import ErrorHook, ErrorHookArgs, ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions

from infra.errors import ProvisioningError
from infra.outputs import STAGED_UPDATES
from infra.settings import StackSettings
from infra.settings.config_keys import set_command
from infra.targets.gcp import updates
from infra.targets.gcp.updates import UpdatePlan
from infra.targets.identity import Identity
from infra.targets.previous_resources import Inputs, PreviousResources
from infra.targets.replacement_guard import ReplacementGuard, is_older

INSTANCE = "gcp:memorystore/instance:Instance"

ALLOW_REPLACEMENT = set_command("gcp.allowReplacement", "true")

SOURCES = ("gcsSource", "managedBackupSource")
"""Used at the creation only."""

ROLE = "crossInstanceReplicationConfig"

REPLACING_INPUTS = (
    *("instanceId", "location", "project", "mode", "authorizationMode", "transitEncryptionMode", "serverCaMode"),
    *("serverCaPool", "kmsKey", "zoneDistributionConfig", *SOURCES),
    *("desiredAutoCreatedEndpoints", "desiredPscAutoConnections"),
)
"""Inputs that cannot be changed in place (`ForceNew` in the provider's schema)."""

REPLACED_ON_CHANGES = ("desiredAutoCreatedEndpoints",)
"""The provider would change the network of an endpoint in place, but it would send nothing, in every update again."""


def create_guard(settings: StackSettings, previous: PreviousResources, identity: Identity) -> ReplacementGuard | None:
    """Protection of the instance; None if the configuration allows replacement."""
    if settings.gcp.allowReplacement:
        return None
    return ReplacementGuard([INSTANCE], ALLOW_REPLACEMENT, previous, identity.prefix)


def instance_options(
    guard: ReplacementGuard | None, previous: PreviousResources, identity: Identity
) -> pulumi.ResourceOptions:
    """The options of the instance."""

    def before_update(planned: ResourceHookArgs) -> None:
        check_one_update(planned.old_inputs or {}, planned.new_inputs or {}, is_import=previous.of(INSTANCE) is None)

    # Its name is unique, so an allowed replacement deletes it first.
    protection = (
        guard.protect("the instance", REPLACING_INPUTS, _find_problems)
        if guard
        else pulumi.ResourceOptions(delete_before_replace=True)
    )
    hook = ResourceHook(identity.resource("one field per update"), before_update, ResourceHookOptions(on_dry_run=True))
    explain = ErrorHook(identity.resource("instances that exist already"), _explain_existing)
    return pulumi.ResourceOptions.merge(
        protection,
        pulumi.ResourceOptions(
            replace_on_changes=list(REPLACED_ON_CHANGES),
            hooks=ResourceHookBinding(before_update=[hook], on_error=[explain]),
        ),
    )


def check_one_update(previous: Inputs, new: Inputs, *, is_import: bool) -> None:
    """The last check, of what an import finds too.

    Raises:
        ProvisioningError: several updates are needed.
    """
    steps = updates.find_steps(previous, new)
    if len(steps) < 2:
        return
    what = f"the instance differs from the configuration in {_changes(steps, previous, new)}"
    if not is_import:
        raise ProvisioningError(f"Memorystore allows one changed field per update, but {what}", fix="pulumi up")
    note = f"{what}; it is imported first, and then needs {len(steps)} updates"
    if pulumi.runtime.is_dry_run():
        pulumi.log.warn(f"gcp: {note}: run `make up` twice")
    else:
        raise ProvisioningError(note, fix="make up, which makes the updates one after the other")


def _explain_existing(failure: ErrorHookArgs) -> bool:
    """The provider forgets an instance whose creation failed late, but Google keeps it. Nothing is tried again."""
    if failure.failed_operation == "create" and any("already exists" in error for error in failure.errors):
        name = str((failure.new_inputs or {}).get("instanceId"))
        location = str((failure.new_inputs or {}).get("location"))
        pulumi.log.error(
            f"the instance {name} exists in Google, but not in this stack; a creation that failed late leaves it. "
            f"To adopt it: {set_command('gcp.existing', name)}. "
            f"To delete it with its data: gcloud memorystore instances delete {name} --location={location}"
        )
    return False


def plan_update(previous: PreviousResources, desired: Inputs, stack: str) -> UpdatePlan:
    """The next update of the instance, before any resource is registered.

    desired: the complete request, with the provider's names.

    Raises:
        ProvisioningError: the state is not known, or the instance needs several updates and they are not made in turn.
    """
    previous.check_completed()
    before = previous.of(INSTANCE)
    if before is None or _is_replacement(before, desired):
        return updates.plan(None, desired)
    _check_role(before, desired)
    plan = updates.plan(before, desired)
    if len(plan.steps) > 1 and not os.environ.get(STAGED_UPDATES):
        raise ProvisioningError(
            f"Memorystore allows one changed field per update, but {sum(map(len, plan.steps))} would change: "
            f"{_changes(plan.steps, before, desired)}",
            fix=f"make up STACK={stack}, which makes the {len(plan.steps)} updates one after the other in this order: "
            f"{_in_order(plan.steps)}",
        )
    return plan


def pending(plan: UpdatePlan) -> list[str]:
    """The updates after this one."""
    return [" with ".join(step) for step in plan.steps[1:]]


def _in_order(steps: Sequence[Sequence[str]]) -> str:
    return "; then ".join(" with ".join(step) for step in steps)


def _changes(steps: Sequence[Sequence[str]], before: Inputs, after: Inputs) -> str:
    return ", ".join(updates.describe(name, before, after) for step in steps for name in step)


def _is_replacement(before: Inputs, after: Inputs) -> bool:
    replacing = [name for name in REPLACING_INPUTS if name not in SOURCES or after.get(name)]
    return any(updates.differ(before.get(name), after.get(name)) for name in replacing)


def _check_role(before: Inputs, after: Inputs) -> None:
    role = str((before.get(ROLE) or {}).get("instanceRole", "NONE"))
    if role != "NONE" and not after.get(ROLE):
        raise ProvisioningError(
            f"the instance would stay a {role.lower()} of cross-instance replication: "
            "without gcp.replicationRole the provider sends nothing",
            fix=set_command("gcp.replicationRole", "none"),
        )


def _find_problems(previous: Inputs, new: Inputs) -> Iterator[str]:
    before, after = _version(previous), _version(new)
    if before and after and is_older(after, before):
        yield f"the API rejects a downgrade from {before} to {after}"


def _version(inputs: Inputs) -> str:
    """VALKEY_9_0 is 9.0."""
    return str(inputs.get("engineVersion") or "").removeprefix("VALKEY_").replace("_", ".")
