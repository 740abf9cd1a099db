"""What `pulumi destroy` leaves to the operator with `gcp.deletionPolicy` abandon."""

from __future__ import annotations

from dataclasses import replace

import pulumi

from infra.errors import ProvisioningError
from infra.settings import StackSettings
from infra.settings.config_keys import set_command
from infra.targets.context import Context
from infra.targets.gcp import access
from infra.targets.previous_resources import PreviousResources

MEMBER = "gcp:projects/iAMMember:IAMMember"


def retained(context: Context) -> Context:
    """The context of the instance and of everything that it or its clients need."""
    if context.settings.gcp.deletionPolicy == "delete":
        return context
    kept = pulumi.ResourceOptions(retain_on_delete=True)
    return replace(context, child_options=pulumi.ResourceOptions.merge(context.child_options, kept))


def check_members(settings: StackSettings, previous: PreviousResources) -> None:
    """
    Raises:
        ProvisioningError: a member was removed, but its permission would be left.
    """
    if settings.gcp.deletionPolicy == "delete":
        return
    current = {member for members in access.members(settings).values() for member in members}
    if removed := sorted({str(known.get("member")) for known in previous.all_of(MEMBER)} - current):
        raise ProvisioningError(
            f"gcp.deletionPolicy is abandon, with which {', '.join(removed)} would keep the permission to connect",
            fix=set_command("gcp.deletionPolicy", "delete"),
        )
