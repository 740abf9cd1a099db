"""The Pulumi program: read the configuration, deploy the target, export the outputs."""

import gc

import pulumi
from pulumi.runtime.config import CONFIG
from valkeykit.endpoint import SCHEMA_VERSION, Endpoint
from valkeykit.errors import ValkeykitError

from infra import hardening, outputs, settings
from infra.targets.deployment import Login, TargetDeployment, record_rotation
from infra.targets.provisioning import provision


def export(deployment: TargetDeployment) -> None:
    """Export the connection record, a URL for each user, and the variables of an application.

    Outputs that contain a secret password are secret too.
    """
    endpoint = deployment.endpoint
    urls = {role: _url(endpoint, login) for role, login in deployment.logins.items()}
    variables = pulumi.Output.all(endpoint, urls["app"]).apply(lambda parts: parts[0].variables(parts[1]))
    pulumi.export(outputs.SCHEMA_VERSION, SCHEMA_VERSION)
    pulumi.export(outputs.ENDPOINT, endpoint.apply(Endpoint.to_dict))
    for role, name in outputs.URLS.items():
        pulumi.export(name, urls[role])
    pulumi.export(outputs.ENV, variables)
    for name, value in deployment.outputs.items():
        pulumi.export(name, value)


def _url(endpoint: pulumi.Output[Endpoint], login: Login) -> pulumi.Output[str]:
    return pulumi.Output.all(endpoint, login.password).apply(lambda parts: parts[0].url(login.user, parts[1]))


gc.disable()  # The program runs for seconds; with a cloud's classes loaded, garbage collection takes a tenth of them.

try:
    # Module variables: they must live until the program ends, and with them the hooks and outputs of resources.
    stack_settings = settings.load(CONFIG.get(), pulumi.get_project())
    deployment = provision(stack_settings, f"{pulumi.get_project()}/{pulumi.get_stack()}")
except ValkeykitError as problem:
    raise pulumi.RunError(settings.name_stack(str(problem), pulumi.get_stack())) from None

for gap in hardening.gaps(stack_settings.target):
    pulumi.log.info(f"{stack_settings.target}: {gap}")
record_rotation(deployment, stack_settings)
export(deployment)
