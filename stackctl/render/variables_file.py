"""The variables file of a rendered folder: URLs for applications and the smoke tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from valkeykit.endpoint import Endpoint
from valkeykit.url import Node, join_nodes

from infra import hardening
from infra.drivers.docker.plan import Secrets
from infra.drivers.files import write_private
from stackctl import export

FILE = "env"
CA = "ca.crt"


def write(folder: Path, endpoint: Endpoint, secrets: Secrets, sentinels: Sequence[Node] = ()) -> None:
    """Write the application's variables and the URLs of administrator and monitor.

    sentinels: for the smoke tests only.
    """
    urls = {user.name: endpoint.url(user.name, secrets.passwords[user.name]) for user in hardening.USERS}
    write_private(folder / CA, secrets.ca)
    values = {
        **endpoint.variables(urls["app"]),
        "VALKEY_ADMIN_URL": urls[hardening.ADMIN],
        "VALKEY_MONITOR_URL": urls[hardening.MONITOR],
        "VALKEY_CA": str((folder / CA).resolve()),
        **({"VALKEY_SMOKE_SENTINELS": join_nodes(sentinels)} if sentinels else {}),
    }
    _, dotenv = export.FORMATS["dotenv"]
    write_private(folder / FILE, dotenv("", values))


def as_json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"
