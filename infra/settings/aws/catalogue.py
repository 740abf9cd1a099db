"""What ElastiCache has: regions, versions, node types, and the words it takes."""

from __future__ import annotations

from dataclasses import dataclass

REGIONS = (
    *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1"),
    *("ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5"),
    *("ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1"),
    *("eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1"),
    *("me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    *("cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1"),
)
"""Of botocore's endpoints for ElastiCache; a test compares them."""

FAMILIES = {"7.2": "valkey7", "8.0": "valkey8", "8.1": "valkey8", "8.2": "valkey8", "9.0": "valkey9", "9.1": "valkey9"}
"""The family of parameter groups by Valkey's version (ElastiCache User Guide, "Supported engines and versions")."""

LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
"""Retentions that CloudWatch Logs knows (PutRetentionPolicy)."""

RESERVED_PERCENT = 25
"""Of a node's memory, kept for backups and failovers: `reserved-memory-percent`, the service's default."""

FULL_PERCENT = 80
"""Of what is left: an alarm begins there, so `memory` must fit below."""

MAXIMUM_NODES = 90
"""Of a cluster; the service raises it to 500 on request."""


@dataclass(frozen=True)
class NodeType:
    """memory: bytes, before the reserve. cpus: virtual ones, which the alarms' thresholds follow."""

    name: str
    memory: int
    cpus: int

    @property
    def maxmemory(self) -> int:
        """Bytes that data may take before the server evicts or refuses."""
        return self.memory * (100 - RESERVED_PERCENT) // 100

    @property
    def comfortable(self) -> int:
        """Bytes that data may take before an alarm begins."""
        return self.maxmemory * FULL_PERCENT // 100

    @property
    def tiers_data(self) -> bool:
        """Whether it moves rarely used data to its SSD; ElastiCache wants to be told so."""
        return self.name.startswith("cache.r6gd.")


_BURSTABLE = ("micro", "small", "medium")
_GRAVITON = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_INTEL = ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")

_GIB_6 = (6854542746, 13891921715, 27966669210, 56116178125)
_GIB_13 = (14037181030, 28261849702, 56711183565, 113609865216)
_BYTES: dict[str, dict[str, int]] = {
    **{family: dict(zip(_BURSTABLE, (536870912, 1471026299, 3317862236))) for family in ("t3", "t4g")},
    "m5": dict(zip(_INTEL, (*_GIB_6, 168715971994, 337500562842))),
    "r5": dict(zip(_INTEL, (*_GIB_13, 341206346547, 682485973811))),
    **{f: dict(zip(_GRAVITON, (*_GIB_6, 111325552312, 168715971994, 225000375228))) for f in ("m6g", "m7g")},
    **{f: dict(zip(_GRAVITON, (*_GIB_13, 225000375228, 341206346547, 450000750456))) for f in ("r6g", "r7g")},
    "r6gd": dict(zip(_GRAVITON[1:], (*_GIB_13[1:], 225000375228, 341206346547, 450000750456))),
    "m8g": dict(
        zip(
            _GRAVITON,
            (7294178820, 15222495510, 31866224640, 65856864256, 133838143488, 201819422720, 269800701952),
        )
    ),
    "r8g": dict(
        zip(
            _GRAVITON,
            (15222495510, 31866224640, 65856864256, 133838143488, 269800701952, 405763260416, 541725818880),
        )
    ),
    "c7gn": dict(zip(_GRAVITON, (3317862236, *_GIB_6, 84357985997, 113609865216))),
    "c8gn": dict(
        zip(_GRAVITON, (3330020474, 7294178820, 15222495510, 31866224640, 65856864256, 99847503872, 133838143488))
    ),
}


def _cpus(size: str) -> int:
    """As of the EC2 instances of that size."""
    return 2 if size in (*_BURSTABLE, "large") else 4 * int(size.removesuffix("xlarge") or 1)


NODE_TYPES = {
    f"cache.{family}.{size}": NodeType(f"cache.{family}.{size}", memory, _cpus(size))
    for family, sizes in _BYTES.items()
    for size, memory in sizes.items()
}
"""By name. Bytes of memory: ElastiCache User Guide, "Valkey node-type specific parameters"."""

_LADDER = (
    *(NODE_TYPES[f"cache.t4g.{size}"] for size in _BURSTABLE),
    NODE_TYPES["cache.m7g.large"],
    *(NODE_TYPES[f"cache.r7g.{size}"] for size in _GRAVITON),
)
"""Graviton nodes by memory; from 13 GiB on the r7g give a gigabyte for less than the m7g."""

DURABLE_FAMILIES = ("m6g", "m7g", "m8g", "r6g", "r7g", "r8g", "c7gn", "c8gn")
"""Whose nodes can keep a durable log (Valkey 9.0 and newer)."""


def smallest(size: int) -> NodeType | None:
    """The smallest node type that holds `size` bytes of data with head room; None where no node does."""
    return next((node for node in _LADDER if size <= node.comfortable), None)


def largest() -> NodeType:
    return _LADDER[-1]
