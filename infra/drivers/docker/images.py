"""Images: pull or load an image, and verify its digest and version."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from infra.drivers.docker.engine import Engine, EngineError, explain
from infra.drivers.files import write_private

_ACCESS_DENIED = r"denied|unauthorized|no basic auth"
_CHECK_IMAGE = "check docker.image, or load it with docker.imageFile"
_VERSION = re.compile(r"\bv=(\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class ImageSource:
    """The source of an image.

    reference: name and tag. digest: the expected sha256:…, or "".
    file: an archive of `docker save`, on this machine, or None to use a registry.
    user, password: of the registry, or "".
    """

    reference: str
    digest: str = ""
    file: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)


def ensure(engine: Engine, source: ImageSource) -> str:
    """Pull or load the image if the engine doesn't have it; return a name that refers to exactly this one.

    Raises:
        EngineError: it is not available, or has another digest.
    """
    if not engine.inspect("image", source.reference):
        if source.file:
            _load(engine, source)
        else:
            _pull(engine, source)
    return _exact(engine, source)


def find(engine: Engine, source: ImageSource) -> str:
    """As `ensure`, without pulling or loading: "" for an image that is available.

    Raises:
        EngineError: it is not available, or has another digest.
    """
    if engine.inspect("image", source.reference):
        return _exact(engine, source)
    if not source.file:
        _look_up(engine, source)
    return ""


def _exact(engine: Engine, source: ImageSource) -> str:
    """A name that refers to exactly the image with the digest."""
    if not source.digest:
        return source.reference
    (facts,) = engine.inspect("image", source.reference)
    if facts["Id"] == source.digest:
        return source.digest
    if any(digest.endswith(f"@{source.digest}") for digest in facts["RepoDigests"]):
        return f"{source.reference}@{source.digest}"
    actual = ", ".join(digest.partition("@")[2] for digest in facts["RepoDigests"]) or facts["Id"]
    raise EngineError(
        f"{source.reference} has the digest {actual}, not {source.digest}",
        fix="find out why it changed, then pulumi config set --path docker.digest <the right one>",
    )


def version(engine: Engine, image: str, labels: Sequence[str] = ()) -> str:
    """The version of the image's server, major.minor.patch.

    Raises:
        EngineError: it has no server.
    """
    options = ("--rm", *labels, "--network", "none", "--entrypoint", "valkey-server")
    output = engine.docker("run", *options, image, "--version")
    match = _VERSION.search(output)
    if match is None:
        raise EngineError(f"{image} has no valkey-server", fix="pulumi config set --path docker.image <one>")
    return match[1]


def _load(engine: Engine, source: ImageSource) -> None:
    engine.docker("load", "--quiet", "--input", str(source.file))
    if not engine.inspect("image", source.reference):
        raise EngineError(
            f"{source.file} does not contain {source.reference}",
            fix="pulumi config set --path docker.image <the name that `docker load` prints>",
        )


def _look_up(engine: Engine, source: ImageSource) -> None:
    """Have the engine look up the image in the registry, as for a pull.

    Raises:
        EngineError: there is no such image, or the registry doesn't respond.
    """
    headers = {}
    if source.user:
        login = {"username": source.user, "password": source.password, "serveraddress": _registry(source.reference)}
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
    status, answer = engine.get(f"/distribution/{_pinned(source)}/json", **headers)
    # A pull may use a login of the client, without which the registry hides the image.
    hidden = not source.user and (status in (401, 403) or re.search(_ACCESS_DENIED, answer.get("message", "")))
    if status != HTTPStatus.OK and not hidden:
        cause = explain(answer.get("message", "")) or EngineError(f"the registry responded with status {status}")
        raise EngineError(f"{source.reference} is not available: {cause.args[0]}", fix=cause.fix or _CHECK_IMAGE)


def _pinned(source: ImageSource) -> str:
    return f"{source.reference}@{source.digest}" if source.digest else source.reference


def _pull(engine: Engine, source: ImageSource) -> None:
    name = _pinned(source)
    if not source.user:
        engine.docker("pull", "--quiet", name)
    else:
        login = base64.b64encode(f"{source.user}:{source.password}".encode()).decode()
        with tempfile.TemporaryDirectory() as folder:  # 0700; the user's own login stays unchanged
            write_private(
                Path(folder) / "config.json", json.dumps({"auths": {_registry(source.reference): {"auth": login}}})
            )
            engine.docker("pull", "--quiet", name, config=folder)
    if source.digest:
        engine.docker("tag", name, source.reference)


def _registry(reference: str) -> str:
    """The registry that a reference names; Docker's own where it names none."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "https://index.docker.io/v1/"
