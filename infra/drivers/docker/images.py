"""The image: pulled, loaded from a file, or there already; and that it is the one that was asked for."""

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

_HIDES = r"denied|unauthorized|no basic auth"
_CHECK = "check docker.image, or load it by docker.imageFile"
_VERSION = re.compile(r"\bv=(\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class ImageSource:
    """Where the image comes from.

    reference: name and tag. digest: sha256:… that it must have, or "".
    file: an archive of `docker save`, on this machine, or None to use a registry.
    user, password: of the registry, or "".
    """

    reference: str
    digest: str = ""
    file: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)


def ensure(engine: Engine, source: ImageSource) -> str:
    """See that the image is on the engine; return the name by which exactly this one runs.

    Raises:
        EngineError: it can't be had, or has another digest.
    """
    if not engine.inspect("image", source.reference):
        if source.file:
            _load(engine, source)
        else:
            _pull(engine, source)
    return _exact(engine, source)


def find(engine: Engine, source: ImageSource) -> str:
    """As `ensure`, but nothing is pulled or loaded: "" for an image that can be had.

    Raises:
        EngineError: it can't be had, or has another digest.
    """
    if engine.inspect("image", source.reference):
        return _exact(engine, source)
    if not source.file:
        _look_up(engine, source)
    return ""


def _exact(engine: Engine, source: ImageSource) -> str:
    """The name by which exactly the image runs that has the digest."""
    if not source.digest:
        return source.reference
    (facts,) = engine.inspect("image", source.reference)
    if facts["Id"] == source.digest:
        return source.digest
    if any(known.endswith(f"@{source.digest}") for known in facts["RepoDigests"]):
        return f"{source.reference}@{source.digest}"
    known = ", ".join(found.partition("@")[2] for found in facts["RepoDigests"]) or facts["Id"]
    raise EngineError(
        f"{source.reference} has the digest {known}, not {source.digest}",
        fix="find out who changed it; then pulumi config set --path valkey:docker.digest <the right one>",
    )


def version(engine: Engine, image: str, labels: Sequence[str] = ()) -> str:
    """The version of the image's server, major.minor.patch.

    Raises:
        EngineError: there is no server in it.
    """
    options = ("--rm", *labels, "--network", "none", "--entrypoint", "valkey-server")
    said = engine.docker("run", *options, image, "--version")
    match = _VERSION.search(said)
    if match is None:
        raise EngineError(f"{image} holds no valkey-server", fix="pulumi config set --path valkey:docker.image <one>")
    return match[1]


def _load(engine: Engine, source: ImageSource) -> None:
    engine.docker("load", "--quiet", "--input", str(source.file))
    if not engine.inspect("image", source.reference):
        raise EngineError(
            f"{source.file} doesn't hold {source.reference}",
            fix="pulumi config set --path valkey:docker.image <the name that `docker load` prints>",
        )


def _look_up(engine: Engine, source: ImageSource) -> None:
    """Have the engine ask the registry, as for a pull.

    Raises:
        EngineError: there is no such image, or the registry doesn't answer.
    """
    headers = {}
    if source.user:
        login = {"username": source.user, "password": source.password, "serveraddress": _registry(source.reference)}
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
    status, answer = engine.get(f"/distribution/{_wanted(source)}/json", **headers)
    # Without the login that the client may have, a registry may hide what a pull finds.
    hidden = not source.user and (status in (401, 403) or re.search(_HIDES, answer.get("message", "")))
    if status != HTTPStatus.OK and not hidden:
        cause = explain(answer.get("message", "")) or EngineError(f"the registry answered {status}")
        raise EngineError(f"{source.reference} can't be had: {cause.args[0]}", fix=cause.fix or _CHECK)


def _wanted(source: ImageSource) -> str:
    return f"{source.reference}@{source.digest}" if source.digest else source.reference


def _pull(engine: Engine, source: ImageSource) -> None:
    wanted = _wanted(source)
    if not source.user:
        engine.docker("pull", "--quiet", wanted)
    else:
        login = base64.b64encode(f"{source.user}:{source.password}".encode()).decode()
        with tempfile.TemporaryDirectory() as folder:  # 0700; a login of one's own stays as it is
            write_private(
                Path(folder) / "config.json", json.dumps({"auths": {_registry(source.reference): {"auth": login}}})
            )
            engine.docker("pull", "--quiet", wanted, config=folder)
    if source.digest:
        engine.docker("tag", wanted, source.reference)


def _registry(reference: str) -> str:
    """The registry that a reference names; Docker's own where it names none."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "https://index.docker.io/v1/"
