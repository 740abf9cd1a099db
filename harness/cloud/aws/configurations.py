"""Configurations of the aws target: the smallest, and one of each topology."""

from __future__ import annotations

from harness.cloud.config_strategies import Configuration

MINIMAL: Configuration = {"target": "aws", "aws.region": "eu-central-1"}

TOPOLOGIES: dict[str, Configuration] = {
    "single": {},
    "replicated": {"topology": "replicated"},
    "cluster": {"topology": "cluster", "workload": "queue", "memory": "8gb"},
    "serverless": {"topology": "serverless"},
    "signed": {"topology": "replicated", "aws.auth": "iam"},
    "everything": {
        "topology": "cluster",
        "environment": "prod",
        "memory": "20gb",
        "shards": "15",
        "replicas": "5",
        "workload": "mixed",
        "aws.durability": "sync",
        "aws.kmsKey": "own",
        "aws.alertEmails": "ops@example.org,night@example.org",
        "aws.allowedCidrs": "10.0.0.0/16,fd00::/48",
        "aws.allowedSecurityGroups": "sg-0a1b",
        "aws.vpcId": "vpc-0a1b2c3d",
        "aws.subnetIds": "subnet-0,subnet-1,subnet-2",
        "passwordRotation": "2026-12",
        "aws.tags": "team=web,cost=12",
    },
}

NAMED: Configuration = {"aws.dnsName": "valkey.example.org", "aws.hostedZone": "Z0123456789ABCDEFGHIJ"}
"""With a name in an existing hosted zone."""
