"""Export of a stack's variables to a file: dotenv, shell, JSON or a Kubernetes Secret.

The CA certificate is PEM text, which doesn't fit on a line of a dotenv or shell file: there VALKEY_CA names a file in
the same folder.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.drivers.files import write_private
from infra.yaml_writer import to_yaml
from stackctl.errors import StackError
from stackctl.state_backend import FOLDER


def failover_note(variables: Mapping[str, str]) -> str:
    """The variables with which clients of a replicated stack on one machine follow a failover; "" for other stacks."""
    nodes = [node.rpartition(":")[0] for node in variables.get("VALKEY_NODES", "").split(",")]
    # The name of a cloud's primary follows a failover; here each node has a port of its own on the same host.
    if variables.get("VALKEY_TOPOLOGY") != "replicated" or len(nodes) < 2 or len(set(nodes)) > 1:
        return ""
    name = "VALKEY_SENTINELS" if "VALKEY_SENTINELS" in variables else "VALKEY_NODES"
    return (
        f"clients that read {name} follow a failover; clients that read only VALKEY_URL "
        "are read-only after it, until make up and make env give them the new URL"
    )


def _comment(variables: Mapping[str, str]) -> str:
    note = failover_note(variables)
    return f"# {note}\n" if note else ""


def _dotenv(_stack: str, variables: Mapping[str, str]) -> str:
    return _comment(variables) + "".join(f"{name}='{value}'\n" for name, value in variables.items())


def _shell(_stack: str, variables: Mapping[str, str]) -> str:
    return _comment(variables) + "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _json(_stack: str, variables: Mapping[str, str]) -> str:
    return json.dumps(dict(variables), indent=2) + "\n"


def _kubernetes(stack: str, variables: Mapping[str, str]) -> str:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"valkey-{stack}".lower().replace("_", "-")},
        "type": "Opaque",
        "stringData": dict(variables),
    }
    return to_yaml(secret)


WITH_FILES = ("dotenv", "shell")
"""Formats for this machine only, so a variable may name a file."""

FORMATS: dict[str, tuple[str, Callable[[str, Mapping[str, str]], str]]] = {
    "dotenv": ("env", _dotenv),
    "shell": ("sh", _shell),
    "json": ("json", _json),
    "k8s": ("yaml", _kubernetes),
}


def write(root: Path, stack: str, variables: Mapping[str, str], form: str, out: Path | None) -> Path:
    """Write the variables atomically, 0600, to `out` or .valkey/<stack>.<ending>.

    Raises:
        StackError: the format is unknown, or the folder doesn't exist.
    """
    if form not in FORMATS:
        raise StackError(f"FORMAT is {form!r}, expected one of {', '.join(FORMATS)}", fix="make env FORMAT=dotenv")
    ending, render = FORMATS[form]
    path = out or root / FOLDER / f"{stack}.{ending}"
    if not path.parent.is_dir():
        raise StackError(f"{path.parent} is not a folder", fix=f"mkdir -p {path.parent}")
    if "VALKEY_CA" in variables and form in WITH_FILES:
        authority = _authority(path.parent, stack)
        write_private(authority, variables["VALKEY_CA"])
        variables = {**variables, "VALKEY_CA": str(authority.resolve())}
    write_private(path, render(stack, variables))
    return path


def forget(root: Path, stack: str) -> None:
    """Remove the files of a destroyed stack, whose passwords are no longer valid."""
    folder = root / FOLDER
    for file in (_authority(folder, stack), *(folder / f"{stack}.{ending}" for ending, _ in FORMATS.values())):
        file.unlink(missing_ok=True)


def authority_file(root: Path, stack: str) -> Path:
    """The CA certificate that `write` leaves next to the variables."""
    return _authority(root / FOLDER, stack)


def _authority(folder: Path, stack: str) -> Path:
    return folder / f"{stack}.ca.pem"
