"""The Docker engine, by its own client: what it prints is understood, what it refuses is explained.

Which engine it is, `DOCKER_HOST` or the context says, as for `docker` itself; all that is here works on a
remote one, since files travel through the engine's API.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from infra.errors import ProvisioningError
from infra.local.docker.compose import to_text
from infra.local.docker.files import FOLDER

MINIMUM_ENGINE = (20, 10)
MINIMUM_COMPOSE = (2, 20)

_CAUSES = (
    ("cannot connect to the docker daemon", "start it, or name another one by DOCKER_HOST or docker.context"),
    ("error during connect", "start the engine, or name another one by DOCKER_HOST or docker.context"),
    ("permission denied while trying to connect", "let your user use Docker, or run this as one that may"),
    ("context not found", "docker context ls, then pulumi config set --path valkey:docker.context <name>"),
    ("pool overlaps with other one", "pulumi config set --path valkey:docker.subnet <a free /24>"),
    ("port is already allocated", "pulumi config set port <another>"),
    ("address already in use", "pulumi config set port <another>"),
    ("cannot assign requested address", "pulumi config set --path valkey:docker.bind <an address of the engine's>"),
    ("no space left on device", "make room where the engine keeps its volumes: docker system df"),
    ("unauthorized", "pulumi config set --path valkey:docker.registryUser, and --secret docker.registryPassword"),
    ("pull access denied", "check docker.image, or give docker.registryUser and docker.registryPassword"),
    ("manifest unknown", "check the tag in docker.image"),
    ("no such image", "check docker.image, or load it by docker.imageFile"),
)


class EngineError(ProvisioningError):
    """Docker refused; the message is its own last line."""


@dataclass(frozen=True)
class Engine:
    """context: of the docker client; "" for the current one."""

    context: str = ""

    def docker(self, *arguments: str, stdin: bytes = b"", config: str | None = None) -> str:
        """Run a docker command and return what it prints.

        config: a folder with a configuration of the client's own, such as a login.

        Raises:
            EngineError: it failed.
        """
        return self.raw(*arguments, stdin=stdin, config=config).decode(errors="replace")

    def raw(self, *arguments: str, stdin: bytes = b"", config: str | None = None) -> bytes:
        command = self._command(arguments, config)
        try:
            run = subprocess.run(command, input=stdin, capture_output=True, env=_environment(), check=False)
        except FileNotFoundError:
            raise EngineError("there is no docker client", fix="install Docker's client (docker-cli)") from None
        if run.returncode:
            raise _explain(run.stderr.decode(errors="replace"))
        return run.stdout

    @contextlib.contextmanager
    def reading(self, *arguments: str) -> Iterator[IO[bytes]]:
        """What a docker command prints, as a stream."""
        with self._streaming(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as run:
            assert run.stdout is not None  # noqa: S101  (it is a pipe)
            yield run.stdout

    @contextlib.contextmanager
    def writing(self, *arguments: str) -> Iterator[IO[bytes]]:
        """A stream that a docker command reads."""
        with self._streaming(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as run:
            assert run.stdin is not None  # noqa: S101  (it is a pipe)
            yield run.stdin
            run.stdin.close()

    @contextlib.contextmanager
    def _streaming(self, arguments: Sequence[str], stdin: int, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
        command = self._command(arguments)
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=errors, env=_environment()) as run,
        ):
            try:
                with contextlib.suppress(BrokenPipeError):  # it says why on its other stream
                    yield run
            except BaseException:
                run.kill()
                raise
            run.wait()
            if run.returncode:
                errors.seek(0)
                raise _explain(errors.read().decode(errors="replace"))

    def _command(self, arguments: Sequence[str], config: str | None = None) -> list[str]:
        own = ["--config", config] if config else []
        chosen = ["--context", self.context] if self.context else []
        return ["docker", *own, *chosen, *arguments]

    def compose(self, project: Mapping[str, Any], *arguments: str) -> str:
        """Run a compose command on a rendered project, which is written nowhere."""
        options = ["--progress", "plain", "--project-directory", str(FOLDER), "-f", "-"]
        return self.docker("compose", *options, *arguments, stdin=to_text(project).encode())

    def check(self) -> str:
        """See that engine and compose are there and new enough; return the engine's id.

        Raises:
            EngineError: which one isn't.
        """
        facts = json.loads(self.docker("info", "--format", "{{json .}}"))
        if not facts.get("ServerVersion"):
            raise _explain("\n".join(facts.get("ServerErrors") or ["the engine doesn't answer"]))
        _refuse_older("Docker engine", facts["ServerVersion"], MINIMUM_ENGINE)
        _refuse_older("docker compose", self._compose_version(), MINIMUM_COMPOSE)
        return str(facts["ID"])

    def _compose_version(self) -> str:
        try:
            return self.docker("compose", "version", "--short").strip()
        except EngineError:  # what the client says of a plugin that isn't there differs from version to version
            raise EngineError("docker has no compose", fix="install docker compose (docker-compose-plugin)") from None

    def inspect(self, kind: str, *names: str) -> list[dict[str, Any]]:
        """What the engine knows of objects; those that aren't there are left out."""
        if not names:
            return []
        try:
            found: list[dict[str, Any]] = json.loads(self.docker(kind, "inspect", *names))
        except EngineError as problem:
            if "no such" not in str(problem).lower() and "not found" not in str(problem).lower():
                raise
            return [] if len(names) == 1 else [one for name in names for one in self.inspect(kind, name)]
        return found

    def labelled(self, kind: str, label: str) -> list[str]:
        """The names of objects that bear a label."""
        names = "{{.Names}}" if kind == "container" else "{{.Name}}"
        every = ["--all"] if kind == "container" else []
        return self.docker(kind, "ls", *every, "--filter", f"label={label}", "--format", names).split()


def _environment() -> dict[str, str]:
    """Without Pulumi's, which holds the passphrase: the client has no use for it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}


def _refuse_older(what: str, version: str, minimum: tuple[int, int]) -> None:
    numbers = version.lstrip("v").split(".")
    if tuple(int(number) for number in numbers[:2]) < minimum:
        needed = ".".join(map(str, minimum))
        raise EngineError(f"{what} is {version}, {needed} or newer is needed", fix=f"upgrade {what}")


def _explain(said: str) -> EngineError:
    """The line that says why, with what mends it; the last line where no cause is known."""
    lines = [line.strip().removeprefix("Error response from daemon: ") for line in said.splitlines() if line.strip()]
    for sign, fix in _CAUSES:
        for line in lines:
            if sign in line.lower():
                return EngineError(line, fix=fix)
    return EngineError(lines[-1] if lines else "docker failed without a word")
