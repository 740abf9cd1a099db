"""The connection record as JSON, for a cloud's secret store."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
from valkeykit.endpoint import Endpoint

from infra.outputs import ENDPOINT, URLS
from infra.targets.deployment import Login


def connection_record(endpoint: pulumi.Output[Endpoint], logins: Mapping[str, Login]) -> pulumi.Output[str]:
    """The endpoint and a URL for each role, as JSON. It is secret if a password is."""
    passwords = {role: login.password for role, login in logins.items()}
    users = {role: login.user for role, login in logins.items()}
    return pulumi.Output.all(endpoint=endpoint, passwords=passwords).apply(
        lambda parts: _render(parts["endpoint"], users, parts["passwords"])
    )


def _render(endpoint: Endpoint, users: Mapping[str, str], passwords: Mapping[str, str | None]) -> str:
    urls = {name: endpoint.url(users[role], passwords[role]) for role, name in URLS.items()}
    return json.dumps({ENDPOINT: endpoint.to_dict(), **urls})
