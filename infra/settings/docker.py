"""What only the docker target has."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from infra.settings.keys import Key, Listed, Mistake, Section, ask, drop, is_secret, put

_REFERENCE = r"^$|^[a-z0-9][a-zA-Z0-9._:/-]*:[a-zA-Z0-9_][a-zA-Z0-9._-]*$"


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _small_network(text: str) -> str:
    if text and (ipaddress.ip_network(text).prefixlen != 24 or not ipaddress.ip_network(text).is_private):
        raise ValueError("no private /24")
    return text


Image = Annotated[str, Field(pattern=_REFERENCE)]


class DockerSettings(Section):
    """Containers on a Docker engine: this machine's, or the one that DOCKER_HOST or the context names."""

    context: Annotated[
        str,
        Key("a context of the docker client", "remote", "which engine; empty for DOCKER_HOST or the current context"),
    ] = ""
    project: Annotated[
        str,
        Field(pattern=r"^$|^[a-z0-9][a-z0-9_-]{0,40}$"),
        Key("lower-case letters, digits, - and _", "valkey-dev", "the compose project; empty for valkey-<stack>"),
    ] = ""
    image: Annotated[
        Image,
        Key("a name with a tag", "valkey/valkey:9.1.2", "the image; empty for the official one of the version"),
    ] = ""
    digest: Annotated[
        str,
        Field(pattern=r"^$|^sha256:[0-9a-f]{64}$"),
        Key("sha256: and 64 digits", f"sha256:{'0' * 64}", "what the image must be; another one is refused"),
    ] = ""
    imageFile: Annotated[  # noqa: N815
        str, Key("an archive of `docker save`", "valkey.tar", "where the image is loaded from instead of a registry")
    ] = ""
    registryUser: Annotated[str, Key("a name", "deploy", "who pulls from a private registry")] = ""  # noqa: N815
    registryPassword: Annotated[  # noqa: N815
        str,
        Field(repr=False),
        Key("a password (with --secret)", "<password>", "that user's password; used for the pull alone"),
    ] = ""
    bind: Annotated[
        str,
        AfterValidator(_address),
        Key("an IP address", "127.0.0.1", "the engine's address that ports are published on"),
    ] = "127.0.0.1"
    allow: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...],
        Listed,
        Key(
            "networks, with commas between",
            "'[\"192.0.2.0/24\"]'",
            "who may connect to a public address",
        ),
    ] = ()
    host: Annotated[
        str,
        Field(pattern=r"^$|^[A-Za-z0-9.:-]{1,253}$"),
        Key("a host name or an address", "valkey.example.com", "what clients connect to; empty for the address bound"),
    ] = ""
    names: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:*-]{1,253}$")], ...],
        Listed,
        Key("names, with commas between", "'[\"valkey.internal\"]'", "more names for the certificate"),
    ] = ()
    subnet: Annotated[
        str,
        AfterValidator(_small_network),
        Key("a private /24", "10.213.7.0/24", "the containers' own network; empty for one that follows from the stack"),
    ] = ""
    certificate: Annotated[
        str, Key("a PEM file", "server.crt", "a certificate of your own, with what leads to its authority")
    ] = ""
    key: Annotated[str, Key("a PEM file", "server.key", "its key, not encrypted")] = ""
    ca: Annotated[str, Key("a PEM file", "ca.crt", "the authority that signed it")] = ""
    backupEvery: Annotated[  # noqa: N815
        int, Field(ge=0, le=720), Key("hours, 0 to 720", "24", "hours between two backups; 0 for none")
    ] = 0
    backupKeep: Annotated[  # noqa: N815
        int, Field(ge=1, le=1000), Key("1 to 1000", "7", "how many backups of a node are kept")
    ] = 7
    backupFolder: Annotated[  # noqa: N815
        str,
        Field(pattern=r"^$|^/[^:$]*$"),
        Key("an absolute path", "/srv/backups", "a folder of the engine's machine for them; empty for a volume"),
    ] = ""
    exporter: Annotated[
        Image,
        Key(
            "a name with a tag",
            "oliver006/redis_exporter:v1.86.0",
            "an exporter's image for Prometheus; empty for none",
        ),
    ] = ""
    backupUrl: Annotated[  # noqa: N815
        str,
        Field(pattern=r"^$|^s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9._-]+)*$"),
        Key("s3://bucket/path", "s3://backups/valkey", "where backups are copied to as well; empty for nowhere"),
    ] = ""
    backupEndpoint: Annotated[  # noqa: N815
        str,
        Field(pattern=r"^$|^https?://[!-~]+$"),
        Key("a URL", "https://s3.example.com", "of an S3-compatible service; empty for AWS"),
    ] = ""
    backupRegion: Annotated[  # noqa: N815
        str,
        Field(pattern=r"^[a-z0-9-]*$"),
        Key("a region", "eu-central-1", "of the bucket; empty for the service's default"),
    ] = ""
    backupAccessKey: Annotated[  # noqa: N815
        str, Field(pattern=r"^[!-~]*$"), Key("an access key", "<key>", "who may write to the bucket")
    ] = ""
    backupSecretKey: Annotated[  # noqa: N815
        str,
        Field(pattern=r"^[!-~]*$", repr=False),
        Key("a secret key (with --secret)", "<secret>", "its secret"),
    ] = ""
    uploader: Annotated[
        Image, Key("a name with a tag", "rclone/rclone:1.75.2", "an image with rclone, which copies the backups")
    ] = "rclone/rclone:1.75.2"

    @property
    def announced(self) -> str:
        """The name that clients use."""
        if self.host:
            return self.host
        return "localhost" if ipaddress.ip_address(self.bind).is_loopback else self.bind


def mistakes(docker: DockerSettings) -> Iterator[Mistake]:
    """What the keys of this section may not say together."""
    address = ipaddress.ip_address(docker.bind)
    if (address.is_unspecified or address.is_global) and not docker.allow:
        yield Mistake(
            "docker.bind",
            f"is {docker.bind}, which the whole internet may reach",
            f"{put('docker.bind', '127.0.0.1')}, or {put('docker.allow', '<the networks that may connect>')}",
        )
    for network in docker.allow:
        if ipaddress.ip_network(network).prefixlen == 0:
            yield Mistake("docker.allow", f"holds {network}, which is everybody", drop("docker.allow"))
    if address.is_unspecified and not docker.host:
        yield Mistake(
            "docker.host", f"is empty, and no client can connect to {docker.bind}", put("docker.host", "<its name>")
        )
    given = [name for name in ("certificate", "key", "ca") if getattr(docker, name)]
    if given and len(given) < 3:
        missing = next(name for name in ("certificate", "key", "ca") if name not in given)
        yield Mistake(
            f"docker.{missing}", f"is empty, but docker.{given[0]} is set", put(f"docker.{missing}", "<file>")
        )
    if bool(docker.registryUser) != bool(docker.registryPassword):
        missing = "registryPassword" if docker.registryUser else "registryUser"
        yield Mistake(f"docker.{missing}", "is empty, but the other half is set", _fill(missing))
    if docker.image.endswith(":latest"):
        yield Mistake(
            "docker.image", "is a tag that crosses major versions", put("docker.image", "valkey/valkey:9.1.2")
        )
    for key in ("exporter", "uploader"):
        if getattr(docker, key).endswith(":latest"):
            yield Mistake(f"docker.{key}", "has no fixed version", put(f"docker.{key}", "<name>:<version>"))
    yield from _uploads(docker)


def _uploads(docker: DockerSettings) -> Iterator[Mistake]:
    if not docker.backupUrl:
        return
    if not docker.backupEvery:
        yield Mistake("docker.backupEvery", "is 0, so there is nothing to copy", put("docker.backupEvery", "24"))
    for key in ("backupAccessKey", "backupSecretKey", "uploader"):
        if not getattr(docker, key):
            yield Mistake(f"docker.{key}", "is empty, but docker.backupUrl is set", _fill(key))


def _fill(key: str) -> str:
    return ask(f"docker.{key}") if is_secret(DockerSettings, key) else put(f"docker.{key}", "<it>")
