"""The old passwords are off for a trial, and valid again when it ends, also where its command is killed.

`python -m tools.trial` is a process of its own, in a session of its own. It waits until the command's end of a pipe is
closed, and then lets the servers read their users.
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

from tools import nodes
from tools.errors import ToolError

_READY = "ready\n"
_ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def restored(outputs: Mapping[str, Any]) -> Iterator[None]:
    """Let every server read its users when the block ends, whatever ends it.

    Raises:
        ToolError: the process that sees to it doesn't start.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tools.trial"], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as keeper:  # fmt: skip
        if not _begins(keeper, outputs):
            raise ToolError("the process that ends the trial does not start, so nothing was done")
        try:
            yield
        finally:
            _load_users(outputs)


def _begins(keeper: subprocess.Popen[str], outputs: Mapping[str, Any]) -> bool:
    if keeper.stdin and keeper.stdout:
        with contextlib.suppress(BrokenPipeError):
            keeper.stdin.write(json.dumps({key: outputs[key] for key in ("endpoint", "adminUrl")}) + "\n")
            keeper.stdin.flush()
        return keeper.stdout.readline() == _READY
    return False


def _load_users(outputs: Mapping[str, Any]) -> None:
    for node in Endpoint.from_dict(outputs["endpoint"]).nodes:
        with contextlib.suppress(ToolError), nodes.connected(outputs, node) as admin:
            admin.acl_load()  # the file has both; a node that is down reads it when it starts


def _keep() -> None:
    outputs = json.loads(sys.stdin.readline())
    sys.stdout.write(_READY)
    sys.stdout.flush()
    sys.stdin.read()  # until the command ends
    _load_users(outputs)


if __name__ == "__main__":
    _keep()
