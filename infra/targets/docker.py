"""The docker target: containers on a Docker engine, TLS only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError, ValkeykitError
from valkeykit.url import Node

from infra import hardening, project
from infra.drivers import certificates, rdb
from infra.drivers.binary import parse_version
from infra.drivers.certificates import CertificatePair
from infra.drivers.docker import exporter, files
from infra.drivers.docker.engine import Engine
from infra.drivers.docker.plan import Backups, DeploymentPlan, Upload, default_subnet
from infra.errors import ProvisioningError
from infra.providers.cleanup import Cleanup
from infra.providers.credentials import Authority, Certificate, Password
from infra.providers.docker import Containers
from infra.settings import Settings
from infra.settings.docker import DockerSettings
from infra.targets import Deployment, Login, by_password

NEWEST = {"8.0": "8.0.10", "8.1": "8.1.9", "9.0": "9.0.5", "9.1": "9.1.2"}
"""The patch version of each line that is the least to run: CVE-2026-56684 (TLS and CLIENT KILL) is mended in it."""


class Docker(Deployment):
    """Users with random passwords, an authority and its certificate, and the containers that know them."""

    outputs: Mapping[str, pulumi.Input[Any]]
    logins: Mapping[str, Login]

    def __init__(self, name: str, settings: Settings, stack: str) -> None:
        """
        stack: project/stack; it owns the volumes.

        Raises:
            ConfigurationError: the engine, or a file that is named, can't be used; every reason is named.
        """
        docker = settings.docker
        plan = plan_of(settings, stack)
        refuse(settings)
        super().__init__("valkey:target:Docker", name)
        child = pulumi.ResourceOptions(parent=self)
        made = {user.name: Password(user.name, settings.rotation, settings.retired, child) for user in plan.users}
        passwords = {user: password.value for user, password in made.items()}
        previous = {user: password.previous for user, password in made.items() if settings.keeps_old_passwords}
        self.logins = by_password({user.name: passwords[user.name] for user in hardening.USERS})
        certificate, key, ca = _certificates(settings, plan, stack, child)
        keep_in = f".valkey/{stack.rpartition('/')[2]}"
        cleanup = Cleanup(
            "cleanup",
            {
                "stack": stack,
                "project": plan.project,
                "context": docker.context,
                "keepIn": keep_in,
                "finalSnapshot": settings.finalSnapshot,
            },
            child,
        )
        lasting = pulumi.ResourceOptions(protect=settings.environment == "prod", depends_on=[cleanup])
        self.containers = Containers(
            "containers",
            {
                "stack": stack,
                "project": plan.project,
                "context": docker.context,
                "image": docker.image or image_of(settings.version),
                "digest": docker.digest,
                "imageFile": docker.imageFile,
                "registryUser": docker.registryUser,
                "registryPassword": pulumi.Output.secret(docker.registryPassword),
                "version": settings.version,
                "topology": settings.topology,
                "shards": settings.shard_count,
                "replicas": settings.replica_count,
                "port": settings.port,
                "bind": docker.bind,
                "host": docker.announced,
                "subnet": plan.subnet,
                "directives": dict(plan.directives),
                "passwords": pulumi.Output.secret(pulumi.Output.all(**passwords)),
                "previous": pulumi.Output.secret(pulumi.Output.all(**previous)),
                "certificate": certificate,
                "key": key,
                "authority": ca,
                "backupEvery": docker.backupEvery,
                "backupKeep": docker.backupKeep,
                "backupFolder": docker.backupFolder,
                "exporter": docker.exporter,
                "backupUrl": docker.backupUrl,
                "backupEndpoint": docker.backupEndpoint,
                "backupRegion": docker.backupRegion,
                "backupAccessKey": docker.backupAccessKey,
                "backupSecretKey": pulumi.Output.secret(docker.backupSecretKey),
                "uploader": docker.uploader,
                "files": files.digest(plan),
                "keepIn": keep_in,
                "restoreFrom": settings.restoreFrom,
                "finalSnapshot": settings.finalSnapshot,
            },
            pulumi.ResourceOptions.merge(child, lasting),
        )
        self.endpoint = pulumi.Output.all(
            self.containers.listens, self.containers.primaries, self.containers.runs, ca
        ).apply(lambda known: endpoint_of(settings, *known))
        self.containers.runs.apply(_warn_if_old)
        rules = self.containers.listens.apply(lambda ports: firewall(settings, ports))
        scraped = self.containers.listens.apply(lambda ports: exporter.targets(replace(plan, ports=_numbers(ports))))
        watchers = self.containers.listens.apply(lambda ports: sentinels(replace(plan, ports=_numbers(ports))))
        self.outputs = {
            **({"firewall": rules} if docker.allow else {}),
            **({"prometheusTargets": scraped} if docker.exporter else {}),
            **({"sentinels": watchers} if settings.topology == "replicated" else {}),
        }
        self.register_outputs({})


def image_of(version: str) -> str:
    """The official image, pinned to a patch version."""
    return f"valkey/valkey:{NEWEST.get(version, version)}"


def firewall(settings: Settings, ports: Sequence[float]) -> list[str]:
    """The rules for the engine's machine that let only the allowed networks in: published ports pass by ufw."""
    chain = "iptables -I DOCKER-USER -p tcp -m conntrack --ctdir ORIGINAL"
    match = (
        [f"--ctorigdst {settings.docker.bind}"] if not ipaddress.ip_address(settings.docker.bind).is_unspecified else []
    )
    rules = []
    for port in ports if settings.docker.allow else []:
        place = " ".join([chain, *match, f"--ctorigdstport {int(port)}"])
        rules.append(f"{place} -j DROP")  # each goes before the ones so far
        rules += [f"{place} -s {network} -j RETURN" for network in settings.docker.allow]
    return rules


def sentinels(plan: DeploymentPlan) -> list[dict[str, Any]]:
    """Where the Sentinels are reached from outside. No part of the endpoint, since a client that followed them would be
    led to addresses of the containers' network.
    """
    return [{"host": plan.host, "port": sentinel.port} for sentinel in plan.sentinels]


def _numbers(ports: Sequence[float]) -> tuple[int, ...]:
    """Pulumi's numbers are floats."""
    return tuple(int(port) for port in ports)


def plan_of(settings: Settings, stack: str) -> DeploymentPlan:
    """What is known before an engine is asked: everything but the ports."""
    docker = settings.docker
    return DeploymentPlan(
        project=docker.project or f"valkey-{stack.rpartition('/')[2]}".lower().replace(".", "-"),
        stack=stack,
        image="",
        topology=settings.topology,
        shards=settings.shard_count,
        replicas=settings.replica_count,
        ports=(),
        bind=docker.bind,
        host=docker.announced,
        subnet=docker.subnet or default_subnet(stack),
        directives=hardening.directives(settings.workload, settings.maxmemory, "docker"),
        backups=Backups(docker.backupEvery * 3600, docker.backupKeep, docker.backupFolder)
        if docker.backupEvery
        else None,
        upload=_upload(docker) if docker.backupUrl else None,
        exporter=docker.exporter,
    )


def _upload(docker: DockerSettings) -> Upload:
    bucket = docker.backupUrl.removeprefix("s3://")
    return Upload(docker.uploader, bucket, docker.backupEndpoint, docker.backupRegion)


def _certificates(
    settings: Settings, plan: DeploymentPlan, stack: str, child: pulumi.ResourceOptions
) -> tuple[pulumi.Input[str], pulumi.Input[str], pulumi.Input[str]]:
    """Certificate, key and authority: the operator's own, or the stack's."""
    if settings.docker.certificate:
        pair, ca = _given(settings)
        return pair.certificate, pulumi.Output.secret(pair.key), ca
    authority = Authority("authority", f"Valkey {stack}", child)
    leaf = Certificate("certificate", authority, names(settings, plan), child)
    return leaf.certificate, leaf.key, authority.bundle


def names(settings: Settings, plan: DeploymentPlan) -> list[str]:
    """Everything that the servers are called: by clients, on their machine, among each other."""
    bind = ipaddress.ip_address(settings.docker.bind)
    called = [settings.docker.announced, "localhost", "127.0.0.1"]
    called += [] if bind.is_unspecified else [str(bind)]
    return list(dict.fromkeys([*called, *settings.docker.names, *plan.addresses]))


def _given(settings: Settings) -> tuple[CertificatePair, str]:
    docker, root = settings.docker, project.root()
    texts = [(root / path).read_text() for path in (docker.certificate, docker.key, docker.ca)]
    return CertificatePair(texts[0], texts[1]), texts[2]


def endpoint_of(
    settings: Settings, ports: Sequence[float], primaries: Sequence[float], version: str, ca: str
) -> Endpoint:
    """The current primaries come first."""
    count = settings.shard_count * (1 + settings.replica_count)
    leading = [int(number) for number in primaries]
    order = leading + [number for number in range(count) if number not in leading]
    known = [Node(settings.docker.announced, port) for port in _numbers(ports)]
    return Endpoint(
        target="docker",
        topology=settings.topology,
        nodes=tuple(known[number] for number in order),
        tls=True,
        version=version,
        workload=settings.workload,
        maxmemory=settings.maxmemory,
        users=tuple(user.name for user in hardening.USERS),
        ca=ca,
    )


def _warn_if_old(version: str) -> None:
    line = version.rpartition(".")[0]
    if line in NEWEST and parse_version(version) < parse_version(NEWEST[line]):
        pulumi.log.warn(
            f"Valkey {version} lacks fixes of {NEWEST[line]} (CVE-2026-56684 and others); a distribution may have "
            "put them in -> pulumi config set --path valkey:docker.image <a newer one>"
        )


def refuse(settings: Settings) -> None:
    """Look at the engine and the files before anything is registered.

    Raises:
        ConfigurationError: with all that is in the way.
    """
    problems = [str(problem) for problem in _problems(settings)]
    if problems:
        raise ConfigurationError("\n".join(["that can't be run, nothing was touched:", *problems]))


def _problems(settings: Settings) -> Iterator[ValkeykitError]:
    line = ".".join(settings.version.split(".")[:2])
    if line not in NEWEST:
        yield ProvisioningError(
            f"Valkey {settings.version} isn't one of {', '.join(NEWEST)}", fix="pulumi config set version 9.1"
        )
    try:
        Engine(settings.docker.context).check()
    except ProvisioningError as problem:
        yield problem
    files = {key: getattr(settings.docker, key) for key in ("certificate", "key", "ca", "imageFile")}
    missing = {key: path for key, path in files.items() if path and not (project.root() / path).is_file()}
    if settings.restoreFrom and not _dumps(settings):
        yield ProvisioningError(
            f"restoreFrom is {settings.restoreFrom}, where no RDB file is",
            fix="pulumi config set restoreFrom <an RDB file>",
        )
    for key, path in missing.items():
        yield ProvisioningError(
            f"{key} is {path}, which is no file", fix=f"put it there, or pulumi config rm --path valkey:docker.{key}"
        )
    if settings.docker.certificate and not missing:
        pair, ca = _given(settings)
        if objection := certificates.validation_error(pair, ca, [settings.docker.announced]):
            yield ProvisioningError(
                f"{settings.docker.certificate} {objection}",
                fix="pulumi config set --path valkey:docker.certificate <another>",
            )


def _dumps(settings: Settings) -> list[Path]:
    """What to restore: a file, or for a cluster also a folder's files."""
    source = project.root() / settings.restoreFrom
    found = rdb.files(source) if settings.topology == "cluster" else [source]
    return [file for file in found if file.is_file()]
