"""The state backend of Pulumi: the user's, else one in the project itself."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import psutil

from stackctl.errors import StackError

FOLDER = ".valkey"
"""The project's folder for state, passphrase and embedded servers; git ignores it."""

_WHOLE_FILES = "metadata=skip"
"""Pulumi replaces a state file atomically, but writes its companion `.attrs` in place: a command that is killed
meanwhile leaves one that no later command can read (gocloud.dev/blob/fileblob)."""


def environment(root: Path, binaries: Path) -> dict[str, str]:
    """The environment of every `pulumi` command of this project.

    A backend that the user chose (PULUMI_BACKEND_URL, `pulumi login`) is used. Otherwise the state is in
    .valkey/state, encrypted with .valkey/passphrase unless the user has set a passphrase.

    Raises:
        StackError: the passphrase file of existing stacks is missing.
    """
    path = os.pathsep.join([str(binaries), str(root / ".venv" / "bin"), os.environ.get("PATH", "")])
    variables = {**os.environ, "PATH": path, "PULUMI_SKIP_UPDATE_CHECK": "1"}
    variables.setdefault("USER", str(os.getuid()))  # Pulumi fails for a user without an entry in /etc/passwd
    if not is_local(os.environ, root):
        return variables
    (root / FOLDER / "state").mkdir(mode=0o700, parents=True, exist_ok=True)
    variables["PULUMI_BACKEND_URL"] = _own_url(root)
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & set(os.environ):
        variables["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file(root))
    return variables


def is_local(environ: Mapping[str, str], root: Path) -> bool:
    """Whether the project's own backend is used, which `make shell` exports too."""
    if url := environ.get("PULUMI_BACKEND_URL"):
        return url == _own_url(root)
    if environ.get("PULUMI_ACCESS_TOKEN"):
        return False
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        return not json.loads((home / "credentials.json").read_text()).get("current")
    except (OSError, ValueError):
        return True


def remove_stale_locks(root: Path, stack: str) -> None:
    """Remove the locks of killed commands of this machine on a stack of the project's own backend."""
    for file in (root / FOLDER / "state" / ".pulumi" / "locks").glob(f"organization/*/{stack}/*.json"):
        lock = json.loads(file.read_text())
        if lock["hostname"] == os.uname().nodename and not _is_alive(lock["pid"]):
            file.unlink(missing_ok=True)


def _own_url(root: Path) -> str:
    return f"file://{root / FOLDER / 'state'}?{_WHOLE_FILES}"


def _passphrase_file(root: Path) -> Path:
    """The passphrase file, 0600, created once. Without it the state's secrets are lost."""
    file = root / FOLDER / "passphrase"
    if not file.exists():
        if stacks := sorted((root / FOLDER / "state" / ".pulumi" / "stacks").rglob("*.json")):
            names = ", ".join(stack.stem for stack in stacks)
            raise StackError(
                f"{FOLDER}/passphrase is missing; without it the secrets of existing stacks ({names}) cannot be read",
                fix=f"put your copy of it back, or set PULUMI_CONFIG_PASSPHRASE_FILE={root / FOLDER}/passphrase to it",
            )
        temporary = file.with_suffix(f".{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_urlsafe(32))
        try:
            file.hardlink_to(temporary)  # never over one that another command made meanwhile
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return file


def _is_alive(pid: int) -> bool:
    """Whether a command still runs: one that has ended and is not reaped yet doesn't."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("pulumi")
    except psutil.Error:
        return False
