"""The fake provider's cloud: resources in a file, answers in the API's form, and the API's refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.cloud.fake_provider import Properties, serve
from harness.cloud.gcp import answers, service

ONE_FIELD = "googleapi: Error 400: exactly 1 update_mask field must be specified per update request"
WITH_NODE_TYPE = "googleapi: Error 400: only engine_configs supported along with node_type update"


class FakeGoogle:
    def __init__(self, file: Path) -> None:
        self._file = file

    def refusals(self, kind: str, inputs: Properties) -> list[tuple[str, str]]:
        return [("", violation) for violation in service.violations(kind, inputs)]

    def replaces(self, kind: str, former: Properties, inputs: Properties, changed: set[str]) -> set[str]:
        return service.replaces(kind, former, inputs, changed)

    def create(self, kind: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        known = self._load()
        resource = answers.resource_id(kind, name, inputs)
        if kind == answers.SECRET_VERSION:
            resource = _next_version(resource, known)
        # Google answers a grant or an enabled API that exists already as if it were new.
        if resource in known and kind not in (answers.SERVICE, answers.AGENT, answers.MEMBER):
            raise ValueError(f"googleapi: Error 409: {resource} already exists")
        if kind == answers.INSTANCE:
            _needs_policy(inputs, known)
        if kind == answers.POLICY:
            _only_one(inputs, known)
        self._store({**known, resource: {"kind": kind, "inputs": inputs}})
        return resource, answers.outputs(kind, name, inputs)

    def read(self, kind: str, resource: str, former: Properties) -> Properties | None:  # noqa: ARG002
        found = self._load().get(resource)
        return former or found["inputs"] if found else None

    def update(self, kind: str, resource: str, former: Properties, inputs: Properties) -> Properties:
        known = self._load()
        asked = known[resource]["inputs"]
        if kind == answers.INSTANCE:
            _one_field({name for name in {*asked, *inputs} if asked.get(name) != inputs.get(name)})
        self._store({**known, resource: {"kind": kind, "inputs": inputs}})
        kept = {name: value for name, value in former.items() if name not in {*asked, *inputs}}
        return kept | answers.outputs(kind, resource.rpartition("/")[2], inputs)

    def delete(self, kind: str, resource: str, former: Properties) -> None:
        known = self._load()
        if kind == answers.INSTANCE and former.get("deletionProtectionEnabled"):
            raise ValueError("deletion_protection_enabled is true: set it to false and update before the deletion")
        if kind == answers.POLICY:
            _unused(former, known)
        known.pop(resource, None)
        self._store(known)

    def invoke(self, function: str, arguments: Properties) -> Properties:
        raise AssertionError(f"{function} isn't known here: {arguments}")

    def _load(self) -> dict[str, Properties]:
        known: dict[str, Properties] = json.loads(self._file.read_text())
        return known

    def _store(self, known: dict[str, Properties]) -> None:
        self._file.write_text(json.dumps(known))


def _next_version(first: str, known: dict[str, Properties]) -> str:
    """Google numbers a secret's versions."""
    versions = first.removesuffix("1")
    return versions + str(1 + max((int(name.rpartition("/")[2]) for name in known if versions in name), default=0))


def _policies(location: str, network: str, known: dict[str, Properties]) -> list[str]:
    return [
        resource
        for resource, stored in known.items()
        if stored["kind"] == answers.POLICY
        and stored["inputs"]["location"] == location
        and stored["inputs"]["network"].rpartition("/")[2] == network.rpartition("/")[2]
        and stored["inputs"]["serviceClass"] == "gcp-memorystore"
    ]


def _needs_policy(inputs: Properties, known: dict[str, Properties]) -> None:
    (endpoint,) = inputs["desiredAutoCreatedEndpoints"]
    if not _policies(inputs["location"], endpoint["network"], known):
        raise ValueError(f"googleapi: Error 400: no service connection policy for {endpoint['network']}")


def _unused(policy: Properties, known: dict[str, Properties]) -> None:
    for stored in known.values():
        if stored["kind"] == answers.INSTANCE and stored["inputs"]["location"] == policy["location"]:
            (endpoint,) = stored["inputs"]["desiredAutoCreatedEndpoints"]
            if endpoint["network"] == policy["network"]:
                raise ValueError("googleapi: Error 400: the service connection policy is in use")


def _only_one(inputs: Properties, known: dict[str, Properties]) -> None:
    if _policies(inputs["location"], inputs["network"], known):
        raise ValueError("googleapi: Error 409: the network has a policy for gcp-memorystore in this region")


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
