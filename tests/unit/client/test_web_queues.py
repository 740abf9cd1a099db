"""What the page sends to the server, without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from redis.exceptions import ConnectionError as ConnectionLostError
from valkeykit.lua import Script
from valkeykit.settings import resolve_settings
from valkeykit_ops.web import queues
from valkeykit_ops.web.queues import QueueReader


class LosingConnection:
    """Loses the first answer to each call, and notes what it sent."""

    def __init__(self, _: object) -> None:
        self.sent: list[Any] = []

    def send(self, *_: str) -> int:
        return 1

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        self.sent.append((script.sha, tuple(keys), tuple(arguments)))
        if self.sent.count(self.sent[-1]) == 1:
            raise ConnectionLostError("lost")
        return b"waiting" if len(arguments) == 2 and arguments[1] in {"a", "b"} else 1


@pytest.mark.parametrize("action", ["requeue", "cancel"])
def test_a_change_whose_reply_is_lost_is_sent_again_as_the_same_call(
    monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """So the server repeats its first reply, and the page counts the job."""
    monkeypatch.setattr(queues, "open_client", lambda settings: settings)
    connection = LosingConnection(None)
    monkeypatch.setattr(queues, "FastConnection", lambda _: connection)
    reader = QueueReader(resolve_settings("redis://localhost"))
    if action == "cancel":
        assert reader.change("mail", "cancel", ["a", "b"]) == "cancelled 2 of 2"
    else:
        assert reader.change("mail", "requeue", ["c"]) == "requeued 1 of 1"
    assert connection.sent[::2] == connection.sent[1::2]
