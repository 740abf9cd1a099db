"""Configuration keys of the docker target."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from infra.settings.config_keys import CommaSeparated, Key, SettingsModel

_REFERENCE = r"^$|^[a-z0-9][a-zA-Z0-9._:/-]*:[a-zA-Z0-9_][a-zA-Z0-9._-]*$"


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _small_network(text: str) -> str:
    if text and (ipaddress.ip_network(text).prefixlen != 24 or not ipaddress.ip_network(text).is_private):
        raise ValueError("not a private /24")
    return text


Image = Annotated[str, Field(pattern=_REFERENCE)]


class DockerSettings(SettingsModel):
    """Containers on a Docker engine: the local one, or the one of DOCKER_HOST or a context."""

    context: Annotated[
        str,
        Key("a Docker context", "remote", "Docker context; default: DOCKER_HOST or the current context"),
    ] = ""
    project: Annotated[
        str,
        Field(pattern=r"^$|^[a-z0-9][a-z0-9_-]{0,40}$"),
        Key("lower-case letters, digits, - and _", "valkey-dev", "Compose project; default: valkey-<stack>"),
    ] = ""
    image: Annotated[
        Image,
        Key("a name with a tag", "valkey/valkey:9.1.2", "Image; default: the official one of `version`"),
    ] = ""
    digest: Annotated[
        str,
        Field(pattern=r"^$|^sha256:[0-9a-f]{64}$"),
        Key("sha256: and 64 digits", f"sha256:{'0' * 64}", "Required digest of the image"),
    ] = ""
    imageFile: Annotated[
        str, Key("an archive of `docker save`", "valkey.tar", "Archive to load the image from, instead of a registry")
    ] = ""
    registryUser: Annotated[str, Key("a name", "deploy", "User of a private registry")] = ""
    registryPassword: Annotated[
        str,
        Field(repr=False),
        Key("a password (with --secret)", "<password>", "Password of that user, for pulls only"),
    ] = ""
    bind: Annotated[
        str,
        AfterValidator(_address),
        Key("an IP address", "127.0.0.1", "Address to publish ports on"),
    ] = "127.0.0.1"
    allowedCidrs: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...],
        CommaSeparated,
        Key(
            "networks, separated by commas",
            "'[\"192.0.2.0/24\"]'",
            "Networks that may connect to a public address",
        ),
    ] = ()
    host: Annotated[
        str,
        Field(pattern=r"^$|^[A-Za-z0-9.:-]{1,253}$"),
        Key("a host name or an address", "valkey.example.com", "Host name for clients; default: the published address"),
    ] = ""
    names: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:*-]{1,253}$")], ...],
        CommaSeparated,
        Key("names, separated by commas", "'[\"valkey.internal\"]'", "Additional names in the certificate"),
    ] = ()
    subnet: Annotated[
        str,
        AfterValidator(_small_network),
        Key("a private /24", "10.213.7.0/24", "Network of the containers; default: derived from the stack's name"),
    ] = ""
    certificate: Annotated[
        str, Key("a PEM file", "server.crt", "Your own certificate, with its intermediate certificates")
    ] = ""
    key: Annotated[str, Key("a PEM file", "server.key", "Private key of your certificate, not encrypted")] = ""
    ca: Annotated[str, Key("a PEM file", "ca.crt", "Authority that signed your certificate")] = ""
    backupEvery: Annotated[
        int, Field(ge=0, le=720), Key("hours, 0 to 720", "24", "Hours between backups; 0 for none")
    ] = 0
    backupKeep: Annotated[
        int, Field(ge=1, le=1000), Key("1 to 1000", "7", "Number of backups to keep for each node")
    ] = 7
    backupFolder: Annotated[
        str,
        Field(pattern=r"^$|^/[^:$]*$"),
        Key("an absolute path", "/srv/backups", "Folder for backups on the engine's host; default: a volume"),
    ] = ""
    exporter: Annotated[
        Image,
        Key(
            "a name with a tag",
            "oliver006/redis_exporter:v1.86.0",
            "Image of a Prometheus exporter; empty for none",
        ),
    ] = ""
    backupUrl: Annotated[
        str,
        Field(pattern=r"^$|^s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9._-]+)*$"),
        Key("s3://bucket/path", "s3://backups/valkey", "S3 location for copies of backups; empty for none"),
    ] = ""
    backupEndpoint: Annotated[
        str,
        Field(pattern=r"^$|^https?://[!-~]+$"),
        Key("a URL", "https://s3.example.com", "URL of an S3-compatible service; default: AWS"),
    ] = ""
    backupRegion: Annotated[
        str,
        Field(pattern=r"^[a-z0-9-]*$"),
        Key("a region", "eu-central-1", "Region of the bucket; default: the service's own"),
    ] = ""
    backupAccessKey: Annotated[
        str, Field(pattern=r"^[!-~]*$"), Key("an access key", "<key>", "Access key for the bucket")
    ] = ""
    backupSecretKey: Annotated[
        str,
        Field(pattern=r"^[!-~]*$", repr=False),
        Key("a secret key (with --secret)", "<secret>", "Secret key for the bucket"),
    ] = ""
    uploader: Annotated[
        Image, Key("a name with a tag", "rclone/rclone:1.75.2", "rclone image that copies the backups")
    ] = "rclone/rclone:1.75.2"

    @property
    def announced(self) -> str:
        """The host name for clients."""
        if self.host:
            return self.host
        return "localhost" if ipaddress.ip_address(self.bind).is_loopback else self.bind
