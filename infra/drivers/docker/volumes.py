"""Volumes: copy files to and from them through the engine's API, as the engine may be remote."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from infra.drivers.docker.engine import Engine, EngineError

OWNER_ID = 999
"""User and group id of valkey in the official image."""

READ_ATTEMPTS = 5
RETRY_INTERVAL_SECONDS = 0.2


@dataclass(frozen=True)
class Volume:
    """name: of the volume, or a folder of the engine's machine. image, labels: of containers that mount it."""

    engine: Engine
    name: str
    image: str
    labels: Sequence[str]

    def put(self, files: Mapping[str, str]) -> None:
        """Write small files that only the server's user can read."""
        with self._writing() as archive:
            for folder in sorted({path.rpartition("/")[0] for path in files if "/" in path}):
                archive.addfile(_entry(folder, tarfile.DIRTYPE, 0o500))
            for path, text in files.items():
                data = text.encode()
                archive.addfile(_entry(path, tarfile.REGTYPE, 0o400, len(data)), io.BytesIO(data))

    def make_folder(self, name: str) -> None:
        """Create a folder for the server's user."""
        with self._writing() as archive:
            archive.addfile(_entry(name, tarfile.DIRTYPE, 0o700))

    def upload(self, source: Path, name: str) -> None:
        """Copy a file of this machine; the server's user owns the copy."""
        with self._writing() as archive, source.open("rb") as file:
            archive.addfile(_entry(name, tarfile.REGTYPE, 0o600, source.stat().st_size), file)

    def exists(self, name: str) -> bool:
        """Whether a file exists."""
        return self.read(name) is not None

    def read(self, name: str) -> str | None:
        """The text of a small file; None if it doesn't exist."""
        with self._mounted() as container:
            return read(self.engine, container, f"/volume/{name}")

    def archive(self, target: Path) -> None:
        """Copy all files to a tar archive on this machine, 0600, atomically."""
        with (
            _atomic_file(target) as file,
            self._mounted() as container,
            self.engine.stream_output("cp", f"{container}:/volume/.", "-") as stream,
        ):
            shutil.copyfileobj(stream, file)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tarfile.TarFile]:
        with (
            self._mounted() as container,
            self.engine.stream_input("cp", "-", f"{container}:/volume") as stream,
            tarfile.open(fileobj=stream, mode="w|") as archive,
        ):
            yield archive

    @contextlib.contextmanager
    def _mounted(self) -> Iterator[str]:
        """A container that never runs and mounts the volume at /volume."""
        options = ("--network", "none", *self.labels, "-v", f"{self.name}:/volume")
        container = self.engine.docker("create", *options, self.image, "true").strip()
        try:
            yield container
        finally:
            self.engine.docker("rm", "--force", "--volumes", container)  # with the image's anonymous volumes


def read(engine: Engine, container: str, path: str) -> str | None:
    """The text of a small file of a container, running or not; None if it doesn't exist.

    If a file is replaced meanwhile, the engine mixes the size of one with the bytes of the other, so the command is
    retried.

    Raises:
        EngineError: the file can't be read.
    """
    cause = EngineError(f"{path} of {container} can't be read completely", fix="run the same command again")
    for _ in range(READ_ATTEMPTS):
        try:
            return _unpack(engine.raw("cp", f"{container}:{path}", "-"))
        except EngineError as problem:  # such as that of a starting container
            if "could not find the file" in problem.args[0].lower():
                return None
            cause = problem
        except (tarfile.TarError, ValueError):
            pass
        time.sleep(RETRY_INTERVAL_SECONDS)
    raise cause


def _unpack(archived: bytes) -> str:
    """The text of an archive's only file."""
    with tarfile.open(fileobj=io.BytesIO(archived)) as archive:
        (entry,) = archive
        file = archive.extractfile(entry)
        return file.read().decode(errors="replace") if file else ""


def download(engine: Engine, container: str, path: str, target: Path) -> None:
    """Copy a file of a container to this machine, 0600, atomically."""
    with (
        _atomic_file(target) as file,
        engine.stream_output("cp", f"{container}:{path}", "-") as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        for entry in archive:
            if source := archive.extractfile(entry):
                shutil.copyfileobj(source, file)


@contextlib.contextmanager
def _atomic_file(target: Path) -> Iterator[IO[bytes]]:
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _entry(path: str, kind: bytes, mode: int, size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.size, entry.uid, entry.gid = kind, mode, size, OWNER_ID, OWNER_ID
    return entry
