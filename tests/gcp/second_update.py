"""A second update without an engine: what the fake provider reports for unchanged resources, refreshed or not.

A program of its own, since the fake provider can't be imported together with Google's libraries. It reads recorded
resources from stdin, by configuration, and prints what would change.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import CreateRequest, DiffRequest, ReadRequest

from harness.cloud.fake_provider import FakeProvider, wrapped
from harness.cloud.gcp.backend import FakeGoogle

Resource = tuple[str, str, Mapping[str, Any]]
"""Type token, name and inputs."""


def marshalled(inputs: Mapping[str, Any]) -> dict[str, PropertyValue]:
    return {name: wrapped(value) for name, value in inputs.items()}


async def changes(resources: Iterable[Resource], others: Mapping[str, Any], file: Path) -> list[str]:
    """others: what Google has already."""
    file.write_text(json.dumps(others))
    provider = FakeProvider(FakeGoogle(file))
    made = []
    for kind, name, inputs in resources:
        urn = f"urn:pulumi:test::valkey::{kind}::{name}"
        created = await provider.create(CreateRequest(urn, marshalled(inputs), 0, preview=False))
        made.append((urn, inputs, created.resource_id or "", created.properties or {}))
    found = []
    for urn, inputs, resource, state in made:
        same = await provider.diff(DiffRequest(urn, resource, state, marshalled(inputs), []))
        read = await provider.read(ReadRequest(urn, resource, state, marshalled(inputs)))
        refreshed = await provider.diff(DiffRequest(urn, resource, read.properties or {}, marshalled(inputs), []))
        for when, answer in (("second", same), ("refreshed", refreshed)):
            found += [f"{when}: {urn.rpartition('::')[2]} {name}" for name in answer.diffs or ()]
    return found


def main() -> None:
    given: dict[str, tuple[list[Resource], dict[str, Any]]] = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "resources.json"
        found = {name: asyncio.run(changes(*asked, file)) for name, asked in given.items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
