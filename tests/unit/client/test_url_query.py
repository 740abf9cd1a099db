"""What other clients write into a URL's query is understood, or refused with what replaces it."""

from __future__ import annotations

from typing import Any

import pytest
import valkeykit
from valkeykit import errors
from valkeykit.settings import resolve_settings
from valkeykit.url import Address, Node


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("db=2", {"database": 2}),
        ("socket_timeout=5&socket_connect_timeout=0.5", {"read_timeout": 5.0, "connect_timeout": 0.5}),
        ("timeout=3", {"connect_timeout": 3.0}),
        ("max_connections=10&client_name=web-1", {"max_connections": 10, "client_name": "web-1"}),
        ("decode_responses=False&protocol=3", {"decode": False}),
        ("retry_on_timeout=no&socket_keepalive=true", {}),
        ("", {}),
    ],
)
def test_parameters_of_other_clients(query: str, expected: dict[str, Any]) -> None:
    settings = resolve_settings(f"redis://u:p@localhost:6379?{query}")
    seen = {name: getattr(settings, name) for name in expected if name != "database"}
    assert seen == {name: value for name, value in expected.items() if name != "database"}
    assert settings.address.database == expected.get("database", 0)
    assert (settings.address.username, settings.address.password) == ("u", "p")


def test_certificates_are_verified_and_may_have_their_own_authority(tmp_path: Any) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    url = f"rediss://a:1/0?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={ca}&ssl_check_hostname=false"
    settings = resolve_settings(url)
    assert (settings.ca, settings.check_hostname) == ("-----BEGIN CERTIFICATE-----\n", False)


def test_an_argument_wins_over_the_url_and_the_url_over_a_default() -> None:
    url = "valkey+cluster://a:1,b:2?read_timeout=5&connect_timeout=6"
    settings = resolve_settings(url, defaults={"read_timeout": 0.5, "max_connections": 7}, connect_timeout=1.5)
    assert (settings.read_timeout, settings.connect_timeout, settings.max_connections) == (5.0, 1.5, 7)
    assert settings.address.nodes == (Node("a", 1), Node("b", 2))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("ssl_cert_reqs=none", "ssl_cert_reqs turns off.*ca="),
        ("ssl_cert_reqs=optional", "ssl_cert_reqs turns off"),
        ("retry_on_timeout=true", "retry_on_timeout.*may have run"),
        ("protocol=2", "protocol is not 3"),
        ("health_check_interval=30", "health_check_interval.*remove it"),
        ("password=s3cret", "password.*before the host"),
        ("ssl=true", "ssl.*rediss://"),
        ("no_such=s3cret", "unknown parameter no_such"),
        ("db=s3cret", "db is not a whole number"),
        ("db=-1", "db is not a whole number"),
        ("db=1&db=2", "parameter db twice"),
        ("socket_timeout=nan", "socket_timeout is not a number of seconds above 0"),
        ("socket_timeout=s3cret", "socket_timeout is not a number"),
        ("socket_timeout=0", "socket_timeout is not a number"),
        ("timeout=1&connect_timeout=2", "sets connect_timeout twice"),
        ("max_connections=0", "max_connections is not a whole number from 1 to 100000"),
        ("max_connections=999999999", "max_connections is not a whole number from 1 to 100000"),
        ("socket_timeout=1e300", "socket_timeout is not a number of seconds above 0, 86400 at most"),
        ("max_connections=1e3", "max_connections is not a whole number"),
        ("decode_responses=s3cret", "decode_responses is not a boolean"),
        ("client_name=s3cret%0A", "client_name is not printable"),
        ("client_name=", "client_name is not printable"),
        ("s3cret", "query can't be read"),
        ("=s3cret", "query can't be read"),
    ],
)
def test_what_is_refused_is_named_and_its_value_isnt(query: str, text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=text) as caught:
        valkeykit.connect(f"redis://:p4ssword@localhost:6379/0?{query}")
    assert "s3cret" not in str(caught.value)
    assert "p4ssword" not in str(caught.value)
    assert caught.value.fix


def test_two_databases_in_one_url() -> None:
    assert valkeykit.parse("redis://a/3?db=3").database == 3
    with pytest.raises(errors.ConfigurationError, match="two databases"):
        valkeykit.parse("redis://a/3?db=4")


@pytest.mark.parametrize(
    "url", ["valkey+replicated://u:17001,w@a:1", "redis://u:p?w@a", "valkey+cluster://a:1,u:p@b:2", "redis://a?x=@"]
)
def test_a_password_that_isnt_encoded(url: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="meaning of its own"):
        valkeykit.parse(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///run/valkey.sock", Address(socket="/run/valkey.sock", topology="single")),
        ("unix:///run/valkey.sock?db=1", Address(socket="/run/valkey.sock", database=1, topology="single")),
        ("unix://u:p%40@/a%20b.sock", Address(socket="/a b.sock", username="u", password="p@", topology="single")),
        ("valkey+unix://u@/a.sock", Address(socket="/a.sock", username="u", topology="single")),
    ],
)
def test_unix_sockets(url: str, expected: Address) -> None:
    address = valkeykit.parse(url)
    assert address == expected
    assert valkeykit.parse(address.url) == address
    assert "p@" not in repr(address)
    assert address.at(address.nodes[0]).socket == address.socket


@pytest.mark.parametrize(
    "url", ["unix://", "unix:///", "unix://run/valkey.sock", "unix://u:s3cret@run/a", "unix:///%00"]
)
def test_a_unix_socket_needs_an_absolute_path(url: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="absolute path") as caught:
        valkeykit.parse(url)
    assert "s3cret" not in str(caught.value)


def test_a_unix_socket_s_path_has_a_limit() -> None:
    with pytest.raises(errors.ConfigurationError, match="longer than 107 bytes"):
        valkeykit.parse(f"unix:///{'a' * 200}")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"connect_timeout": True}, "connect_timeout is True"),
        ({"read_timeout": "2"}, "read_timeout is '2'"),
        ({"read_timeout": -1}, "read_timeout"),
        ({"read_timeout": None}, "read_timeout"),
        ({"max_connections": 2.5}, "max_connections"),
        ({"max_connections": True}, "max_connections"),
        ({"decode": "yes"}, "decode"),
        ({"check_hostname": "false"}, "check_hostname"),
        ({"client_name": "two words"}, "client_name"),
        ({"topology": 5}, "topology"),
        ({"no_such": 5}, "unknown option no_such"),
        ({"credentials": "secret"}, "credentials is a str"),
        ({"sentinel_credentials": "secret"}, "pair of user and password"),
        ({"ca": 5}, "ca is a int"),
    ],
)
def test_options_of_a_wrong_kind(options: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=text):
        valkeykit.connect("rediss://localhost:6379", **options)


@pytest.mark.parametrize("source", [5, b"redis://localhost", ["redis://localhost"]])
def test_an_invalid_source(source: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="not a URL"):
        valkeykit.connect(source)
