"""The stack's outputs. Their names live only here; applications and `make env` read them."""

from __future__ import annotations

import pulumi
from valkeykit.endpoint import SCHEMA_VERSION, Endpoint

from infra.targets import Deployment, Login


def export(deployed: Deployment) -> None:
    """Export the connection record, a URL for each user, and the variables of an application.

    The secret mark of a password follows into what is made from it.
    """
    known = deployed.endpoint
    urls = {role: _url(known, login) for role, login in deployed.logins.items()}
    pulumi.export("schemaVersion", SCHEMA_VERSION)
    pulumi.export("endpoint", known.apply(Endpoint.to_dict))
    pulumi.export("url", urls["app"])
    pulumi.export("adminUrl", urls["admin"])
    pulumi.export("monitorUrl", urls["monitor"])
    pulumi.export("env", pulumi.Output.all(known, urls["app"]).apply(lambda parts: parts[0].variables(parts[1])))
    for name, value in deployed.outputs.items():
        pulumi.export(name, value)


def _url(endpoint: pulumi.Output[Endpoint], login: Login) -> pulumi.Output[str]:
    return pulumi.Output.all(endpoint, login.password).apply(lambda parts: parts[0].url(login.user, parts[1]))
