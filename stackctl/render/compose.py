"""The compose format: a folder for `docker compose up --wait`."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

from valkeykit.url import Node
from valkeykit.version_numbers import parse_version

from infra.drivers.docker import compose, deployment_files, driver, exporter
from infra.drivers.docker.addresses import FIRST_PORT
from infra.drivers.docker.plan import DeploymentPlan
from infra.settings import StackSettings
from infra.targets.docker import planning
from stackctl.errors import StackError
from stackctl.render import variables_file
from stackctl.render.rendered_folder import RenderedFolder

UNSUPPORTED_KEYS = {
    "dataDir", "restoreFrom", "finalSnapshot", "passwordRotation", "completedRotation", "environment", "docker.context",
    "docker.imageFile", "docker.registryUser", "docker.registryPassword", "docker.digest", "docker.certificate",
    "docker.key", "docker.ca",
}  # fmt: skip
"""Keys that only apply to a stack of Pulumi."""

SERVER_KEYS: tuple[str, ...] = ()

CONF = "conf"


def write(settings: StackSettings, folder: RenderedFolder) -> str:
    """Write the folder; return the next steps."""
    image = settings.docker.image or planning.image_for(settings.version)
    layout = {
        "topology": settings.topology,
        "shards": settings.shard_count,
        "replicas": settings.replica_count,
        "project": settings.docker.project or f"valkey-{folder.path.resolve().name}".lower().replace(".", "-"),
    }
    folder.reject_other_layout(layout)
    _reject_downgrade(folder, settings.version)
    plan = _plan(settings, str(layout["project"]), image)
    secrets = folder.secrets(plan.users, planning.certificate_names(settings, plan), layout, settings.version)
    if settings.docker.backupUrl:
        secrets = replace(secrets, bucket=(settings.docker.backupAccessKey, settings.docker.backupSecretKey))
    plan = driver.digested(plan, secrets)
    conf = folder.path / CONF
    for path, text in deployment_files.render(plan, secrets).items():
        _write_readable(conf / path, text)
    for inner in (conf, *(path for path in conf.iterdir() if path.is_dir())):
        inner.chmod(0o755)
    shutil.copy(deployment_files.SERVICES, folder.path)
    _write_readable(folder.path / "compose.yaml", compose.to_text(compose.render(plan, f"./{CONF}")))
    if plan.exporter:
        _write_readable(folder.path / "prometheus.json", variables_file.as_json(exporter.targets(plan)))
    endpoint = planning.create_endpoint(settings, plan.ports, [0], settings.version, secrets.ca)
    sentinels = [Node(plan.host, sentinel.port) for sentinel in plan.sentinels]
    variables_file.write(folder.path, endpoint, secrets, sentinels)
    return _next_steps(folder, plan, renewed=folder.renewed(secrets))


def _plan(settings: StackSettings, project: str, image: str) -> DeploymentPlan:
    plan = planning.create_plan(settings, f"valkey/{project}")
    if plan.backups.is_scheduled and not plan.backups.folder:
        raise StackError(
            "docker.backupEvery needs docker.backupFolder in a rendered folder",
            fix="--set docker.backupFolder=/srv/backups",
        )
    first = settings.port or FIRST_PORT
    return replace(plan, project=project, image=image, ports=tuple(range(first, first + plan.port_count)))


def _reject_downgrade(folder: RenderedFolder, version: str) -> None:
    written = folder.kept.get("version", version)
    if parse_version(version)[:2] < parse_version(written)[:2]:
        raise StackError(
            f"the data was written by Valkey {written}; {version} may not read it", fix=f"--set version={written}"
        )


def _write_readable(path: Path, text: str) -> None:
    """Write a file that the servers' user can read; only the owner can enter the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o444)
    new.replace(path)


def _next_steps(folder: RenderedFolder, plan: DeploymentPlan, *, renewed: bool) -> str:
    steps = [f"cd {shlex.quote(str(folder.path))} && docker compose up --detach --wait"]
    if renewed:
        steps.append("the certificate is new; running servers load it after: docker compose restart")
    if plan.backups.is_scheduled:
        steps.insert(0, f"once, where the engine is: install -d -o 999 -g 999 -m 700 "
                        f"{plan.backups.folder} {plan.backups.folder}/{plan.project}")  # fmt: skip
    return "\n".join([*steps, f"URLs and passwords: {folder.path / variables_file.FILE}"])
