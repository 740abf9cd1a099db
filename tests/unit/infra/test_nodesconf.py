"""nodes.conf with the addresses where nodes listen now."""

from __future__ import annotations

from infra.drivers.topology import nodesconf

OWN, OTHER, SHARD = "a" * 40, "b" * 40, "c" * 40
VIEW = f"""\
{OWN} 127.0.0.1:6379@16379,,tls-port=0,shard-id={SHARD} myself,master - 0 0 2 connected 0-16383 [93-<-{OTHER}]
{OTHER} 127.0.0.1:6380@16380,,tls-port=0,shard-id={SHARD} slave,fail {OWN} 1795933060 1795933061 2 disconnected
vars currentEpoch 2 lastVoteEpoch 1
"""


def test_only_the_addresses_change() -> None:
    view = nodesconf.parse(VIEW)
    assert view
    text = nodesconf.relocated(view, {OTHER: "127.0.0.1:7000@17000", "d" * 40: "127.0.0.1:7001@17001"})
    assert text == VIEW.replace("127.0.0.1:6380@16380", "127.0.0.1:7000@17000")
    assert nodesconf.relocated(view, {}) == VIEW
