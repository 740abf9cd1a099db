"""The fake provider's cloud: resources in a file, answers in the API's form, and the API's refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from harness.cloud.fake_provider import Cloud, Properties, serve
from harness.cloud.gcp import answers, faults, fresh_project, service, usage

ONE_FIELD = "googleapi: Error 400: exactly 1 update_mask field must be specified per update request"
WITH_NODE_TYPE = "googleapi: Error 400: only engine_configs supported along with node_type update"

NAMED = (answers.POLICY, answers.NETWORK, answers.SUBNETWORK, answers.ADDRESS, answers.RULE)
"""Types with names of the program's choice, where the provider deletes first in a replacement."""

REPEATABLE = (answers.SERVICE, answers.AGENT, answers.MEMBER)
"""Google answers a grant or an enabled API that exists already as if it were new."""


class FakeGoogle(Cloud):
    def __init__(self, file: Path) -> None:
        self._file = file

    def refusals(self, kind: str, inputs: Properties) -> list[tuple[str, str]]:
        return [("", violation) for violation in service.violations(kind, inputs)]

    def replaces(self, kind: str, previous: Properties, inputs: Properties, changed: set[str]) -> set[str]:
        return service.replaces(kind, previous, inputs, changed)

    def deletes_first(self, kind: str, inputs: Properties) -> bool:
        return kind in NAMED and "name" in inputs

    def shown(self, kind: str, resource: str, inputs: Properties) -> Properties:
        if kind == answers.DASHBOARD:
            return {"dashboardJson": json.dumps(_without_zeros(json.loads(inputs["dashboardJson"])))}
        if kind == answers.INSTANCE:
            return {service.ENDPOINTS: self._load()[resource]["inputs"][service.ENDPOINTS]}
        return {}

    def outputs(self, kind: str, resource: str, inputs: Properties) -> Properties:
        return answers.outputs(kind, resource.rpartition("/")[2], inputs)

    def create(self, kind: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        known = self._load()
        fresh_project.needs_api(kind, inputs, known)
        faults.check_rejected(kind, known)
        resource = answers.resource_id(kind, name, inputs)
        if kind == answers.SECRET_VERSION:
            resource = _next_version(resource, known)
        if resource in known and kind not in REPEATABLE:
            raise ValueError(f"googleapi: Error 409: Resource '{resource}' already exists")
        if kind == answers.INSTANCE:
            faults.wait_for_quota(self._file)
            usage.needs_policy(inputs, known)
            usage.needs_grants(inputs, known)
        if kind == answers.POLICY:
            usage.only_one(inputs, known)
        self._store({**known, resource: {"kind": kind, "inputs": inputs}})
        self._fail("create", kind)
        return resource, answers.outputs(kind, name, inputs)

    def read(self, kind: str, resource: str, previous: Properties) -> Properties | None:  # noqa: ARG002
        found = self._load().get(resource)
        return found["inputs"] if found else None

    def update(self, kind: str, resource: str, previous: Properties, inputs: Properties) -> Properties:
        """Compares with the state, as the provider does: what a failed update left there is not sent again."""
        known = self._load()
        stored = known[resource]["inputs"]
        changed = {name for name in {*stored, *inputs} if previous.get(name) != inputs.get(name)} - {service.ENDPOINTS}
        if changed:
            self._fail("update", kind)
            if kind == answers.INSTANCE:
                faults.wait_for_quota(self._file)
                _one_field(changed)
            sent = {name: value for name, value in inputs.items() if name in changed or name not in stored}
            kept = {name: value for name, value in stored.items() if name in inputs}
            self._store({**known, resource: {"kind": kind, "inputs": {**kept, **sent}}})
        added = {name: value for name, value in previous.items() if name not in {*stored, *inputs}}
        return added | answers.outputs(kind, resource.rpartition("/")[2], inputs)

    def delete(self, kind: str, resource: str, previous: Properties) -> None:
        known = self._load()
        if kind == answers.INSTANCE and previous.get("deletionProtectionEnabled"):
            raise ValueError("deletion_protection_enabled is true: set it to false and update before the deletion")
        usage.unused(kind, resource, previous, known)
        known.pop(resource, None)
        self._store(known)

    def invoke(self, function: str, arguments: Properties) -> Properties:
        if function != answers.GET_NETWORK:
            raise AssertionError(f"{function} isn't known here: {arguments}")
        network = "projects/{project}/global/networks/{name}".format(**arguments)
        if faults.missing(network).keys() & self._load().keys():
            raise ValueError(f"googleapi: Error 404: The resource '{network}' was not found, notFound")
        return {"id": network}

    def _fail(self, operation: str, kind: str) -> None:
        """Once, if a test says so: an operation fails after the request was accepted."""
        known = self._load()
        if known.get(faults.ID, {}).get("inputs") == {"operation": operation, "kind": kind}:
            del known[faults.ID]
            self._store(known)
            raise ValueError(faults.ERROR)

    def _load(self) -> dict[str, Properties]:
        known: dict[str, Properties] = json.loads(self._file.read_text())
        return known

    def _store(self, known: dict[str, Properties]) -> None:
        self._file.write_text(json.dumps(known))


def _next_version(first: str, known: dict[str, Properties]) -> str:
    """Google numbers a secret's versions."""
    versions = first.removesuffix("1")
    return versions + str(1 + max((int(name.rpartition("/")[2]) for name in known if versions in name), default=0))


def _without_zeros(value: Any) -> Any:
    """As the API answers."""
    if isinstance(value, dict):
        return {name: _without_zeros(item) for name, item in value.items() if item != 0}
    return [_without_zeros(item) for item in value] if isinstance(value, list) else value


def _one_field(changed: set[str]) -> None:
    if immutable := changed - service.MUTABLE:
        raise ValueError(f"googleapi: Error 400: immutable: {', '.join(sorted(immutable))}")
    asked = changed - {"deletionPolicy"}
    if "nodeType" in asked and not asked <= {"nodeType", "engineConfigs"}:
        raise ValueError(WITH_NODE_TYPE)
    if len(asked) > 1 and "nodeType" not in asked:
        raise ValueError(ONE_FIELD)


if __name__ == "__main__":
    serve(FakeGoogle(Path(os.environ[answers.FILE])), "10.2.0")
