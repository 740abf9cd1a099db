"""The smoke suite itself: it passes on a good server, and fails on a bad one, each for its reason."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from valkeykit.endpoint import Endpoint
from valkeykit.url import Address, Node, join_nodes, parse

from harness import servers, tls
from harness.ports import HOST
from infra.drivers.processes import ports, server
from infra.drivers.processes.running_server import ServerSpec
from infra.drivers.topology.node_executor import wait_until
from stackctl.stack import PROJECT
from tests.smoke.sockets import answers_plain_text
from tests.smoke.subject import Subject
from tests.support.single_server import PASSWORDS, client_of, pid_of


def smoke(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "tests/smoke", "-q", "--tb=no", "-p", "no:cacheprovider", *options]
    return subprocess.run(
        command, env={**os.environ, **variables}, cwd=PROJECT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def urls(spec: ServerSpec) -> dict[str, str]:
    """A hardened server's URLs, in the variables that the suite reads."""
    port = server.ensure(spec).port
    users = {"VALKEY_URL": "app", "VALKEY_ADMIN_URL": "admin", "VALKEY_MONITOR_URL": "monitor"}
    return {
        name: Address(ports.HOST, port, username=user, password=PASSWORDS[user]).url for name, user in users.items()
    }


def test_it_passes_on_a_hardened_server_and_writes_junit(urls: dict[str, str], tmp_path: Path) -> None:
    result = smoke("--junitxml", str(tmp_path / "junit.xml"), **urls)
    assert result.returncode == 0, result.stdout
    assert "ok      The default user is off" in result.stdout
    assert re.search(r"Latency of PING: \S+: median \d+\.\d ms", result.stdout)
    assert re.search(r"Latency of reads: 99 of 100 within \d+\.\d ms", result.stdout)
    assert 'failures="0"' in (tmp_path / "junit.xml").read_text()


def test_a_brief_run_prints_failures_and_totals(spec: ServerSpec, urls: dict[str, str]) -> None:
    shown = smoke("-q", "--brief", "-o", "console_output_style=classic", **urls).stdout.split("\n")
    shown = [line for line in shown if line and not line.startswith("warning Latency ")]  # on a busy machine
    assert [re.sub(r"\d+", "N", line) for line in shown] == [
        "N checks passed",
        "N checks do not apply (VERBOSE=N lists them)",
    ]
    with client_of(spec) as admin:
        admin.config_set("maxmemory", "0")
    shown = smoke("-q", "--brief", "-o", "console_output_style=classic", **urls).stdout.split("\n")
    failures = [line for line in shown if line.startswith("FAILED")]
    assert failures == [next(line for line in shown if "maxmemory is 0" in line)]
    assert any(re.fullmatch(r"1 of \d+ checks failed -> .venv/bin/valkeykit doctor", line) for line in shown)


def test_clients_that_follow_a_failover_are_named() -> None:
    address, nodes = parse("redis://127.0.0.1:1"), (Node("127.0.0.1", 1), Node("127.0.0.1", 2))
    known = Endpoint("embedded", "replicated", nodes, False, "9.1.2", "cache", 2**26, ("app",), sentinels=nodes)
    assert Subject(address, endpoint=known).note.startswith("clients that read VALKEY_SENTINELS follow a failover")
    assert Subject(address, endpoint=replace(known, sentinels=())).note.startswith("clients that read VALKEY_NODES")
    assert Subject(address, endpoint=replace(known, topology="cluster")).note == ""
    assert Subject(address).note == ""


def test_a_hint_can_be_followed() -> None:
    """Whoever named the stack can't be asked to name it."""
    address = parse("redis://127.0.0.1:1")
    unknown, known = Subject(address), Subject(address, stack="web")
    assert unknown.lacks("sentinels") == "no Sentinel is known: use --stack, or set VALKEY_SENTINELS"
    for need in ("sentinels", "replicas", "admin", "monitor"):
        assert str(known.lacks(need)).startswith("the stack has no ")
    watched = Subject.of_environment({"VALKEY_URL": "redis://127.0.0.1:1", "VALKEY_SMOKE_SENTINELS": "127.0.0.1:2"})
    assert watched.sentinels == (Node("127.0.0.1", 2),)
    assert watched.lacks("sentinels") is None
    assert not watched.address.sentinels


@pytest.mark.parametrize(
    ("breakage", "check"),
    [
        (("ACL", "SETUSER", "default", "on", "nopass"), "FAILED  Nobody gets in without a password"),
        (("ACL", "SETUSER", "default", "on", ">guess"), "FAILED  The default user is off"),
        (("ACL", "SETUSER", "app", "+flushall"), "FAILED  The application can't stop, empty or reconfigure the server"),
        (("ACL", "SETUSER", "monitor", "+get"), "FAILED  The monitor reads figures, but no values"),
        (("CONFIG", "SET", "maxmemory", "0"), "maxmemory is 0: the server grows"),
        (("CONFIG", "SET", "appendonly", "no"), "it is off: a restart loses"),
        (("ACL", "SETUSER", "app", "-eval"), "FAILED  Scripts run"),
        (("ACL", "SETUSER", "app", "off"), "FAILED  The application's URL logs in and PING is answered: user app"),
    ],
)
def test_it_fails_for_what_is_broken(
    spec: ServerSpec, urls: dict[str, str], breakage: tuple[str, ...], check: str
) -> None:
    with client_of(spec) as admin:
        admin.execute_command(*breakage)
    result = smoke(**urls)
    assert result.returncode == 1
    assert check in result.stdout
    assert not [password for password in PASSWORDS.values() if password in result.stdout + result.stderr]


def _as_it_is(_context: ssl.SSLContext) -> None:
    """A context of today speaks TLS 1.2 and newer."""


def _old_protocol(context: ssl.SSLContext) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        ((tls.LOCAL, 30, _as_it_is), "ok      The certificate is valid for a week more: 30 days"),
        ((tls.LOCAL, 6, _as_it_is), "FAILED  The certificate is valid for a week more: 127.0.0.1:"),
        ((tls.LOCAL, 30, _old_protocol), "FAILED  Nothing older than TLS 1.2 is spoken: 127.0.0.1:"),
        (
            ("DNS:elsewhere.example", 30, _as_it_is),
            "FAILED  The application's URL logs in and PING is answered: no answer",
        ),
    ],
)
def test_it_looks_at_the_certificate(
    urls: dict[str, str], tmp_path: Path, certificate: tuple[str, int, Callable[[ssl.SSLContext], None]], said: str
) -> None:
    names, days, change = certificate
    context = tls.context(tmp_path, names, days)
    change(context)
    plain = parse(urls["VALKEY_URL"])
    with tls.end(tmp_path, plain.port, context) as answering:
        secure = {
            name: replace(parse(url), port=answering.port, tls=True).url.replace("rediss", "valkeys")
            for name, url in urls.items()
        }
        result = smoke(**secure, VALKEY_CA=str(answering.ca))
    assert said in result.stdout
    assert ("FAILED" in result.stdout) == ("FAILED" in said)


def test_it_sees_a_tls_port_that_answers_in_plain_text(urls: dict[str, str]) -> None:
    address = parse(urls["VALKEY_URL"])
    assert answers_plain_text(Node(address.host, address.port))


def test_it_looks_at_every_node(tmp_path: Path) -> None:
    """On a cluster of which one node doesn't follow, and another one's memory has no limit."""
    with servers.cluster(tmp_path, replicas=1) as nodes:
        for node in nodes[:-1]:
            with node.client() as client:
                client.config_set("maxmemory", 64 * 1024**2)
        known = join_nodes(Node(HOST, node.port) for node in nodes)
        nodes[3].pause()
        try:
            result = smoke(VALKEY_URL=nodes[0].url, VALKEY_NODES=known)
        finally:
            nodes[3].resume()
        assert "FAILED  The application's URL logs in and PING is answered: no answer to PING" in result.stdout
        result = smoke(VALKEY_URL=nodes[0].url, VALKEY_NODES=known)
        assert f"FAILED  Memory has a limit: 127.0.0.1:{nodes[5].port}: maxmemory is 0" in result.stdout
        assert "ok      The cluster serves every slot" in result.stdout
        with nodes[4].client() as client:
            client.execute_command("CLUSTER RESET")
        with nodes[1].client() as client:
            client.execute_command("CLUSTER DELSLOTS", 8000)
        with nodes[0].client() as client:
            wait_until(lambda: str(nodes[4].port) not in str(client.execute_command("CLUSTER SLOTS")), 300, "it stays")
        result = smoke(VALKEY_URL=nodes[0].url, VALKEY_NODES=known)
        assert "FAILED  Each shard has one primary" in result.stdout
        assert "FAILED  The cluster serves every slot" in result.stdout


def test_it_fails_at_once_when_nobody_answers(spec: ServerSpec, urls: dict[str, str]) -> None:
    os.kill(pid_of(spec), signal.SIGKILL)
    result = smoke(**urls)
    assert result.returncode == 1
    assert "FAILED  Every server's port answers: 127.0.0.1:" in result.stdout
    assert "Connection refused" in result.stdout
    assert "1 failed" in result.stdout


def test_it_fails_when_the_server_is_frozen(spec: ServerSpec, urls: dict[str, str]) -> None:
    os.kill(pid_of(spec), signal.SIGSTOP)
    try:
        result = smoke(**urls)
    finally:
        os.kill(pid_of(spec), signal.SIGCONT)
    assert result.returncode == 1
    assert "FAILED  The application's URL logs in and PING is answered: no answer to PING" in result.stdout


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://localhost", "must start with one of redis://"),
        ("redis://app:p@ss:w/rd#1@localhost", "percent-encode"),
        ("redis://localhost:sixtythree", "no valid host and port"),
    ],
)
def test_it_tells_a_url_that_is_none_without_repeating_it(url: str, reason: str) -> None:
    result = smoke(VALKEY_URL=url)
    assert result.returncode == 1
    assert reason in result.stdout + result.stderr
    assert url not in result.stdout + result.stderr


def test_it_fails_within_its_time_when_packets_vanish() -> None:
    """A listener whose queue is full answers no connection, like a host behind a firewall."""
    with socket.socket() as hole, contextlib.ExitStack() as waiting:
        hole.bind((ports.HOST, 0))
        hole.listen(0)
        for _ in range(4):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        result = smoke(VALKEY_URL=f"redis://{ports.HOST}:{hole.getsockname()[1]}")
    assert result.returncode == 1
    assert "FAILED  Every server's port answers" in result.stdout
    assert "1 failed" in result.stdout
