"""Plans by the real AWS provider, through Terraform: offline, without an account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Body = dict[str, Any]
"""A resource in Terraform's JSON, with Terraform's names."""

MIRROR = "TF_PLUGIN_MIRROR"
"""The environment variable with a Terraform filesystem mirror; without it, Terraform looks where it always does."""

INSTALL = (
    "the tests need terraform on PATH (https://developer.hashicorp.com/terraform/install) and hashicorp/aws 5.100 or "
    f"newer, downloaded by `terraform init` or in a filesystem mirror whose folder is in {MIRROR}"
)

_OFFLINE = ("skip_credentials_validation", "skip_requesting_account_id", "skip_metadata_api_check")
_PROVIDER = {"region": "eu-central-1", "access_key": "test", "secret_key": "test", **dict.fromkeys(_OFFLINE, True)}


class TerraformReference(str):
    """A text that Terraform evaluates, such as ${aws_vpc.vpc.id}."""

    __slots__ = ()


class TerraformError(Exception):
    """Terraform or the provider is missing, or rejects a configuration."""


@dataclass(frozen=True)
class PlannedChange:
    """operation: with the engine's words; none if nothing changes. changed, replacing: names of attributes.
    after: the planned values. unknown: which of them the provider computes.
    """

    operation: str
    changed: frozenset[str]
    replacing: frozenset[str]
    after: Body
    unknown: Body


class Workspace:
    """A folder in which the provider is installed; each plan overwrites the one before."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            TerraformError: Terraform or the provider is missing.
        """
        if not shutil.which("terraform"):
            raise TerraformError(INSTALL)
        self._folder = folder
        self._environment = _environment(folder)
        self._write({}, {})
        if self._run("init", "-input=false").returncode:
            raise TerraformError(INSTALL)
        schemas = json.loads(self._run("providers", "schema", "-json").stdout)["provider_schemas"]
        (self._address,) = schemas
        self.types: Mapping[str, Any] = schemas[self._address]["resource_schemas"]
        selections = json.loads(self._run("version", "-json").stdout)["provider_selections"]
        self.version: str = selections[self._address]

    def plan(self, resources: Mapping[str, Body], state: Mapping[str, Body] | None = None) -> dict[str, PlannedChange]:
        """What the provider would do, by the address of the resource.

        Args:
            resources: by address, such as aws_vpc.first.
            state: all attributes of the resources that exist.

        Raises:
            TerraformError: everything that the provider rejects, a line each.
        """
        self._write(resources, state or {})
        return self._planned("-refresh=false", "-input=false")

    def apply(self, resources: Mapping[str, Body], account: str, services: Iterable[str]) -> dict[str, PlannedChange]:
        """Create the resources; returns what the same configuration would change again.

        Args:
            resources: by address; values may be references.
            account: the address of a service that answers as AWS. services: those that it answers for.

        Raises:
            TerraformError: everything that the provider or the account rejects, a line each.
        """
        endpoints = [dict.fromkeys(services, account)]
        # With the account's number the provider recognizes its own security groups.
        self._write(resources, {}, {"endpoints": endpoints, "skip_requesting_account_id": False})
        applied = self._run("apply", "-auto-approve", "-input=false", "-lock=false", "-json")
        if applied.returncode:
            raise TerraformError("\n".join(_errors(applied.stdout)) or applied.stderr)
        return self._planned("-input=false")

    def _planned(self, *options: str) -> dict[str, PlannedChange]:
        planned = self._run("plan", *options, "-lock=false", "-json", "-out=planned")
        if planned.returncode:
            raise TerraformError("\n".join(_errors(planned.stdout)) or planned.stderr)
        shown = json.loads(self._run("show", "-json", "planned").stdout)
        return {entry["address"]: _change(entry["change"]) for entry in shown.get("resource_changes", [])}

    def _write(
        self, resources: Mapping[str, Body], state: Mapping[str, Body], provider: Mapping[str, Any] | None = None
    ) -> None:
        configuration: dict[str, Any] = {
            "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": ">= 5.100.0"}}},
            "provider": {"aws": {**_PROVIDER, **(provider or {})}},
        }
        if resources:
            by_type: dict[str, Any] = {}
            for address, body in resources.items():
                kind, _, name = address.partition(".")
                by_type.setdefault(kind, {})[name] = _escaped(body)
            configuration["resource"] = by_type
        (self._folder / "main.tf.json").write_text(json.dumps(configuration))
        instances = [self._instance(address, attributes) for address, attributes in state.items()]
        existing = {"version": 4, "serial": 1, "lineage": "tests", "outputs": {}, "resources": instances}
        (self._folder / "terraform.tfstate").write_text(json.dumps(existing))

    def _instance(self, address: str, attributes: Body) -> Any:
        kind, _, name = address.partition(".")
        instance = {"schema_version": self.types[kind]["version"], "attributes": attributes}
        provider = f'provider["{self._address}"]'
        return {"mode": "managed", "type": kind, "name": name, "provider": provider, "instances": [instance]}

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *words], cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False
        )


def _environment(folder: Path) -> dict[str, str]:
    """Without the user's own credentials and settings of Terraform."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
    absent = str(folder / "absent")
    files = {"AWS_CONFIG_FILE": absent, "AWS_SHARED_CREDENTIALS_FILE": absent, "AWS_EC2_METADATA_DISABLED": "true"}
    mirror = os.environ.get(MIRROR)
    if mirror:
        source = f"filesystem_mirror {{ path = {json.dumps(mirror)} }}"
        (folder / "terraform.rc").write_text(f"provider_installation {{\n  {source}\n}}\n")
        files["TF_CLI_CONFIG_FILE"] = str(folder / "terraform.rc")
    return {**inherited, **files, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}


def _errors(output: str) -> list[str]:
    entries = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    found = [entry["diagnostic"] for entry in entries if entry.get("type") == "diagnostic"]
    return [
        f"{error.get('address') or (error.get('snippet') or {}).get('context')}: {error['summary']} {error['detail']}"
        for error in found
        if error["severity"] == "error"
    ]


def _change(change: Any) -> PlannedChange:
    before, after, unknown = change["before"] or {}, change["after"] or {}, change["after_unknown"] or {}
    changed = frozenset(
        name
        for name in {*before, *after, *unknown}
        # tags_all follows tags; the provider never reads apply_immediately.
        if name not in {"tags_all", "apply_immediately"}
        and (_is_unknown(unknown.get(name)) or before.get(name) != after.get(name))
    )
    operation = "replace" if len(change["actions"]) > 1 else change["actions"][0]
    if operation == "no-op" or (operation == "update" and not changed):
        operation = "none"
    replacing = frozenset(str(path[0]) for path in change.get("replace_paths", []))
    return PlannedChange(operation, changed, replacing, after, unknown)


def _is_unknown(mark: Any) -> bool:
    if isinstance(mark, (dict, list)):
        return any(_is_unknown(item) for item in (mark.values() if isinstance(mark, dict) else mark))
    return mark is True


def _escaped(value: Any) -> Any:
    """Terraform reads expressions in texts."""
    if isinstance(value, TerraformReference):
        return value
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${").replace("%{", "%%{") if isinstance(value, str) else value
