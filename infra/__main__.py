"""The Pulumi program: read the configuration, deploy the component, export the outputs."""

import gc

import pulumi
from pulumi.runtime.config import CONFIG
from valkeykit.endpoint import SCHEMA_VERSION
from valkeykit.errors import ValkeykitError

from infra import hardening, outputs, settings
from infra.component import StackValkey
from infra.targets.deployment import record_rotation


def export(valkey: StackValkey) -> None:
    """Export the connection record, a URL for each user, and the variables of an application.

    Outputs that contain a secret password are secret too.
    """
    pulumi.export(outputs.SCHEMA_VERSION, SCHEMA_VERSION)
    pulumi.export(outputs.ENDPOINT, valkey.endpoint)
    pulumi.export(outputs.URL, valkey.url)
    pulumi.export(outputs.ADMIN_URL, valkey.admin_url)
    pulumi.export(outputs.MONITOR_URL, valkey.monitor_url)
    pulumi.export(outputs.ENV, valkey.env)
    for name, value in valkey.target_outputs.items():
        pulumi.export(name, value)


gc.disable()  # The program runs for seconds; with a cloud's classes loaded, garbage collection takes a tenth of them.

try:
    stack_settings = settings.load(CONFIG.get(), pulumi.get_project())
    deployed = StackValkey(stack_settings)
except ValkeykitError as problem:
    raise pulumi.RunError(settings.name_stack(str(problem), pulumi.get_stack())) from None

for gap in hardening.gaps(stack_settings.target):
    pulumi.log.info(f"{stack_settings.target}: {gap}")
record_rotation(deployed, deployed.logins, stack_settings)
export(deployed)
