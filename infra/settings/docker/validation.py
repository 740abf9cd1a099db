"""Cross-key validation for the docker target."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from infra.settings.config_keys import ConfigProblem, is_secret, remove_command, set_command, set_secret_command
from infra.settings.docker.settings import DockerSettings

CERTIFICATE_KEYS = ("certificate", "key", "ca")
"""Set together, or not at all."""


def find_problems(docker: DockerSettings) -> Iterator[ConfigProblem]:
    """All contradictions among the keys of the docker target."""
    yield from _addresses(docker)
    yield from _files_and_logins(docker)
    yield from _images(docker)
    yield from _uploads(docker)


def _addresses(docker: DockerSettings) -> Iterator[ConfigProblem]:
    address = ipaddress.ip_address(docker.bind)
    if (address.is_unspecified or address.is_global) and not docker.allowedCidrs:
        yield ConfigProblem(
            "docker.bind",
            f"is {docker.bind}, which is open to the internet",
            f"{set_command('docker.bind', '127.0.0.1')}, or "
            f"{set_command('docker.allowedCidrs', '<the networks that may connect>')}",
        )
    for network in docker.allowedCidrs:
        if ipaddress.ip_network(network).prefixlen == 0:
            reason = f"contains {network}, which is every address"
            yield ConfigProblem("docker.allowedCidrs", reason, remove_command("docker.allowedCidrs"))
    if address.is_unspecified and not docker.host:
        reason = f"is empty, and clients cannot connect to {docker.bind}"
        yield ConfigProblem("docker.host", reason, set_command("docker.host", "<its name>"))


def _files_and_logins(docker: DockerSettings) -> Iterator[ConfigProblem]:
    present = [name for name in CERTIFICATE_KEYS if getattr(docker, name)]
    if present and len(present) < len(CERTIFICATE_KEYS):
        missing = next(name for name in CERTIFICATE_KEYS if name not in present)
        reason = f"is empty, but docker.{present[0]} is set"
        yield ConfigProblem(f"docker.{missing}", reason, set_command(f"docker.{missing}", "<file>"))
    if bool(docker.registryUser) != bool(docker.registryPassword):
        missing, other = ("registryPassword", "registryUser")[:: 1 if docker.registryUser else -1]
        yield ConfigProblem(f"docker.{missing}", f"is empty, but docker.{other} is set", _fill_command(missing))


def _images(docker: DockerSettings) -> Iterator[ConfigProblem]:
    if docker.image.endswith(":latest"):
        reason = "is a tag that moves across major versions"
        yield ConfigProblem("docker.image", reason, set_command("docker.image", "valkey/valkey:9.1.2"))
    for key in ("exporter", "uploader"):
        if getattr(docker, key).endswith(":latest"):
            reason = "is not pinned to a version"
            yield ConfigProblem(f"docker.{key}", reason, set_command(f"docker.{key}", "<name>:<version>"))


def _uploads(docker: DockerSettings) -> Iterator[ConfigProblem]:
    if not docker.backupUrl:
        return
    if not docker.backupEvery:
        reason = "is 0, but docker.backupUrl is set"
        yield ConfigProblem("docker.backupEvery", reason, set_command("docker.backupEvery", "24"))
    for key in ("backupAccessKey", "backupSecretKey", "uploader"):
        if not getattr(docker, key):
            yield ConfigProblem(f"docker.{key}", "is empty, but docker.backupUrl is set", _fill_command(key))


def _fill_command(key: str) -> str:
    path = f"docker.{key}"
    return set_secret_command(path) if is_secret(DockerSettings, key) else set_command(path, "<it>")
