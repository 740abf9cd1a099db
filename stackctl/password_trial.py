"""The password trial: disable the previous passwords for some seconds, then enable them again.

They are enabled again even if the command is killed: `python -m stackctl.password_trial` runs in a session of its own,
waits until the command closes its end of a pipe, and then has the servers load their users.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from valkeykit.endpoint import Endpoint

from infra.outputs import ADMIN_URL, ENDPOINT
from stackctl import admin_clients
from stackctl.errors import StackError

_READY = "ready\n"
_ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def restored(outputs: Mapping[str, Any]) -> Iterator[None]:
    """Have every server load its users when the block ends, even if the command is killed.

    Raises:
        StackError: the process that does so doesn't start.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "stackctl.password_trial"], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as restorer:  # fmt: skip
        if not _has_started(restorer, outputs):
            raise StackError("the process that ends the trial does not start, so nothing was changed")
        try:
            yield
        finally:
            _load_users(outputs)


def _has_started(restorer: subprocess.Popen[str], outputs: Mapping[str, Any]) -> bool:
    if restorer.stdin and restorer.stdout:
        with contextlib.suppress(BrokenPipeError):
            restorer.stdin.write(json.dumps({key: outputs[key] for key in (ENDPOINT, ADMIN_URL)}) + "\n")
            restorer.stdin.flush()
        return restorer.stdout.readline() == _READY
    return False


def _load_users(outputs: Mapping[str, Any]) -> None:
    for node in Endpoint.from_dict(outputs[ENDPOINT]).nodes:
        with contextlib.suppress(StackError), admin_clients.connected(outputs, node) as admin:
            admin.acl_load()  # the file has both passwords; a node that is down loads it when it starts


def _restore_at_end() -> None:
    outputs = json.loads(sys.stdin.readline())
    sys.stdout.write(_READY)
    sys.stdout.flush()
    sys.stdin.read()  # until the command ends
    _load_users(outputs)


if __name__ == "__main__":
    _restore_at_end()
