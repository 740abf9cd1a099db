"""ElastiCache node types and their capacity."""

from __future__ import annotations

from dataclasses import dataclass

RESERVED_PERCENT = 25
"""Of a node's memory, for backups and failovers: `reserved-memory-percent`, the service's default."""

ALARM_PERCENT = 80
"""Of the rest. The memory alarm fires above it, so `memory` must fit below."""


@dataclass(frozen=True)
class CacheNodeType:
    """memory: in bytes, before the reserve. cpus: virtual CPUs, which determine the thresholds of alarms.
    ssd: in bytes, of a node that moves rarely used data there.
    """

    name: str
    memory: int
    cpus: int
    ssd: int = 0

    @property
    def maxmemory(self) -> int:
        """Bytes of data at which the server evicts keys or rejects writes."""
        return self.memory * (100 - RESERVED_PERCENT) // 100

    @property
    def comfortable(self) -> int:
        """Bytes of data below the threshold of the memory alarm."""
        return (self.maxmemory + self.ssd) * ALARM_PERCENT // 100

    @property
    def tiers_data(self) -> bool:
        """Whether it moves rarely used data to its SSD, which a replication group must enable."""
        return self.ssd > 0

    @property
    def is_burstable(self) -> bool:
        """Whether its CPU is limited to a baseline when its credits are used up."""
        return self.name.startswith("cache.t")

    @property
    def max_connections(self) -> int:
        """ElastiCache does not let it be changed (User Guide, `maxclients`).

        The guide names no limit of t4g.small and t4g.medium, so their alarm assumes that of t3.
        """
        if not self.is_burstable:
            return 65_000
        return 20_000 if self.name.startswith("cache.t2.") or self.name.endswith(".micro") else 46_000


_BURSTABLE = ("micro", "small", "medium")
_GRAVITON = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_INTEL = ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")

_FROM_6_GIB = (6854542746, 13891921715, 27966669210, 56116178125)
_FROM_13_GIB = (14037181030, 28261849702, 56711183565, 113609865216)

_BYTES = {
    ("t2",): (_BURSTABLE, (581959680, 1665138688, 3461349376)),
    ("m4",): (
        ("large", "xlarge", "2xlarge", "4xlarge", "10xlarge"),
        (6892593152, 15328501760, 31889126359, 65257290629, 166047614239),
    ),
    ("r4",): (
        ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"),
        (13201781556, 26898228839, 54197537997, 108858546586, 218255432090, 437021573120),
    ),
    ("t3", "t4g"): (_BURSTABLE, (536870912, 1471026299, 3317862236)),
    ("m5",): (_INTEL, (*_FROM_6_GIB, 168715971994, 337500562842)),
    ("r5",): (_INTEL, (*_FROM_13_GIB, 341206346547, 682485973811)),
    ("m6g", "m7g"): (_GRAVITON, (*_FROM_6_GIB, 111325552312, 168715971994, 225000375228)),
    ("r6g", "r7g"): (_GRAVITON, (*_FROM_13_GIB, 225000375228, 341206346547, 450000750456)),
    ("r6gd",): (_GRAVITON[1:], (*_FROM_13_GIB[1:], 225000375228, 341206346547, 450000750456)),
    ("m8g",): (
        _GRAVITON,
        (7294178820, 15222495510, 31866224640, 65856864256, 133838143488, 201819422720, 269800701952),
    ),
    ("r8g",): (
        _GRAVITON,
        (15222495510, 31866224640, 65856864256, 133838143488, 269800701952, 405763260416, 541725818880),
    ),
    ("c7gn",): (_GRAVITON, (3317862236, *_FROM_6_GIB, 84357985997, 113609865216)),
    ("c8gn",): (
        _GRAVITON,
        (3330020474, 7294178820, 15222495510, 31866224640, 65856864256, 99847503872, 133838143488),
    ),
}


_SSD_GIB = {
    "xlarge": 99.33,
    "2xlarge": 199.07,
    "4xlarge": 398.14,
    "8xlarge": 796.28,
    "12xlarge": 1194.42,
    "16xlarge": 1592.56,
}
"""Of r6gd nodes (AWS Price List, "storage")."""


def _ssd(family: str, size: str) -> int:
    return int(_SSD_GIB[size] * 1024**3) if family == "r6gd" else 0


def _cpus(family: str, size: str) -> int:
    """As in EC2 instances of that size."""
    if family == "t2" and size != "medium":
        return 1
    return 2 if size in (*_BURSTABLE, "large") else 4 * int(size.removesuffix("xlarge") or 1)


NODE_TYPES = {
    f"cache.{family}.{size}": CacheNodeType(f"cache.{family}.{size}", memory, _cpus(family, size), _ssd(family, size))
    for families, (sizes, memories) in _BYTES.items()
    for family in families
    for size, memory in zip(sizes, memories, strict=True)
}
"""By name. Memory: ElastiCache User Guide, "Valkey node-type specific parameters"."""

_LADDER = (
    *(NODE_TYPES[f"cache.t4g.{size}"] for size in _BURSTABLE),
    NODE_TYPES["cache.m7g.large"],
    *(NODE_TYPES[f"cache.r7g.{size}"] for size in _GRAVITON),
)
"""Graviton nodes by memory. From 13 GiB on, r7g nodes cost less per gigabyte than m7g nodes."""

DURABLE_FAMILIES = ("m6g", "m7g", "m8g", "r6g", "r7g", "r8g", "c7gn", "c8gn")
"""Node families that support a durable log (Valkey 9.0 and newer)."""


def smallest(size: int) -> CacheNodeType | None:
    """The smallest node type that holds `size` bytes of data with headroom; None if no node does."""
    return next((node for node in _LADDER if size <= node.comfortable), None)


def largest() -> CacheNodeType:
    return _LADDER[-1]
