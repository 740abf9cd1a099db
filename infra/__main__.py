"""The Pulumi program: read the settings, provision the target, export the endpoint."""

import gc

import pulumi
from pulumi.runtime.config import CONFIG
from valkeykit.errors import ValkeykitError

from infra import endpoint, hardening, settings, targets

gc.disable()  # The program lives for seconds; among a cloud's classes, looking for garbage takes a tenth of them.

try:
    wanted = settings.load(CONFIG.get())
    deployed = targets.provision(wanted, f"{pulumi.get_project()}/{pulumi.get_stack()}")
except ValkeykitError as problem:
    raise pulumi.RunError(str(problem)) from None

for gap in hardening.gaps(wanted.target):
    pulumi.log.info(f"{wanted.target}: {gap}")
targets.record_rotation(deployed, wanted)
endpoint.export(deployed)
