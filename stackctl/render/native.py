"""The native format: a folder with configuration, users and limits for Debian's valkey-server package."""

from __future__ import annotations

import ipaddress
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

from infra import hardening
from infra.drivers.docker.addresses import FIRST_PORT
from infra.drivers.docker.plan import DeploymentPlan, Secrets
from infra.drivers.files import write_private
from infra.settings import StackSettings
from infra.targets.docker import planning
from stackctl.errors import StackError
from stackctl.render import variables_file
from stackctl.render.rendered_folder import RenderedFolder

UNSUPPORTED_KEYS = {
    "dataDir", "restoreFrom", "finalSnapshot", "passwordRotation", "completedRotation", "environment", "version",
    "docker",
}  # fmt: skip
"""Keys that only apply to containers or to a stack of Pulumi; the version is Debian's."""

SERVER_KEYS: tuple[str, ...] = ("bind", "host", "names", "allowedCidrs")
"""Keys that the docker target has under `docker.`, with the same meaning."""

PACKAGE_FILES = Path(__file__).resolve().parents[2] / "packaging" / "debian"
HOME = "/etc/valkey"


def write(settings: StackSettings, folder: RenderedFolder) -> str:
    """Write the folder; return the next steps."""
    if settings.topology != "single":
        raise StackError(
            f"topology is {settings.topology}, but a native folder is for a single server",
            fix="--set topology=single, or --for compose",
        )
    layout = {"topology": settings.topology}
    folder.reject_other_layout(layout)
    port = settings.port or FIRST_PORT
    plan = replace(planning.create_plan(settings, f"valkey/{folder.path.name}"), ports=(port,))
    secrets = folder.secrets(plan.users, _names(settings), layout)
    for path, text in _files(settings, plan, secrets).items():
        (folder.path / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder.path / path, text)
    for file in (path for path in PACKAGE_FILES.iterdir() if path.is_file()):
        shutil.copy(file, folder.path)
    endpoint = planning.create_endpoint(settings, plan.ports, [0], settings.version, secrets.ca)
    variables_file.write(folder.path, endpoint, secrets)
    install, env = folder.path / "install", folder.path / "env"
    return f"as root, on the machine with the package: {shlex.quote(str(install))}\nURLs and passwords: {env}"


def _names(settings: StackSettings) -> list[str]:
    bind = ipaddress.ip_address(settings.docker.bind)
    hosts = [settings.docker.announced, "localhost", "127.0.0.1", *settings.docker.names]
    return list(dict.fromkeys(hosts if bind.is_unspecified else [*hosts, str(bind)]))


def _files(settings: StackSettings, plan: DeploymentPlan, secrets: Secrets) -> dict[str, str]:
    return {
        "valkey.conf": _conf(settings, plan),
        "users.acl": hardening.acl(secrets.passwords, plan.users),
        "tls/ca.crt": secrets.ca,
        "tls/server.crt": secrets.certificate.certificate,
        "tls/server.key": secrets.certificate.key,
        "memory.conf": f"[Service]\nMemoryMax={plan.memory_limit}\nMemorySwapMax=0\n",
    }


def _conf(settings: StackSettings, plan: DeploymentPlan) -> str:
    bind = settings.docker.bind
    values = {
        "bind": f"{bind} 127.0.0.1" if bind not in ("127.0.0.1", "0.0.0.0", "::") else bind,  # noqa: S104
        "port": "0",
        "tls-port": str(plan.ports[0]),
        "tls-cert-file": f"{HOME}/tls/server.crt",
        "tls-key-file": f"{HOME}/tls/server.key",
        "tls-ca-cert-file": f"{HOME}/tls/ca.crt",
        "tls-auth-clients": "no",
        "tls-protocols": hardening.TLS_PROTOCOLS,
        "aclfile": f"{HOME}/users.acl",
        "dir": "/var/lib/valkey",
        "logfile": "/var/log/valkey/valkey-server.log",
        "pidfile": "/run/valkey/valkey-server.pid",
        **plan.directives,
    }
    return hardening.valkey_conf(values)
