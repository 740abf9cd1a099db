"""Preflight checks of what both users may do, and whether both servers can take part at all."""

from __future__ import annotations

import time

from redis.exceptions import RedisError

from valkeykit_ops.migrate import permissions
from valkeykit_ops.migrate.checks import Check
from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.permissions import NO_KEY
from valkeykit_ops.migrate.run_context import RunContext

SKEW_NOTED_SECONDS, SKEW_REJECTED_SECONDS = 1.0, 60.0
"""Difference between both servers' clocks; a key expires by the clock of the server that has it."""

FIRST_WITH_PAUSED_WRITES = (6, 2)
"""The Redis that introduced CLIENT PAUSE WRITE; before it, reads are paused too."""

REJECTED_WRITES = {
    "READONLY": ("the target is a replica", "use the URL of its primary"),
    "MISCONF": (
        "the target cannot write to its disk, so it rejects writes",
        "check its log, the free disk space and the owner of its folder",
    ),
    "NOREPLICAS": (
        "the target has fewer replicas in sync than min-replicas-to-write requires",
        "restart the missing replicas",
    ),
}
"""First words of errors that are no missing permission: the problem and its fix."""


def roles(context: RunContext) -> list[Check]:
    """Check that neither server is a replica: it may lag, and its data change without its own write commands."""
    checks = []
    for name, server in (("source", context.source), ("target", context.target)):
        info = server.info(server.primaries()[0].node, "replication")
        if info.get("role") == "slave":
            primary = f"{info.get('master_host')}:{info.get('master_port')}"
            link = "" if info.get("master_link_status") == "up" else ", and disconnected from it"
            checks.append(
                Check(
                    f"role of the {name}",
                    False,
                    f"the {name} is a replica of {primary}{link}",
                    "use the URL of its primary",
                )
            )
    return checks


def clocks(context: RunContext) -> Check:
    """Check how far both clocks are apart."""
    skew = _offset(context.target) - _offset(context.source)
    text = f"the target's clock is {abs(skew):,.1f} s {'ahead of' if skew > 0 else 'behind'} the source's"
    if abs(skew) < SKEW_NOTED_SECONDS:
        return Check("clocks", True, "both clocks agree")
    if abs(skew) < SKEW_REJECTED_SECONDS:
        return Check("clocks", None, f"{text}, so keys expire that much {'earlier' if skew > 0 else 'later'}")
    return Check(
        "clocks",
        False,
        f"{text}, so every expiry would change by that",
        "synchronize both clocks, for example with chrony",
    )


def access(context: RunContext, sizes: dict[int, int], *, writes: bool = True) -> list[Check]:
    """Check that both users may run what a migration needs.

    Args:
        sizes: Number of keys of the source's databases.
        writes: Whether the target is written to.
    """
    checks = []
    denied = permissions.denied_commands(context, sizes, writes=writes)
    for name, server in (("source", context.source), ("target", context.target)):
        state = {code for code in denied[name].values() if code in REJECTED_WRITES}
        checks += [Check(f"writes at the {name}", False, *REJECTED_WRITES[code]) for code in sorted(state)]
        missing = {command: code for command, code in denied[name].items() if code not in REJECTED_WRITES}
        checks.append(_permissions(context, name, server, missing))
    return checks


def cut_over_access(context: RunContext, *, required: bool, pause: bool) -> list[Check]:
    """Check that the source's user may run what a cut-over needs.

    Args:
        required: Whether a cut-over follows at once; otherwise missing permissions are a warning.
        pause: Whether it pauses writes.
    """
    rejected = False if required else None
    denied = permissions.denied_cut_over(context.source, pause=pause)
    check = _permissions(context, "source", context.source, denied)
    name = "permissions for the cut-over"
    checks = [Check(name, True, "all required commands are permitted")]
    if not check.ok:
        checks = [Check(name, rejected, check.text, check.fix)]
    if pause and context.source.release < FIRST_WITH_PAUSED_WRITES:
        checks.append(
            Check(
                "pause of writes",
                rejected,
                "a Redis before 6.2 cannot pause writes alone",
                "stop the writers, and run cut-over without --pause-writes",
            )
        )
    return checks


def _permissions(context: RunContext, name: str, server: MigrationServer, denied: dict[str, str]) -> Check:
    title = f"permissions at the {name}"
    if not denied:
        return Check(title, True, "all required commands are permitted")
    rules = [f"+{command.lower().replace(' ', '|')}" for command, code in denied.items() if code != NO_KEY]
    if NO_KEY in denied.values():
        scope = context.options.scope
        pattern = scope.pattern if name == "source" else scope.target_pattern
        rules.insert(0, f"~{(pattern or b'*').decode()}")
    user = server.settings.address.username or "default"
    return Check(
        title,
        False,
        f"the {name} rejects {', '.join(denied)}",
        f"at the {name}: ACL SETUSER {user} {' '.join(rules)}",
    )


def _offset(server: MigrationServer) -> float:
    """How far a server's clock is ahead of the local one."""
    before = time.time()
    try:
        seconds, micros = server.command(server.primaries()[0].node, "TIME")
    except RedisError:  # the permissions check reports what is denied
        return 0.0
    return int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2
