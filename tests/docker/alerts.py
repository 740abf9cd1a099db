"""For each alert of compose/monitoring/rules.yaml, series on which it fires, and series on which it does not.

A series is its name and labels, and its values in promtool's notation, one a minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Series = dict[str, str]

LENGTH = 46
"""Values: longer than any rule waits."""

AT = "45m"

BACKUPS = "valkey-backups"
"""The group of the alerts about days, which need far longer series."""

LONG_SECONDS, LONG_EVAL_TIME = 30 * 60, "29h"

_NODE = 'stack="s",instance="s/node-0",kind="node"'
_JOBS, _CACHE = f'{_NODE},policy="noeviction"', f'{_NODE},policy="allkeys-lru"'
_REPLICA = f'{_NODE},slave_ip="10.0.0.2"'


def steady(value: float, change: float = 0) -> str:
    return f"{value}{change:+}x{LENGTH}"


def _one(name: str, labels: str, fires: str, silent: str) -> tuple[Series, Series]:
    series = f"{name}{{{labels}}}"
    return {series: fires}, {series: silent}


def _of(stack: str, node: int) -> str:
    return f'stack="{stack}",instance="{stack}/node-{node}",kind="node"'


def _roles(*roles: str, cluster: int = 0, stack: str = "s") -> Series:
    series = {}
    for number, role in enumerate(roles):
        labels = _of(stack, number)
        series[f"redis_up{{{labels}}}"] = steady(1)
        series[f'redis_instance_info{{{labels},role="{role}"}}'] = steady(1)
        series[f"redis_cluster_enabled{{{labels}}}"] = steady(cluster)
    return series


def _memory(used: int, labels: str = _JOBS) -> Series:
    return {f"redis_memory_used_bytes{{{labels}}}": steady(used), f"redis_memory_max_bytes{{{labels}}}": steady(100)}


_EVENT = LENGTH - 8
"""The minute in which keys vanish."""


def _then(before: float, after: float) -> str:
    return f"{before}+0x{_EVENT} {after}+0x{LENGTH - _EVENT - 1}"


def _keys(stack: str, *nodes: tuple[str, int, int], cluster: int = 0, restarts: bool = True) -> Series:
    """nodes: role, and keys before and after the event."""
    series = _roles(*(role for role, _, _ in nodes), cluster=cluster, stack=stack)
    for number, (_, before, after) in enumerate(nodes):
        labels = _of(stack, number)
        series[f'redis_db_keys{{{labels},db="db0"}}'] = _then(before, after)
        series[f"redis_loading_dump_file{{{labels}}}"] = steady(0)
        restart = f"0+60x{_EVENT} 0+60x{LENGTH - _EVENT - 1}" if restarts and not number else steady(0, 60)
        series[f"redis_uptime_in_seconds{{{labels}}}"] = restart
    return series


def _flushes(stack: str) -> Series:
    return {f'redis_commands_total{{{_of(stack, 0)},cmd="flushall"}}': f"_x{_EVENT} 1+0x{LENGTH - _EVENT - 1}"}


def _copies(stack: str, values: str, backups: str = "daily") -> Series:
    labels = f'{_of(stack, 0)},backups="{backups}"'
    return {
        f"redis_up{{{labels}}}": f"1+0x{LONG_SECONDS}",
        f'redis_commands_total{{{labels},cmd="sync"}}': values,
    }


_UPLOADER = 'job="valkey",stack="s",instance="s/uploader",node="uploader",kind="uploader"'


def _long(name: str, labels: str, value: int) -> Series:
    """A series for the group of the backups."""
    return {f"{name}{{{labels}}}": f"{value}+0x{LONG_SECONDS}"}


_QUEUE = 'job="valkey-queues",instance="h:9121",stack="s",queue="mail"'


def _queue(
    *, name: str = "mail", waiting: int = 0, due: int = 0, workers: int = 0, age: int = 0, paused: int = 0
) -> Series:
    labels = _QUEUE.replace("mail", name)
    return {
        f'valkeykit_queue_jobs{{{labels},state="waiting"}}': steady(waiting),
        f'valkeykit_queue_jobs{{{labels},state="dead"}}': steady(9),
        f"valkeykit_queue_due_jobs{{{labels}}}": steady(due),
        f"valkeykit_queue_workers{{{labels}}}": steady(workers),
        f"valkeykit_queue_oldest_job_age_seconds{{{labels}}}": steady(age),
        f"valkeykit_queue_paused{{{labels}}}": steady(paused),
    }


_DAY = 24 * 60
_REST = f"1+0x{LONG_SECONDS - _DAY}"

CASES: dict[str, tuple[Series, Series]] = {
    "ValkeyExporterDown": (
        {f'up{{{_NODE},job="valkey"}}': steady(0)},
        {f'up{{{_NODE},job="valkey"}}': steady(1), f"up{{{_UPLOADER}}}": steady(0)},
    ),
    "ValkeyDown": _one("redis_up", _NODE, steady(0), steady(1)),
    "ValkeyRestarts": _one("redis_uptime_in_seconds", _NODE, " ".join(["0 600"] * (LENGTH // 2)), steady(0, 30)),
    "ValkeyNoPrimary": (_roles("slave", "slave"), _roles("slave", "master")),
    "ValkeyTwoPrimaries": (_roles("master", "master"), _roles("master", "master", "master", cluster=1)),
    "ValkeyClusterFailing": _one("redis_cluster_state", _NODE, steady(0), steady(1)),
    "ValkeyClusterIncomplete": (
        {**_roles(*["master"] * 3), f"redis_cluster_known_nodes{{{_NODE}}}": steady(4)},
        {**_roles(*["master"] * 3), f"redis_cluster_known_nodes{{{_NODE}}}": steady(3)},
    ),
    "ValkeySentinelsNoQuorum": _one("redis_sentinel_master_ckquorum_status", _NODE, steady(0), steady(1)),
    "ValkeySentinelMissing": _one("redis_sentinel_master_ok_sentinels", _NODE, steady(2), steady(3)),
    "ValkeyReplicationBroken": _one("redis_master_link_up", _NODE, steady(0), steady(1)),
    "ValkeyPrimaryWithoutReplica": (
        {**_roles("master", "slave"), f"redis_connected_slaves{{{_NODE}}}": steady(0)},
        {
            **_roles("master", "slave"),
            f"redis_connected_slaves{{{_NODE}}}": steady(1),
            f"redis_connected_slaves{{{_of('s', 1)}}}": steady(0),
            **_roles("master", "master", "master", cluster=1, stack="no-replicas-wanted"),
            f"redis_connected_slaves{{{_of('no-replicas-wanted', 0)}}}": steady(0),
        },
    ),
    "ValkeyReplicaLags": (
        {
            f"redis_master_repl_offset{{{_NODE}}}": steady(100_000_000),
            f"redis_connected_slave_offset_bytes{{{_REPLICA}}}": steady(1),
        },
        {
            f"redis_master_repl_offset{{{_NODE}}}": steady(100_000_000),
            f"redis_connected_slave_offset_bytes{{{_REPLICA}}}": steady(99_999_000),
            f"redis_connected_slave_lag_seconds{{{_REPLICA}}}": steady(1),
        },
    ),
    "ValkeyMemoryHigh": (_memory(85), _memory(100, _CACHE)),
    "ValkeyMemoryFull": (_memory(96), _memory(94)),
    "ValkeyRefusesWrites": (
        {f'redis_errors_total{{{_NODE},err="OOM"}}': steady(0, 1)},
        {f'redis_errors_total{{{_NODE},err="WRONGTYPE"}}': steady(0, 1)},
    ),
    "ValkeyEvictsJobs": (
        {f"redis_evicted_keys_total{{{_JOBS}}}": steady(0, 1)},
        {f"redis_evicted_keys_total{{{_CACHE}}}": steady(0, 1)},
    ),
    "ValkeyFragmented": (
        {
            f"redis_mem_fragmentation_ratio{{{_NODE}}}": steady(2),
            f"redis_memory_used_rss_bytes{{{_NODE}}}": steady(1e9),
        },
        {
            f"redis_mem_fragmentation_ratio{{{_NODE}}}": steady(9),
            f"redis_memory_used_rss_bytes{{{_NODE}}}": steady(1e7),
        },
    ),
    "ValkeyRejectsConnections": _one("redis_rejected_connections_total", _NODE, steady(0, 1), steady(7)),
    "ValkeyConnectionsHigh": (
        {f"redis_connected_clients{{{_NODE}}}": steady(90), f"redis_max_clients{{{_NODE}}}": steady(100)},
        {f"redis_connected_clients{{{_NODE}}}": steady(9), f"redis_max_clients{{{_NODE}}}": steady(100)},
    ),
    "ValkeyClientsBlocked": (
        {f"redis_blocked_clients{{{_CACHE}}}": steady(1)},
        {f"redis_blocked_clients{{{_JOBS}}}": steady(9)},
    ),
    "ValkeyCutsClientsOff": _one(
        "redis_client_output_buffer_limit_disconnections_total", _NODE, steady(0, 1), steady(3)
    ),
    "ValkeyLoginsDenied": _one("redis_acl_access_denied_auth_total", _NODE, steady(0, 9), steady(0, 1)),
    "ValkeySlow": _one("redis_slowlog_last_id", _NODE, steady(0, 10), steady(0, 1)),
    "ValkeyKeysVanish": (
        _keys("s", ("master", 500, 252), ("slave", 500, 252)),
        {
            **_keys("drained", ("master", 500, 0), ("slave", 500, 0), restarts=False),
            **_keys("flushed", ("master", 500, 0)),
            **_flushes("flushed"),
            **_keys("moved", ("master", 500, 250), ("master", 500, 750), cluster=1),
            **_keys("resynchronizing", ("slave", 500, 0), ("master", 500, 500)),
            **_keys("few", ("master", 40, 0)),
            **_keys("restarted", ("master", 500, 480)),
        },
    ),
    "ValkeyAofFails": _one("redis_aof_last_write_status", _NODE, steady(0), steady(1)),
    "ValkeySnapshotFails": _one("redis_rdb_last_bgsave_status", _NODE, steady(0), steady(1)),
    "ValkeySnapshotOld": (
        {  # promtool's clock starts at 0
            f"redis_rdb_last_save_timestamp_seconds{{{_NODE}}}": steady(-86400),
            f"redis_rdb_changes_since_last_save{{{_NODE}}}": steady(1),
        },
        {
            f"redis_rdb_last_save_timestamp_seconds{{{_NODE}}}": steady(-86400),
            f"redis_rdb_changes_since_last_save{{{_NODE}}}": steady(0),
        },
    ),
    "ValkeyBackupMissing": (
        _copies("s", f"1+0x{LONG_SECONDS}"),
        {
            **_copies("due", f"_x{_DAY} {_REST}"),  # the first one since the server's start
            **_copies("more", f"1+0x{_DAY} 2+0x{LONG_SECONDS - _DAY - 1}"),
            **_copies("none", f"1+0x{LONG_SECONDS}", "none"),
            **_copies("weekly", f"1+0x{LONG_SECONDS}", "weekly"),
            **_copies("new", f"_x{LONG_SECONDS}"),
            **{
                name: f"_x{_DAY} 1+0x{LONG_SECONDS - _DAY}"
                for name in _copies("new", "")
                if name.startswith("redis_up")
            },
        },
    ),
    "ValkeyBackupFails": (
        _copies("s", f"1+1x{LONG_SECONDS}"),
        {
            **_copies("hourly", " ".join(f"{n}+0x59" for n in range(1, 31))),
            **_copies("none", f"1+1x{LONG_SECONDS}", "none"),
        },
    ),
    "ValkeyUploadFails": (
        _long("valkey_upload_failed_attempts", _UPLOADER, 3),
        {**_long("valkey_upload_failed_attempts", _UPLOADER, 2), **_long("up", _UPLOADER, 1)},
    ),
    "ValkeyQueuesNotRead": _one("valkeykit_queues_up", 'job="valkey-queues",stack="s"', steady(0), steady(1)),
    "ValkeyJobsWait": (
        _queue(waiting=1, workers=1, age=61),
        {**_queue(waiting=1, workers=1, age=60), **_queue(name="paused", waiting=1, age=61, paused=1)},
    ),
    "ValkeyNoWorker": (
        _queue(waiting=1),
        {
            **_queue(waiting=1, due=1, workers=1),
            **_queue(name="empty"),
            **_queue(name="paused", waiting=1, due=1, paused=1),
        },
    ),
    "ValkeyDeadLetters": _one("valkeykit_queue_dead_lettered_total", _QUEUE, steady(0, 1), steady(7)),
    "ValkeyLeasesLost": _one("valkeykit_queue_leases_lost_total", _QUEUE, steady(0, 1), steady(7)),
}


MORE: list[tuple[str, Series]] = [
    ("ValkeyKeysVanish", _keys("s", ("master", 500, 0))),
    (
        "ValkeyKeysVanish",  # a shard of three is gone, on the node that restarted and on its replica
        _keys("s", *[("slave", 166, 0), ("master", 167, 167), ("master", 167, 167), ("master", 166, 0)], cluster=1),
    ),
    ("ValkeyKeysVanish", _keys("s", ("master", 166, 83), ("master", 167, 167), ("master", 167, 167), cluster=1)),
    (
        "ValkeyPrimaryWithoutReplica",  # a shard's only replica is now a primary without slots
        {
            **_roles("master", "master", "master", "slave", "slave", "master", cluster=1),
            f"redis_connected_slaves{{{_of('s', 5)}}}": steady(0),
        },
    ),
    ("ValkeyBackupMissing", _copies("s", f"_x{LONG_SECONDS}")),
    ("ValkeyUploadFails", _long("up", _UPLOADER, 0)),
    ("ValkeyQueuesNotRead", {'up{job="valkey-queues",stack="s"}': steady(0)}),
    ("ValkeyNoWorker", _queue(due=1)),
]
"""Further series that alerts fire on."""


def unit_tests(rules: str, group: Mapping[str, Any]) -> dict[str, object]:
    """The same for promtool, for the alerts of one group, which is all that the file `rules` has."""
    alerts = [rule["alert"] for rule in group["rules"] if "alert" in rule]
    is_long = group["name"] == BACKUPS
    return {
        "rule_files": [rules],
        "evaluation_interval": "15m" if is_long else "3m",
        "tests": [
            {
                "interval": "1m",
                "name": f"{alert} {'fires' if fires else 'is silent'}",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'min(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                        "eval_time": LONG_EVAL_TIME if is_long else AT,
                        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                    }
                ],
            }
            for alert, fires, series in _cases()
            if alert in alerts
        ],
    }


def _cases() -> Iterator[tuple[str, bool, Series]]:
    for alert, (fires, silent) in CASES.items():
        yield alert, True, fires
        yield alert, False, silent
    for alert, series in MORE:
        yield alert, True, series
