"""What a preview refuses, before anything is changed."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from pulumi.output import UNKNOWN

from infra.drivers.processes import group_driver
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.errors import PreflightError
from infra.providers.processes import ServerGroupProvider
from tests.support.server_group import PASSWORDS, client_of, directives, kill, pids


def props(spec: GroupSpec, **others: Any) -> dict[str, Any]:
    """As Pulumi hands them to the provider."""
    return {
        "folder": str(spec.folder.path),
        "stack": spec.ownership.stack,
        "version": spec.ownership.version,
        "topology": spec.topology,
        "shards": float(spec.shards),
        "replicas": float(spec.replicas),
        "port": float(spec.port),
        "directives": dict(spec.directives),
        "acl": spec.acl,
        "sentinelAcl": spec.sentinel_acl,
        "passwords": dict(PASSWORDS),
        "restoreFrom": "",
        "finalSnapshot": True,
        "drift": [],
        "__provider": "pickled",
        **others,
    }


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_memory_below_the_data_is_refused_in_a_preview(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    with contextlib.closing(client_of(spec)) as client:
        for number in range(24):
            client.set(f"{{tag}}:{number}", "x" * 1024**2)
    provider, olds, before = ServerGroupProvider(), props(spec), pids(spec)
    less, more = directives(spec.topology, 16 * 1024**2), directives(spec.topology, 96 * 1024**2)
    unknown = {"acl": UNKNOWN, "sentinelAcl": UNKNOWN, "passwords": dict.fromkeys(PASSWORDS, UNKNOWN)}
    assert not provider.diff("resource-1", olds, olds).changes
    assert provider.diff("resource-1", olds, props(spec, directives=more, **unknown)).changes
    for news in (props(spec, directives=less), props(spec, directives=less, **unknown)):
        with pytest.raises(PreflightError, match="every write would fail -> pulumi config set memory <more>"):
            provider.diff("resource-1", olds, news)
    with pytest.raises(PreflightError, match=r"was written by Valkey .*; 1\.0\.0 is older"):
        provider.diff("resource-1", olds, props(spec, version="1.0.0"))
    assert provider.diff("resource-1", olds, props(spec, version=UNKNOWN)).changes
    assert pids(spec) == before
    with contextlib.closing(ProcessExecutor(spec.all_servers)) as executor:
        for name in spec.nodes:
            assert executor.run(name, "CONFIG", "GET", "maxmemory")["maxmemory"] == spec.directives["maxmemory"]


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_nodes_without_usable_data_are_refused_in_a_preview(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    kill(spec, *pids(spec))
    for node in spec.nodes.values():
        for manifest in node.folder.data.rglob("*.manifest"):
            manifest.unlink()
    olds = props(spec, drift=["node-0 doesn't run"])
    with pytest.raises(PreflightError, match="nothing was changed, as no node has usable data"):
        ServerGroupProvider().diff("resource-1", olds, olds)
    assert pids(spec) == {}
