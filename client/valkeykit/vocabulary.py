"""The closed vocabularies of valkeykit, shared by the queue, the tools and the deployment program."""

from __future__ import annotations

from typing import Literal

Target = Literal["embedded", "docker", "aws", "gcp"]
"""Where a deployment runs."""

Environment = Literal["dev", "prod"]
"""What a deployment is for, which determines how strict its checks are."""

UserRole = Literal["app", "admin", "monitor"]
"""The users of a deployment that log in with a password: the application, the operator and the exporter."""

Workload = Literal["cache", "queue", "mixed"]
"""What a deployment stores, which determines its eviction policy."""

DeploymentTopology = Literal["single", "replicated", "cluster", "serverless"]
"""How the servers of a deployment are arranged."""

Topology = Literal["single", "replicated", "sentinel", "cluster"]
"""How a client connects."""

Role = Literal["master", "slave"]
"""The replication role that a node reports in INFO."""

NodeRole = Literal["primary", "replica"]
"""A node's replication role as the tools report it."""

StoredState = Literal["waiting", "delayed", "active", "dead"]
"""The state of a job that is stored in a queue."""

ReapedFate = Literal["waiting", "dead", "cancelled"]
"""What became of a job whose worker did not renew its lease."""

JobStatus = Literal["waiting", "delayed", "active", "dead", "completed", "missing"]
"""The state of one job, by its id."""

EventKind = Literal["completed", "failed", "dead", "cancelled", "lost"]
"""How an attempt ended. failed: it will be retried. lost: the lease expired, and another worker may have the job."""

Interruption = Literal["timeout", "cancelled", "lost", "stopped"]
"""Why a running job is interrupted. stopped: its worker ends, and has released it."""

MigrationRole = Literal["source", "target"]
"""An endpoint of a migration."""

Severity = Literal["problem", "warning", "note"]
"""How serious a finding of the doctor is."""

Confidence = Literal["certain", "likely", "possible"]
"""The doctor's confidence in a finding."""
