"""Where a deployment's secrets are, and that they are nowhere else: see "Where secrets are" in docs/docker.md."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace

import psutil
import pytest

from harness.docker import IMAGE, NEW, DeploymentHarness, make_spec, new_secrets, running
from infra.drivers.docker.plan import Backups, Upload
from infra.hardening import Topology
from tests.docker.test_monitoring import EXPORTER
from tests.docker.test_upload import RCLONE

BUCKET = ("access-key-of-the-bucket", "secret-key-of-the-bucket")

PLACES: tuple[tuple[str, str, int], ...] = (
    # volume and path, whose secret, mode
    (r"conf/passwords/(\w+)", r"\1", 0o400),
    (r"conf/exporter/passwords\.json", "exporter", 0o400),
    (r"conf/nodes/node-\d+\.conf", "replica", 0o400),
    (r"conf/sentinels/sentinel-\d+\.conf", "sentinel", 0o400),
    (r"conf/tls/server\.key", "key", 0o400),
    (r"conf/upload/rclone\.conf", "bucket", 0o400),
    (r"node-\d+/valkey\.conf", "replica", 0o600),
    (r"sentinel-\d+/sentinel\.conf", "sentinel", 0o600),
)
NOWHERE = {"app", "admin", "monitor"}
ENVIRONMENTS = ("valkey-cli", "timeout", "sh", "docker-init", "tini")
"""Programs of a moment that are given a password by a variable, which their own user and root can read."""


@pytest.fixture(scope="module", params=["replicated", "cluster"])
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    topology: Topology = request.param
    spec = make_spec(
        tmp_path_factory.mktemp(topology),
        topology,
        exporter=EXPORTER,
        backups=Backups(interval=3600, keep=2),
        upload=Upload(RCLONE, "bucket/path", "http://127.0.0.1:9"),
    )
    with running(replace(spec, secrets=replace(spec.secrets, bucket=BUCKET))) as made:
        yield made


PACK = 'tar -C "$0" -cf - . || [ $? = 1 ]'
"""1: a file changed or was replaced meanwhile, as the position of a node is about once a second."""


def secrets_of(harness: DeploymentHarness) -> dict[str, str]:
    """By whose they are."""
    known = harness.spec.secrets
    users = [user.name for user in harness.spec.plan.users]
    body = "".join(known.certificate.key.splitlines()[1:3])
    return {**{user: known.passwords[user] for user in users}, "key": body, "bucket": BUCKET[1]}


def found_in(data: bytes, secrets: Mapping[str, str]) -> list[str]:
    text = data.replace(b"\n", b"")
    return sorted(owner for owner, secret in secrets.items() if secret.encode() in text)


def files(harness: DeploymentHarness) -> Iterator[tuple[str, tarfile.TarInfo, bytes]]:
    """Every file of every volume of the stack; and of what a container writes elsewhere."""
    engine, project = harness.spec.engine, harness.spec.plan.project
    for volume in engine.list_by_labels("volume", f"valkey.stack={harness.spec.plan.stack}"):
        box = ["run", "--rm", "--user", "0", "--network", "none", "-v", f"{volume}:/v:ro", "--entrypoint", "sh"]
        archive = engine.raw(*box, f"{IMAGE}:{NEW}", "-c", PACK, "/v")
        yield from _entries(volume.removeprefix(f"{project}_"), archive)
    for service in harness.deployment.project["services"]:
        if service not in {"exporter", "uploader"}:  # without a tar; they write nothing
            box = ["exec", harness.deployment.container(service), "sh", "-c", PACK, "/tmp"]
            yield from _entries(f"{service}:/tmp", engine.raw(*box))


def _entries(place: str, archive: bytes) -> Iterator[tuple[str, tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for entry in opened:
            if file := opened.extractfile(entry):
                yield f"{place}/{entry.name.removeprefix('./')}", entry, file.read()


def test_secrets_are_in_the_documented_files_alone_with_their_modes(harness: DeploymentHarness) -> None:
    secrets, seen = secrets_of(harness), set()
    for path, entry, data in files(harness):
        owners = found_in(data, secrets)
        for pattern, owner, mode in PLACES:
            if match := re.fullmatch(pattern, path):
                assert set(owners) <= {match.expand(owner)}, path
                if owners:
                    assert (entry.mode & 0o777, entry.uid) == (mode, 999), path
                break
        else:
            assert not owners, path
        seen |= set(owners)
    assert seen == set(secrets) - NOWHERE


def test_secrets_are_in_no_description_and_no_log(harness: DeploymentHarness) -> None:
    engine, label = harness.spec.engine, f"valkey.stack={harness.spec.plan.stack}"
    secrets = secrets_of(harness)
    for kind in ("container", "volume", "network"):
        names = engine.list_by_labels(kind, label)
        assert names
        assert not found_in(json.dumps(engine.inspect(kind, *names)).encode(), secrets), kind
    for name in engine.list_by_labels("container", label):
        for command in (("logs", name), ("top", name), ("diff", name)):
            assert not found_in(engine.raw(*command), secrets), command
    assert not found_in(engine.compose(harness.deployment.project, "config").encode(), secrets)
    assert not found_in(engine.compose(harness.deployment.project, "logs").encode(), secrets)


def test_secrets_are_in_no_list_of_processes_while_they_are_rotated(harness: DeploymentHarness) -> None:
    old = harness.spec.secrets
    new = replace(new_secrets(["x"], harness.spec.plan.users), certificate=old.certificate, ca=old.ca, bucket=BUCKET)
    harness.spec = replace(harness.spec, secrets=new)
    secrets = {**{f"old {user}": password for user, password in old.passwords.items()}, **secrets_of(harness)}
    seen, done = set(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    for owner in found_in(" ".join(process.cmdline()).encode(), secrets):
                        seen.add(f"{owner} in a command line of {process.name()}")
                with contextlib.suppress(psutil.Error):
                    name, variables = process.name(), json.dumps(process.environ()).encode()
                    if name not in ENVIRONMENTS:
                        seen.update(f"{owner} in the environment of {name}" for owner in found_in(variables, secrets))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        harness.ensure(secrets=replace(new, previous=old.passwords, login=old.passwords["admin"]))
        harness.ensure(secrets=new)
    finally:
        done.set()
        watcher.join()
    assert not seen
    test_secrets_are_in_the_documented_files_alone_with_their_modes(harness)
