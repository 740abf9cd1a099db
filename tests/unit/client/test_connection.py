"""Arguments, URLs and the public names of connections, without a server."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import valkeykit
from valkeykit import errors
from valkeykit.url import Address, Node

from harness.ports import HOST, free_port


def test_no_listener_and_no_such_host() -> None:
    for url, text in (
        (f"redis://{HOST}:{free_port()}", "nothing listens"),
        ("redis://no-such-host.invalid:6379", "host name is unknown|name server"),
    ):
        client = valkeykit.connect(url)
        with closing(client), pytest.raises(errors.UnreachableError, match=text), valkeykit.translate_errors():
            client.ping()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"read_timeout": float("nan")}, "read_timeout"),
        ({"max_connections": 0}, "max_connections"),
        ({"max_connections": 10**9}, "max_connections"),
        ({"connect_timeout": 1e300}, "connect_timeout"),
        ({"read_timeout": 10**400}, "read_timeout"),
        ({"topology": "ring"}, "topology"),
        ({"ca": "/no/such/file.pem"}, "can't read '/no/such/file.pem'"),
        ({"username": "app"}, "Endpoint"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=text):
        valkeykit.connect("redis://localhost:6379", **options)


def test_a_cluster_has_one_database() -> None:
    with pytest.raises(errors.ConfigurationError, match="database 2"):
        valkeykit.connect("valkey+cluster://localhost:6379/2")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("valkey+cluster://a:1,b:2", Address("a", 1, topology="cluster", fallback_nodes=(Node("b", 2),))),
        ("valkeys+replicated://u:p@a", Address("a", 6379, True, "u", "p", topology="replicated")),
        (
            "valkey+sentinel://a:1,b:2,c/main/3",
            Address(
                "a", 1, database=3, topology="sentinel", service="main", fallback_nodes=(Node("b", 2), Node("c", 6379))
            ),
        ),
        ("redis+sentinel://a", Address("a", 6379, topology="sentinel")),
    ],
)
def test_urls_with_a_topology(url: str, expected: Address) -> None:
    assert valkeykit.parse(url) == expected


@pytest.mark.parametrize("url", ["valkey+ring://a", "valkey+cluster://a:1,b:x", "http+cluster://a"])
def test_invalid_urls(url: str) -> None:
    with pytest.raises(errors.ConfigurationError):
        valkeykit.parse(url)


def test_everything_that_is_promised_exists() -> None:
    assert all(getattr(valkeykit, name) is not None for name in valkeykit.__all__)
    with pytest.raises(AttributeError, match="no_such"):
        valkeykit.no_such  # noqa: B018
