"""Version checks: known vulnerabilities and the end of support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from valkeykit_ops.doctor.finding import CERTAIN, LIKELY, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target
from valkeykit_ops.vulnerabilities import affecting, fixed_release, parse_release

UNSUPPORTED_REDIS = ("7.0",)
"""Redis minor versions without fixes, in addition to those older than 6.2."""

OLDEST_REDIS = (6, 2, 0)


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about the server's version."""
    engine, text = engine_of(snapshot.info)
    version = parse_release(text)
    if version is None:
        return []
    node = str(snapshot.node)
    if engine == "redis" and (version < OLDEST_REDIS or ".".join(map(str, version[:2])) in UNSUPPORTED_REDIS):
        return [
            Finding(
                "version",
                WARNING,
                "ended",
                f"Redis {text} is no longer supported",
                "its vulnerabilities are not fixed",
                "valkeykit migrate plan --help",
                CERTAIN,
                node,
            )
        ]
    vulnerable_to = affecting(engine, version, has_tls=target.address.tls)
    if not vulnerable_to:
        return []
    names = ", ".join(one.cve for one in vulnerable_to)
    line = f"{version[0]}.{version[1]}"
    fixed = fixed_release(vulnerable_to, engine, line)
    fix = target.configure("valkey:version", fixed) or target.cli(snapshot.node, "INFO", "server")
    return [
        Finding(
            "version",
            WARNING,
            "vulnerable",
            f"{engine.capitalize()} {text} is vulnerable to {names}",
            f"install {fixed} or newer; your distribution may have backported the fixes to {line}",
            fix,
            LIKELY,
            node,
        )
    ]


def engine_of(info: Mapping[str, Any]) -> tuple[str, str]:
    """The engine, valkey or redis, and its version. Valkey's `redis_version` is only its compatibility level."""
    if "valkey_version" in info:
        return "valkey", str(info["valkey_version"])
    return "redis", str(info.get("redis_version", ""))
