"""The Pulumi CLI: the one on PATH, else the official download, else built from source.

Source and version are pinned by pulumi/go.mod and language-host/go.mod in this folder. The downloaded or built CLI is
cached for the user and shared by all checkouts.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeykit.version_numbers import Version, parse_version

from stackctl.errors import StackError
from stackctl.progress import Progress

DOWNLOAD_TIMEOUT_SECONDS = 20.0
"""How long to wait for the download server before the CLI is built instead."""

_HERE = Path(__file__).parent
_CLI_MODULE = _HERE / "pulumi"
_HOST_MODULE = _HERE / "language-host"
_SDK = "github.com/pulumi/pulumi/sdk/v3"
_SDK_FILES = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
"""Scripts that the language host and the engine expect in their own folder."""


def find() -> Path:
    """The folder with `pulumi` and its Python language host, ready to be put on PATH.

    Raises:
        StackError: it isn't installed and can be neither downloaded nor built; the message has all three reasons.
    """
    on_path, why_not = _on_path()
    if on_path:
        return on_path
    with _locked(_cache()) as cache:
        binaries = cache / "bin"
        if _version(binaries / "pulumi"):
            _add_launcher(binaries)
            return binaries
        reasons = [f"PATH: {why_not}"]
        for description, install in (("downloading", _download), ("building with Go, 5 minutes, once", _build)):
            what = f"Pulumi CLI {pinned_version()}, {description}"
            sys.stderr.write(f"{what}\n")
            with Progress(what):
                problem = install(cache)
            if problem:
                reasons.append(problem)
            else:
                _add_launcher(binaries)
                return binaries
    raise StackError(
        "no Pulumi CLI, tried three ways:\n  " + "\n  ".join(reasons),
        fix="install it (https://www.pulumi.com/docs/install/), or allow the download, or install Go 1.26 or newer",
    )


def pinned_version() -> str:
    """The version that is downloaded or built, such as 3.274.1; stackctl/pulumi/go.mod pins it."""
    match = re.search(r"github.com/pulumi/pulumi/pkg/v3 v([\d.]+)", (_CLI_MODULE / "go.mod").read_text())
    if match is None:
        raise StackError(f"{_CLI_MODULE / 'go.mod'} pins no Pulumi CLI", fix="git checkout -- stackctl")
    return match[1]


def _on_path() -> tuple[Path | None, str]:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        return None, "pulumi is not installed"
    version = _version(Path(pulumi))
    if version < parse_version(pinned_version()):
        return None, f"{pulumi} is older than {pinned_version()}, which this project is tested with"
    if shutil.which("pulumi-language-python") is None:
        return None, f"{pulumi} has no pulumi-language-python in its folder"
    return Path(pulumi).parent, ""


def _version(binary: Path) -> Version:
    """The version that the binary prints; () where it doesn't run."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"}
    try:
        answer = subprocess.run([binary, "version"], capture_output=True, text=True, check=True, env=environment).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return parse_version(answer)


def _download(cache: Path) -> str | None:
    """Install the official release. Returns why that didn't work, or None."""
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    usual = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)  # the installer has no time-out of its own
    try:
        PulumiCommand.install(root=str(cache), version=VersionInfo.parse(pinned_version()))
    except Exception as problem:  # noqa: BLE001 — the installer raises whatever its parts raise
        return f"download: {str(problem).strip() or type(problem).__name__}"
    finally:
        socket.setdefaulttimeout(usual)
    return None


def _build(cache: Path) -> str | None:
    """Build it from the pinned modules. Returns why that didn't work, or None."""
    if shutil.which("go") is None:
        return "build: no go on PATH"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        version = f"-X {_SDK}/go/common/version.Version=v{pinned_version()}"
        environment = {**os.environ, "GOBIN": scratch, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        try:
            for module in (_HOST_MODULE, _CLI_MODULE):
                _go(module, environment, "install", "-trimpath", "-ldflags", f"-s -w {version}", "tool")
            sdk = Path(_go(_CLI_MODULE, environment, "list", "-m", "-f", "{{.Dir}}", _SDK).strip())
        except subprocess.CalledProcessError as problem:
            return f"build: {problem.stderr.strip().splitlines()[-1] if problem.stderr else problem}"
        for file in _SDK_FILES:
            shutil.copy(sdk / file, scratch)
            (Path(scratch) / Path(file).name).chmod(0o755)
        shutil.rmtree(cache / "bin", ignore_errors=True)
        Path(scratch).rename(cache / "bin")
        Path(scratch).mkdir()  # for its own clean-up
    return None


def _add_launcher(binaries: Path) -> None:
    """Put a script before the language host that was built; the official one, which comes with others, needs none."""
    host, launcher = binaries / "pulumi-language-python", _HOST_MODULE / "pulumi-language-python"
    renamed = binaries / "pulumi-language-python.bin"
    if renamed.exists() or (binaries / "pulumi-language-nodejs").exists() or not host.exists():
        return
    script = binaries / f".{host.name}.{os.getpid()}"
    shutil.copy(launcher, script)
    renamed.hardlink_to(host)
    script.replace(host)  # atomic, as a command may be running


def _go(module: Path, environment: dict[str, str], *arguments: str) -> str:
    command = ["go", *arguments]
    return subprocess.run(command, cwd=module, env=environment, check=True, capture_output=True, text=True).stdout


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "valkey-pulumi" / pinned_version()


@contextmanager
def _locked(cache: Path) -> Iterator[Path]:
    """One download or build at a time; the kernel drops the lock of a killed one."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache
