"""A folder that puts Debian's valkey-server package into the same state: configuration, users, limits."""

from __future__ import annotations

import ipaddress
import shutil
from dataclasses import replace

from infra import hardening
from infra.drivers.docker.addresses import FIRST_PORT
from infra.drivers.docker.plan import DeploymentPlan, Secrets
from infra.drivers.files import write_private
from infra.settings import Settings
from infra.targets import docker
from tools.errors import ToolError
from tools.render import variables
from tools.render.folder import Folder
from tools.stack import PROJECT

HAS_NOT = {
    "dataDir", "restoreFrom", "finalSnapshot", "rotation", "retired", "environment", "version", "docker.context",
    "docker.project", "docker.image", "docker.digest", "docker.imageFile", "docker.registryUser",
    "docker.registryPassword", "docker.subnet", "docker.certificate", "docker.key", "docker.ca", "docker.backupEvery",
    "docker.backupKeep", "docker.backupFolder", "docker.exporter", "docker.backupUrl", "docker.backupEndpoint",
    "docker.backupRegion", "docker.backupAccessKey", "docker.backupSecretKey", "docker.uploader",
}  # fmt: skip
"""Keys of containers, and of what only Pulumi does; the version is Debian's."""

SHIPPED = PROJECT / "native"
HOME = "/etc/valkey"


def write(settings: Settings, folder: Folder) -> str:
    """Write it; return what to do with it."""
    if settings.topology != "single":
        raise ToolError(
            f"topology is {settings.topology}, but this is for one server on one machine: several on one machine "
            "fall together",
            fix="--set topology=single, or --for compose",
        )
    shape = {"topology": settings.topology}
    folder.refuse_other(shape)
    port = settings.port or FIRST_PORT
    plan = replace(docker.plan_of(settings, f"valkey/{folder.path.name}"), ports=(port,))
    secrets = folder.secrets(plan.users, _names(settings), shape)
    for path, text in _files(settings, plan, secrets).items():
        (folder.path / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder.path / path, text)
    for shipped in (path for path in SHIPPED.iterdir() if path.is_file()):
        shutil.copy(shipped, folder.path)
    endpoint = docker.endpoint_of(settings, plan.ports, [0], settings.version, secrets.ca)
    variables.write(folder.path, endpoint, secrets)
    return f"as root, where the package is: {folder.path / 'install'}\nURLs and passwords: {folder.path / 'env'}"


def _names(settings: Settings) -> list[str]:
    bind = ipaddress.ip_address(settings.docker.bind)
    called = [settings.docker.announced, "localhost", "127.0.0.1", *settings.docker.names]
    return list(dict.fromkeys(called if bind.is_unspecified else [*called, str(bind)]))


def _files(settings: Settings, plan: DeploymentPlan, secrets: Secrets) -> dict[str, str]:
    return {
        "valkey.conf": _conf(settings, plan),
        "users.acl": hardening.acl(secrets.passwords, plan.users),
        "tls/ca.crt": secrets.ca,
        "tls/server.crt": secrets.certificate.certificate,
        "tls/server.key": secrets.certificate.key,
        "memory.conf": f"[Service]\nMemoryMax={plan.memory_limit}\nMemorySwapMax=0\n",
    }


def _conf(settings: Settings, plan: DeploymentPlan) -> str:
    bind = settings.docker.bind
    values = {
        "bind": f"{bind} 127.0.0.1" if bind not in ("127.0.0.1", "0.0.0.0", "::") else bind,  # noqa: S104
        "port": "0",
        "tls-port": str(plan.ports[0]),
        "tls-cert-file": f"{HOME}/tls/server.crt",
        "tls-key-file": f"{HOME}/tls/server.key",
        "tls-ca-cert-file": f"{HOME}/tls/ca.crt",
        "tls-auth-clients": "no",
        "tls-protocols": '"TLSv1.2 TLSv1.3"',
        "aclfile": f"{HOME}/users.acl",
        "dir": "/var/lib/valkey",
        "logfile": "/var/log/valkey/valkey-server.log",
        "pidfile": "/run/valkey/valkey-server.pid",
        **plan.directives,
    }
    return hardening.valkey_conf(values)
