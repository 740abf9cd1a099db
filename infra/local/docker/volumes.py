"""Files in and out of volumes, through the engine's API: the engine's disk may be another machine's."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.local.docker.engine import Engine, EngineError

OWNER = 999
"""User and group of the official image's valkey."""


def put(engine: Engine, volume: str, image: str, files: Mapping[str, str]) -> None:
    """Write small files into a volume, readable for the server's user alone."""
    with _writing(engine, volume, image) as archive:
        for folder in sorted({path.rpartition("/")[0] for path in files if "/" in path}):
            archive.addfile(_entry(folder, tarfile.DIRTYPE, 0o500))
        for path, text in files.items():
            data = text.encode()
            archive.addfile(_entry(path, tarfile.REGTYPE, 0o400, len(data)), io.BytesIO(data))


def make_folder(engine: Engine, volume: str, image: str, name: str) -> None:
    """Make a folder for the server's user in a volume (or a folder of the engine's machine)."""
    with _writing(engine, volume, image) as archive:
        archive.addfile(_entry(name, tarfile.DIRTYPE, 0o700))


def upload(engine: Engine, volume: str, image: str, source: Path, name: str) -> None:
    """Copy a file of this machine into a volume, for the server to own."""
    with _writing(engine, volume, image) as archive, source.open("rb") as file:
        archive.addfile(_entry(name, tarfile.REGTYPE, 0o600, source.stat().st_size), file)


def exists(engine: Engine, volume: str, image: str, name: str) -> bool:
    """Whether a file is in a volume."""
    with _mounted(engine, volume, image) as container:
        try:
            engine.raw("cp", f"{container}:/volume/{name}", "-")
        except EngineError as problem:
            if "could not find the file" not in problem.args[0].lower():
                raise
            return False
    return True


def download(engine: Engine, container: str, path: str, target: Path) -> None:
    """Copy a file of a container to this machine, 0600; a half one never bears the name."""
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    with (
        engine.reading("cp", f"{container}:{path}", "-") as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
        partial.open("wb") as file,
    ):
        for entry in archive:
            if source := archive.extractfile(entry):
                shutil.copyfileobj(source, file)
    partial.replace(target)


@contextlib.contextmanager
def _writing(engine: Engine, volume: str, image: str) -> Iterator[tarfile.TarFile]:
    with (
        _mounted(engine, volume, image) as container,
        engine.writing("cp", "-", f"{container}:/volume") as stream,
        tarfile.open(fileobj=stream, mode="w|") as archive,
    ):
        yield archive


@contextlib.contextmanager
def _mounted(engine: Engine, volume: str, image: str) -> Iterator[str]:
    """A container that never runs, through which a volume is reached at /volume."""
    container = engine.docker("create", "--network", "none", "-v", f"{volume}:/volume", image, "true").strip()
    try:
        yield container
    finally:
        engine.docker("rm", "--force", container)


def _entry(path: str, kind: bytes, mode: int, size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.size, entry.uid, entry.gid = kind, mode, size, OWNER, OWNER
    return entry
