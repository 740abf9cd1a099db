"""The connection record as a text, for a cloud's store of secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
from valkeykit.endpoint import Endpoint

from infra.targets import Login

URL_NAMES = {"app": "url", "admin": "adminUrl", "monitor": "monitorUrl"}
"""As the stack's outputs name them."""


def connection_record(endpoint: pulumi.Output[Endpoint], logins: Mapping[str, Login]) -> pulumi.Output[str]:
    """The endpoint and a URL for each role, as JSON. The secret mark of a password follows."""
    passwords = {role: login.password for role, login in logins.items()}
    users = {role: login.user for role, login in logins.items()}
    return pulumi.Output.all(endpoint=endpoint, passwords=passwords).apply(
        lambda known: _render(known["endpoint"], users, known["passwords"])
    )


def _render(endpoint: Endpoint, users: Mapping[str, str], passwords: Mapping[str, str | None]) -> str:
    urls = {name: endpoint.url(users[role], passwords[role]) for role, name in URL_NAMES.items()}
    return json.dumps({"endpoint": endpoint.to_dict(), **urls})
