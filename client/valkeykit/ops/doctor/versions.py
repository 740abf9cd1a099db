"""Is the server's version known to be vulnerable, or ended?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from valkeykit.ops.doctor.finding import CERTAIN, WARNING, Finding
from valkeykit.ops.doctor.probe import Snapshot
from valkeykit.ops.doctor.target import Target
from valkeykit.ops.vulnerabilities import affecting, mended, parse

ENDED_REDIS = ("7.0",)
"""Lines of Redis that get no fixes any more, beside all that are older than 6.2."""

OLDEST_REDIS = (6, 2, 0)


def findings(seen: Snapshot, target: Target) -> list[Finding]:
    """What is known of the server's version."""
    engine, text = engine_of(seen.info)
    version = parse(text)
    if version is None:
        return []
    node = str(seen.node)
    if engine == "redis" and (version < OLDEST_REDIS or ".".join(map(str, version[:2])) in ENDED_REDIS):
        return [Finding(
            "version", WARNING, "ended", f"Redis {text} gets no fixes any more", "its vulnerabilities stay open",
            "valkeykit migrate --dry-run", CERTAIN, node,
        )]  # fmt: skip
    open_ones = affecting(engine, version, has_tls=target.address.tls)
    if not open_ones:
        return []
    names = ", ".join(one.cve for one in open_ones)
    line = f"{version[0]}.{version[1]}"
    wanted = mended(open_ones, engine, line)
    fix = target.configure("valkey:version", wanted) or f"{engine}-server --version   # install {wanted} or newer"
    return [Finding(
        "version", WARNING, "vulnerable", f"{engine.capitalize()} {text} is open to {names}",
        f"{line} has the fixes in {wanted}; a distribution may have put them into this version", fix, "likely", node,
    )]  # fmt: skip


def engine_of(info: Mapping[str, Any]) -> tuple[str, str]:
    """valkey or redis, and its version; Valkey's `redis_version` is only what it is compatible with."""
    if "valkey_version" in info:
        return "valkey", str(info["valkey_version"])
    return "redis", str(info.get("redis_version", ""))
