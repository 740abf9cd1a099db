"""New passwords in two steps, so that no request fails: both are valid in between."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

from valkeykit.causes import explained
from valkeykit.endpoint import Endpoint

from tools import nodes
from tools.errors import ToolError
from tools.stack import Stack

_STAMP = "%Y%m%dT%H%M%SZ"


def first_step(stack: Stack) -> dict[str, str]:
    """What to change for new passwords beside the old ones.

    Raises:
        ToolError: there is no such stack, it isn't up, or a rotation is under way.
    """
    stack.outputs()
    rotation, retired = _words(stack)
    if rotation != retired:
        raise ToolError(
            f"the rotation {rotation} isn't finished: the passwords before it are still valid",
            fix=f"make rotate STACK={stack.name} FINISH=1",
        )
    return {"rotation": datetime.now(timezone.utc).strftime(_STAMP)}


def second_step(stack: Stack, *, force: bool) -> dict[str, str]:
    """What to change so that the old passwords end.

    force: although there are connections from before the rotation.

    Raises:
        ToolError: no rotation is under way, or somebody is still logged in from before it.
    """
    rotation, retired = _words(stack)
    if rotation == retired:
        raise ToolError("no rotation is under way", fix=f"make rotate STACK={stack.name}")
    if not force and (old := _logged_in_before(stack, rotation)):
        who = ", ".join(f"{name} ({number})" for name, number in sorted(old.items()))
        raise ToolError(
            f"connections that logged in before the rotation, so perhaps by an old password: {who}",
            fix=f"restart these with what `make env` says now, or make rotate STACK={stack.name} FINISH=1 FORCE=1",
        )
    return {"retired": rotation}


def _words(stack: Stack) -> tuple[str, str]:
    known = stack.configuration()
    return known.get("rotation", ""), known.get("retired", "")


def _logged_in_before(stack: Stack, rotation: str) -> Counter[str]:
    """Connections older than the rotation, counted by user and address; none where its time isn't known."""
    try:
        begin = datetime.strptime(rotation, _STAMP).replace(tzinfo=timezone.utc)
    except ValueError:  # a word of the operator's own
        return Counter()
    seconds = (datetime.now(timezone.utc) - begin).total_seconds()
    outputs = stack.outputs()
    users = set(Endpoint.from_dict(outputs["endpoint"]).users)
    with explained():
        return Counter(
            f"{client['user']} from {client['addr'].rpartition(':')[0]}"
            for _, admin in nodes.as_admin(outputs)
            for client in admin.client_list()
            if client["user"] in users and int(client["age"]) > seconds
        )
