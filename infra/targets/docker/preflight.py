"""Checks of the engine and of configured files, before any resource is registered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from valkeykit.errors import ConfigurationError, ValkeykitError
from valkeykit.version_numbers import minor_version

from infra import project
from infra.drivers import certificates, rdb
from infra.drivers.certificates import CertificatePair
from infra.drivers.docker.engine import Engine
from infra.errors import ProvisioningError
from infra.settings import StackSettings
from infra.settings.config_keys import remove_command, set_command
from infra.targets.docker.planning import PATCH_RELEASES


def check(settings: StackSettings) -> None:
    """Check the engine and the files.

    Raises:
        ConfigurationError: lists every problem.
    """
    problems = [str(problem) for problem in _problems(settings)]
    if problems:
        raise ConfigurationError(
            "\n".join(["the engine cannot run this configuration; nothing was changed:", *problems])
        )


def read_certificate(settings: StackSettings) -> tuple[CertificatePair, str]:
    """The operator's own certificate with its key, and its authority."""
    docker, root = settings.docker, project.root()
    texts = [(root / path).read_text() for path in (docker.certificate, docker.key, docker.ca)]
    return CertificatePair(texts[0], texts[1]), texts[2]


def _problems(settings: StackSettings) -> Iterator[ValkeykitError]:
    minor = minor_version(settings.version)
    if minor not in PATCH_RELEASES:
        yield ProvisioningError(
            f"Valkey {settings.version} is not supported, expected one of {', '.join(PATCH_RELEASES)}",
            fix=set_command("version", "9.1"),
        )
    try:
        Engine(settings.docker.context).check()
    except ProvisioningError as problem:
        yield problem
    yield from _file_problems(settings)


def _file_problems(settings: StackSettings) -> Iterator[ValkeykitError]:
    docker = settings.docker
    files = {key: getattr(docker, key) for key in ("certificate", "key", "ca", "imageFile")}
    missing = {key: path for key, path in files.items() if path and not _is_readable_file(project.root() / path)}
    if settings.restoreFrom and not _rdb_files(settings):
        yield ProvisioningError(
            f"restoreFrom {settings.restoreFrom} contains no RDB file", fix=set_command("restoreFrom", "<an RDB file>")
        )
    for key, path in missing.items():
        yield ProvisioningError(
            f"{key} is {path}, which does not exist or is not readable",
            fix=f"create it, or {remove_command(f'docker.{key}')}",
        )
    if docker.certificate and not missing:
        pair, ca = read_certificate(settings)
        if problem := certificates.validation_error(pair, ca, [docker.announced]):
            yield ProvisioningError(
                f"{docker.certificate} {problem}", fix=set_command("docker.certificate", "<another>")
            )


def _rdb_files(settings: StackSettings) -> list[Path]:
    """The file to restore; for a cluster also the files of a folder."""
    source = project.root() / settings.restoreFrom
    files = rdb.files(source) if settings.topology == "cluster" else [source]
    return [file for file in files if _is_readable_file(file)]


def _is_readable_file(file: Path) -> bool:
    return os.access(file, os.R_OK) and file.is_file()
