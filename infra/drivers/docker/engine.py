"""The Docker engine, by its own client: what it prints is understood, what it refuses is explained.

Which engine it is, `DOCKER_HOST` or the context says, as for `docker` itself; all that is here works on a
remote one, since files travel through the engine's API.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from infra.drivers.docker.compose import to_text
from infra.drivers.docker.files import FOLDER
from infra.errors import ProvisioningError

MINIMUM_ENGINE = (20, 10)
MINIMUM_COMPOSE = (2, 20)

END_SECONDS = 10.0
"""How long a command may take to end when it has nothing more to read."""

_AWAY = (
    r"(i/o timeout|deadline exceeded|client\.timeout|request canceled|timed out|handshake timeout|no route to host|"
    r"network is unreachable|no such host|could not resolve|connection (refused|reset|closed)|broken pipe|\beof\b)"
)
_UNTRUSTED = r"(x509|certificate|tls: |http response to https client|http request to an https server)"

_REGISTRY = r"\"https?://[^\"]*/v2/.*"
_CONNECTION = r"(error during connect|dial (tcp|unix)|(get|post|put|head|delete) \"http|(read|write) (tcp|unix)).*"

_OTHER = "name another engine by DOCKER_HOST or docker.context"

_CAUSES = (
    (_REGISTRY + _UNTRUSTED, "make the engine trust the registry (/etc/docker/certs.d), or use docker.imageFile"),
    (_REGISTRY + _AWAY, "check the engine's network to the registry, or use docker.imageFile"),
    (r"context not found", "docker context ls, then pulumi config set --path valkey:docker.context <name>"),
    (r"host key verification failed", "connect to the engine's machine with ssh once and accept its host key"),
    (
        r"permission denied \(publickey|too many authentication failures",
        "give ssh a key that the engine's machine takes",
    ),
    (r"permission denied while trying to connect", "let your user use Docker, or run this as one that may"),
    (_CONNECTION + _UNTRUSTED, f"check the certificates and the port: docker context inspect; or {_OTHER}"),
    (r"cannot connect to the docker daemon", f"start it, or {_OTHER}"),
    (
        rf"{_CONNECTION}{_AWAY}|^((unexpected )?eof|context deadline exceeded)$",
        f"check the engine and the network to it (docker info), then run the same command again; or {_OTHER}",
    ),
    (r"error during connect", f"start the engine, or {_OTHER}"),
    (r"pool overlaps with other one", "pulumi config set --path valkey:docker.subnet <a free /24>"),
    (r"port is already allocated|address already in use", "pulumi config set port <another>"),
    (r"cannot assign requested address", "pulumi config set --path valkey:docker.bind <an address of the engine's>"),
    (r"no space left on device", "make room where the engine keeps its volumes: docker system df"),
    (r"unauthorized", "pulumi config set --path valkey:docker.registryUser, and --secret docker.registryPassword"),
    (r"pull access denied", "check docker.image, or give docker.registryUser and docker.registryPassword"),
    (r"manifest unknown", "check the tag in docker.image"),
    (r"no such image", "check docker.image, or load it by docker.imageFile"),
)
"""A pattern of the line that says why, and its fix. The first one that is found in any line counts."""

_MISSING = re.compile(
    r"no such (container|volume|image|network|object)\b|(network|volume) \S+ not found", re.IGNORECASE
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
            raise _explain(arguments, run.returncode, run.stderr)
        return run.stdout

    @contextlib.contextmanager
    def reading(self, *arguments: str) -> Iterator[IO[bytes]]:
        """What a docker command prints, as a stream."""
        with self._streaming(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as run:
            yield _pipe(run.stdout)

    @contextlib.contextmanager
    def writing(self, *arguments: str) -> Iterator[IO[bytes]]:
        """A stream that a docker command reads."""
        with self._streaming(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as run:
            stdin = _pipe(run.stdin)
            yield stdin
            stdin.close()

    @contextlib.contextmanager
    def conversing(self, *arguments: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """What a docker command reads and what it prints, unbuffered; it ends when it has nothing more to read."""
        command = self._command(arguments)
        with subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as run:  # fmt: skip
            stdin = _pipe(run.stdin)
            try:
                yield stdin, _pipe(run.stdout)
                stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(END_SECONDS)
            finally:
                run.kill()

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
                raise _explain(arguments, run.returncode, errors.read())

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
        """What the engine's API answers, where the client has no command for it: status and JSON.

        Raises:
            EngineError: the engine can't be asked.
        """
        lines = [f"GET {path} HTTP/1.0", "Host: docker", *(f"{name}: {value}" for name, value in headers.items())]
        with self._streaming(("system", "dial-stdio"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            stdin = _pipe(run.stdin)
            stdin.write("\r\n".join([*lines, "", ""]).encode())
            stdin.flush()  # it stays open: the engine gives up a request whose client is gone
            head, _, body = _pipe(run.stdout).read().partition(b"\r\n\r\n")
            stdin.close()
        return int(head.split()[1]), json.loads(body)

    def _command(self, arguments: Sequence[str], config: str | None = None) -> list[str]:
        own = ["--config", config] if config else []
        chosen = ["--context", self.context] if self.context else []
        return ["docker", *own, *chosen, *arguments]

    def compose(self, project: Mapping[str, Any], *arguments: str) -> str:
        """Run a compose command on a rendered project, which is written nowhere."""
        options = ["--progress=plain", f"--project-directory={FOLDER}", "--file=-"]
        return self.docker("compose", *options, *arguments, stdin=to_text(project).encode())

    def check(self) -> str:
        """See that engine and compose are there and new enough; return the engine's id.

        Raises:
            EngineError: which one isn't.
        """
        command = ("info", "--format", "{{json .}}")
        facts = json.loads(self.docker(*command))
        if not facts.get("ServerVersion"):
            raise _explain(command, 0, "\n".join(facts.get("ServerErrors") or ["the engine doesn't answer"]).encode())
        _reject_older("Docker engine", facts["ServerVersion"], MINIMUM_ENGINE)
        _reject_older("docker compose", self._compose_version(), MINIMUM_COMPOSE)
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
            return found
        except EngineError as problem:
            if not _MISSING.search(problem.args[0]):
                raise
        # Outside of the handler, so that an engine that is gone by now is reported alone.
        return [one for name in names for one in self.inspect(kind, name)] if len(names) > 1 else []

    def labelled(self, kind: str, *labels: str) -> list[str]:
        """The names of objects that have all of the labels."""
        names = "{{.Names}}" if kind == "container" else "{{.Name}}"
        every = ["--all"] if kind == "container" else []
        filters = [option for label in labels for option in ("--filter", f"label={label}")]
        return self.docker(kind, "ls", *every, *filters, "--format", names).split()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


def _environment() -> dict[str, str]:
    """Without Pulumi's, which holds the passphrase: the client has no use for it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}


def _reject_older(what: str, version: str, minimum: tuple[int, int]) -> None:
    numbers = version.lstrip("v").split(".")
    if tuple(int(number) for number in numbers[:2]) < minimum:
        needed = ".".join(map(str, minimum))
        raise EngineError(f"{what} is {version}, {needed} or newer is needed", fix=f"upgrade {what}")


def explain(text: str) -> EngineError | None:
    """The line that says why, and its fix; the last line where no cause is known; None where there is no line."""
    lines = [line.strip().removeprefix("Error response from daemon: ") for line in text.splitlines() if line.strip()]
    for pattern, fix in _CAUSES:
        for line in lines:
            if re.search(pattern, line.lower()):
                return EngineError(line, fix=fix)
    return EngineError(lines[-1]) if lines else None


def _explain(arguments: Sequence[str], code: int, said: bytes) -> EngineError:
    if known := explain(said.decode(errors="replace")):
        return known
    ended = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    words = [word for word in arguments if re.fullmatch(r"\w[\w.-]*", word)][:3]  # without options and texts
    fix = f"docker logs {words[1]}" if words[0] == "exec" else "docker info, then run the same command again"
    return EngineError(f"docker {' '.join(words)} {ended} and printed no error", fix=fix)
