"""The Docker engine: runs the docker client, parses its output and explains its errors.

`DOCKER_HOST` or the context selects the engine, as for `docker` itself. Remote engines work too, since files are copied
through the engine's API.
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

from valkeykit.version_numbers import parse_version

from infra.drivers.docker.compose import to_text
from infra.drivers.docker.deployment_files import FOLDER
from infra.errors import ProvisioningError

MINIMUM_ENGINE = (20, 10)
MINIMUM_COMPOSE = (2, 20)

COMMAND_EXIT_TIMEOUT_SECONDS = 10.0
"""How long a command may take to end after its input has ended."""

_UNREACHABLE = (
    r"(i/o timeout|deadline exceeded|client\.timeout|request canceled|timed out|handshake timeout|no route to host|"
    r"network is unreachable|no such host|could not resolve|connection (refused|reset|closed)|broken pipe|\beof\b)"
)
_UNTRUSTED = r"(x509|certificate|tls: |http response to https client|http request to an https server)"

_REGISTRY = r"\"https?://[^\"]*/v2/.*"
_CONNECTION = r"(error during connect|dial (tcp|unix)|(get|post|put|head|delete) \"http|(read|write) (tcp|unix)).*"

_SELECT_ANOTHER = "select another engine with DOCKER_HOST or docker.context"

_CAUSES = (
    (_REGISTRY + _UNTRUSTED, "make the engine trust the registry (/etc/docker/certs.d), or use docker.imageFile"),
    (_REGISTRY + _UNREACHABLE, "check the engine's network to the registry, or use docker.imageFile"),
    (r"context not found", "docker context ls, then pulumi config set --path docker.context <name>"),
    (r"host key verification failed", "connect to the engine's machine with ssh once and accept its host key"),
    (
        r"permission denied \(publickey|too many authentication failures",
        "use an ssh key that the engine's machine accepts",
    ),
    (
        r"permission denied while trying to connect",
        "give your user access to Docker, or run the command as one who has it",
    ),
    (_CONNECTION + _UNTRUSTED, f"check the certificates and the port: docker context inspect; or {_SELECT_ANOTHER}"),
    (r"cannot connect to the docker daemon", f"start it, or {_SELECT_ANOTHER}"),
    (
        rf"{_CONNECTION}{_UNREACHABLE}|^((unexpected )?eof|context deadline exceeded)$",
        f"check the engine and the network to it (docker info), then run the same command again; or {_SELECT_ANOTHER}",
    ),
    (r"error during connect", f"start the engine, or {_SELECT_ANOTHER}"),
    (r"pool overlaps with other one", "pulumi config set --path docker.subnet <a free /24>"),
    (r"port is already allocated|address already in use", "pulumi config set port <another>"),
    (r"cannot assign requested address", "pulumi config set --path docker.bind <an address of the engine's>"),
    (r"no space left on device", "free space on the disk of the engine's volumes: docker system df"),
    (r"unauthorized", "pulumi config set --path docker.registryUser, and --secret docker.registryPassword"),
    (r"pull access denied", "check docker.image, or give docker.registryUser and docker.registryPassword"),
    (r"manifest unknown", "check the tag in docker.image"),
    (r"no such image", "check docker.image, or load it with docker.imageFile"),
)
"""Patterns of error lines, and their fixes. The first pattern that matches a line counts."""

_MISSING = re.compile(
    r"no such (container|volume|image|network|object)\b|(network|volume) \S+ not found", re.IGNORECASE
)


class EngineError(ProvisioningError):
    """A docker command failed; the message is Docker's own."""


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
        command = self.command(arguments, config)
        try:
            run = subprocess.run(command, input=stdin, capture_output=True, env=_environment(), check=False)
        except FileNotFoundError:
            raise EngineError(
                "the docker client is not installed", fix="install Docker's client (docker-cli)"
            ) from None
        if run.returncode:
            raise _explain(arguments, run.returncode, run.stderr)
        return run.stdout

    @contextlib.contextmanager
    def stream_output(self, *arguments: str) -> Iterator[IO[bytes]]:
        """The output of a docker command, as a stream."""
        with self._streaming(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as run:
            yield _pipe(run.stdout)

    @contextlib.contextmanager
    def stream_input(self, *arguments: str) -> Iterator[IO[bytes]]:
        """The input of a docker command, as a stream."""
        with self._streaming(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as run:
            stdin = _pipe(run.stdin)
            yield stdin
            stdin.close()

    @contextlib.contextmanager
    def open_pipes(self, *arguments: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The input and output of a docker command, unbuffered; it ends after its input."""
        command = self.command(arguments)
        with subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as run:  # fmt: skip
            stdin = _pipe(run.stdin)
            try:
                yield stdin, _pipe(run.stdout)
                stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(COMMAND_EXIT_TIMEOUT_SECONDS)
            finally:
                run.kill()

    @contextlib.contextmanager
    def _streaming(self, arguments: Sequence[str], stdin: int, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
        command = self.command(arguments)
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=errors, env=_environment()) as run,
        ):
            try:
                with contextlib.suppress(BrokenPipeError):  # its other stream has the reason
                    yield run
            except BaseException:
                run.kill()
                raise
            run.wait()
            if run.returncode:
                errors.seek(0)
                raise _explain(arguments, run.returncode, errors.read())

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
        """Query the engine's API, where the client has no command for it; return status and JSON.

        Raises:
            EngineError: the engine doesn't respond.
        """
        lines = [f"GET {path} HTTP/1.0", "Host: docker", *(f"{name}: {value}" for name, value in headers.items())]
        with self._streaming(("system", "dial-stdio"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            stdin = _pipe(run.stdin)
            stdin.write("\r\n".join([*lines, "", ""]).encode())
            stdin.flush()  # not closed: the engine cancels a request of a client that is gone
            head, _, body = _pipe(run.stdout).read().partition(b"\r\n\r\n")
            stdin.close()
        return int(head.split()[1]), json.loads(body)

    def command(self, arguments: Sequence[str], config: str | None = None) -> list[str]:
        """The docker command with these arguments."""
        own = ["--config", config] if config else []
        chosen = ["--context", self.context] if self.context else []
        return ["docker", *own, *chosen, *arguments]

    def compose(self, project: Mapping[str, Any], *arguments: str) -> str:
        """Run a compose command on a rendered project, which is passed on standard input."""
        options = ["--progress=plain", f"--project-directory={FOLDER}", "--file=-"]
        return self.docker("compose", *options, *arguments, stdin=to_text(project).encode())

    def check(self) -> str:
        """Check the versions of engine and compose; return the engine's id.

        Raises:
            EngineError: one is missing or too old.
        """
        command = ("info", "--format", "{{json .}}")
        facts = json.loads(self.docker(*command))
        if not facts.get("ServerVersion"):
            raise _explain(command, 0, "\n".join(facts.get("ServerErrors") or ["the engine does not respond"]).encode())
        _reject_older("Docker engine", facts["ServerVersion"], MINIMUM_ENGINE)
        _reject_older("docker compose", self._compose_version(), MINIMUM_COMPOSE)
        return str(facts["ID"])

    def _compose_version(self) -> str:
        try:
            return self.docker("compose", "version", "--short").strip()
        except EngineError:  # the client's message for a missing plugin differs between versions
            raise EngineError(
                "docker compose is not installed", fix="install docker compose (docker-compose-plugin)"
            ) from None

    def inspect(self, kind: str, *names: str) -> list[dict[str, Any]]:
        """The engine's facts about objects; missing ones are left out."""
        if not names:
            return []
        try:
            facts: list[dict[str, Any]] = json.loads(self.docker(kind, "inspect", *names))
            return facts
        except EngineError as problem:
            if not _MISSING.search(problem.args[0]):
                raise
        # Outside of the handler, so that the error of an engine that has stopped has no context.
        return [one for name in names for one in self.inspect(kind, name)] if len(names) > 1 else []

    def list_by_labels(self, kind: str, *labels: str) -> list[str]:
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
    """The environment without Pulumi's variables, which contain the passphrase."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}


def _reject_older(what: str, version: str, minimum: tuple[int, int]) -> None:
    if parse_version(version)[:2] < minimum:
        needed = ".".join(map(str, minimum))
        raise EngineError(f"{what} is {version}, {needed} or newer is needed", fix=f"upgrade {what}")


def explain(text: str) -> EngineError | None:
    """The line with the cause, and its fix; the last line for an unknown cause; None without a line."""
    lines = [line.strip().removeprefix("Error response from daemon: ") for line in text.splitlines() if line.strip()]
    for pattern, fix in _CAUSES:
        for line in lines:
            if re.search(pattern, line.lower()):
                return EngineError(line, fix=fix)
    return EngineError(lines[-1]) if lines else None


def _explain(arguments: Sequence[str], code: int, errors: bytes) -> EngineError:
    if error := explain(errors.decode(errors="replace")):
        return error
    ended = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    words = [word for word in arguments if re.fullmatch(r"\w[\w.-]*", word)][:3]  # without options and their values
    fix = f"docker logs {words[1]}" if words[0] == "exec" else "docker info, then run the same command again"
    return EngineError(f"docker {' '.join(words)} {ended} and printed no error", fix=fix)
