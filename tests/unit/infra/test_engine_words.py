"""A failure that Docker's client reports becomes one line with its fix."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from infra.drivers.docker import volumes
from infra.drivers.docker.engine import Engine, EngineError
from infra.errors import ProvisioningError

GET = 'error during connect: Get "https://engine:2376/v1.50/info": '
SSH = (
    'error during connect: Get "http://docker.example.com/v1.50/volumes/x": command [ssh -T -l root -- engine docker '
    "system dial-stdio] has exited with exit status 255, make sure the URL is valid, and Docker 18.09 or later is "
    "installed on the remote host: stderr="
)
PULL = 'Error response from daemon: Get "https://r.example/v2/": '

NETWORK = "check the engine and the network to it (docker info)"
CERTIFICATES = "check the certificates and the port"
REGISTRY = "check the engine's network to the registry"
TRUST = "make the engine trust the registry"

CASES = [
    (f"{SSH}ssh: connect to host engine port 22: Connection refused", NETWORK),
    (f"{SSH}ssh: connect to host engine port 22: No route to host", NETWORK),
    (f"{SSH}ssh: Could not resolve hostname engine: Name or service not known", NETWORK),
    (f"{SSH}kex_exchange_identification: Connection closed by remote host", NETWORK),
    (f"{SSH}Host key verification failed.", "connect to the engine's machine with ssh once"),
    (f"{SSH}root@engine: Permission denied (publickey,password).", "use an ssh key"),
    (SSH, "start the engine"),
    ('Get "https://engine:2376/v1.50/info": dial tcp 10.0.0.1:2376: i/o timeout', NETWORK),
    ('Get "https://engine:2376/v1.50/info": net/http: TLS handshake timeout', NETWORK),
    ('Get "https://engine:2376/v1.50/info": context deadline exceeded', NETWORK),
    (f"{GET}read tcp 10.0.0.2:40000->10.0.0.1:2376: read: connection reset by peer", NETWORK),
    (f"{GET}dial tcp: lookup engine on 10.0.0.53:53: no such host", NETWORK),
    (f"{GET}dial tcp 10.0.0.1:2376: connect: connection timed out", NETWORK),
    (f"{GET}EOF", NETWORK),
    ("unexpected EOF", NETWORK),
    ("context deadline exceeded", NETWORK),
    ("Cannot connect to the Docker daemon at tcp://10.0.0.1:2375. Is the docker daemon running?", "start it"),
    (f"{GET}x509: certificate signed by unknown authority", CERTIFICATES),
    (f"{GET}tls: failed to verify certificate: x509: certificate has expired or is not yet valid", CERTIFICATES),
    (f"{GET}http: server gave HTTP response to HTTPS client", CERTIFICATES),
    (
        "permission denied while trying to connect to the Docker daemon socket at unix:///run/x",
        "give your user access to Docker",
    ),
    ('Failed to initialize: context "x": context not found: open /x/meta.json: no such file', "docker context ls"),
    (f"{PULL}dial tcp 10.0.0.9:443: i/o timeout", REGISTRY),
    (f"{PULL}net/http: request canceled (Client.Timeout exceeded while awaiting headers)", REGISTRY),
    (f"{PULL}x509: certificate signed by unknown authority", TRUST),
    (f"{PULL}http: server gave HTTP response to HTTPS client", TRUST),
]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that prints the lines of `said`, logs its arguments, and exits with the number in `code`."""
    script = tmp_path / "docker"
    script.write_text(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\ncat {tmp_path}/said >&2\n'
        f'read -r code <{tmp_path}/code\n[ "$code" != killed ] || kill -9 $$\nexit "$code"\n'
    )
    script.chmod(0o755)
    (tmp_path / "said").touch()
    (tmp_path / "code").write_text("1\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(("said", "fix"), CASES)
def test_a_lost_connection_is_one_line_with_its_fix_and_the_only_query(client: Path, said: str, fix: str) -> None:
    """Objects that can't be looked at aren't taken for ones that aren't there."""
    (client / "said").write_text(f"[]\n{said}\n")
    for names in (("one",), ("one", "two")):
        (client / "asked").write_text("")
        with pytest.raises(EngineError) as problem:
            Engine().inspect("volume", *names)
        assert problem.value.args[0] == said.removeprefix("Error response from daemon: ")
        assert problem.value.fix.startswith(fix)
        assert len((client / "asked").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("volume", "Error response from daemon: get one: no such volume"),
        ("container", "Error response from daemon: No such container: one"),
        ("container", "Error: No such container: one"),
        ("network", "Error response from daemon: network one not found"),
        ("image", "Error response from daemon: no such image: one: No such image: one:latest"),
    ],
)
def test_what_is_not_there_is_left_out(client: Path, kind: str, said: str) -> None:
    (client / "said").write_text(f"{said}\n")
    assert Engine().inspect(kind, "one", "two") == []


def test_an_engine_that_stops_between_two_queries_is_the_only_error(client: Path) -> None:
    """Not one that is shown after "no such volume", during the handling of which it occurred."""
    (client / "said").write_text("get one: no such volume\n")
    (client / "later").write_text(f"{SSH}ssh: connect to host engine port 22: Connection refused\n")
    script = client / "docker"
    script.write_text(script.read_text().replace("exit", f"mv {client}/later {client}/said; exit"))
    with pytest.raises(EngineError, match=r"exit status 255.*Connection refused") as problem:
        Engine().inspect("volume", "one", "two")
    assert problem.value.__context__ is None


@pytest.mark.parametrize(
    ("code", "ended"), [("1", "failed with exit code 1"), ("125", "failed with exit code 125"), ("killed", "signal 9")]
)
def test_a_command_that_fails_without_a_word_is_named(client: Path, code: str, ended: str) -> None:
    (client / "code").write_text(f"{code}\n")
    with pytest.raises(ProvisioningError, match=rf"docker volume create data .*{ended}.* and printed no error -> "):
        Engine().docker("volume", "create", "--label", "a=b", "data")
    with pytest.raises(ProvisioningError, match=rf"docker compose up .*{ended}.* and printed no error -> "):
        Engine().compose({"services": {}}, "up", "--detach")
    with pytest.raises(ProvisioningError, match=rf"docker exec node-0 sh .*{ended}.* -> docker logs node-0$"):
        Engine().docker("exec", "-i", "node-0", "sh", "-c", "a script; that is too long to print")


def test_a_server_behind_exec_that_refuses_is_not_taken_for_a_lost_engine(client: Path) -> None:
    (client / "said").write_text("Could not connect to Valkey at 127.0.0.1:6380: Connection refused\n")
    with pytest.raises(EngineError, match="Could not connect to Valkey") as problem:
        Engine().docker("exec", "node-0", "valkey-cli")
    assert not problem.value.fix


def archive(size: int, content: bytes) -> bytes:
    """Of a file that had that size before it was replaced."""
    entry = tarfile.TarInfo("position")
    entry.size = size
    return entry.tobuf() + content


@pytest.mark.parametrize(
    "torn", [b"", archive(5, b"half"), archive(600, bytes(512))[:700]], ids=["none", "half", "cut"]
)
def test_a_file_that_is_replaced_while_it_is_copied_is_copied_again(
    torn: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = [torn, torn, archive(5, b"whole".ljust(512, b"\0")) + bytes(1024)]
    monkeypatch.setattr(volumes, "RETRY_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(Engine, "raw", lambda *_: archives.pop(0))
    assert volumes.read(Engine(), "node-0", "/data/position") == "whole"
    archives += [torn] * volumes.READ_ATTEMPTS
    with pytest.raises(EngineError, match="position of node-0 can't be read completely"):
        volumes.read(Engine(), "node-0", "/data/position")
