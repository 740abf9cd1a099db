"""What the API answers in addition to the inputs, for mocks and fake provider.

Read in the provider's source and in recorded responses, not on a live project.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Inputs = dict[str, Any]

FILE = "FAKE_GCP_FILE"
"""The environment variable with the fake provider's file of all resources: by id their type and inputs."""

INSTANCE = "gcp:memorystore/instance:Instance"
ACL = "gcp:memorystore/aclPolicy:AclPolicy"
POLICY = "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy"
SERVICE = "gcp:projects/service:Service"
AGENT = "gcp:projects/serviceIdentity:ServiceIdentity"
MEMBER = "gcp:projects/iAMMember:IAMMember"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
POOL_MEMBER = "gcp:certificateauthority/caPoolIamMember:CaPoolIamMember"
KEY_MEMBER = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
NETWORK = "gcp:compute/network:Network"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
ADDRESS = "gcp:compute/address:Address"
RULE = "gcp:compute/forwardingRule:ForwardingRule"
USER_ENDPOINTS = "gcp:memorystore/instanceDesiredUserCreatedEndpoints:InstanceDesiredUserCreatedEndpoints"
ALERT = "gcp:monitoring/alertPolicy:AlertPolicy"
CHANNEL = "gcp:monitoring/notificationChannel:NotificationChannel"
DASHBOARD = "gcp:monitoring/dashboard:Dashboard"
SECRET = "gcp:secretmanager/secret:Secret"
SECRET_VERSION = "gcp:secretmanager/secretVersion:SecretVersion"

GET_NETWORK = "gcp:compute/getNetwork:getNetwork"

KINDS = (
    *(INSTANCE, ACL, POLICY, SERVICE, AGENT, MEMBER, BUCKET_MEMBER, KEY_MEMBER, POOL_MEMBER),
    *(NETWORK, SUBNETWORK, ADDRESS, RULE, USER_ENDPOINTS),
    *(ALERT, CHANNEL, DASHBOARD, SECRET, SECRET_VERSION),
)

CERTIFICATES = [
    f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----" for name in ("leaf1", "root1", "leaf2", "root2")
]
"""Of two authorities while one follows the other, with a chain of two each."""

_TYPES = {
    "CLUSTER": ("CONNECTION_TYPE_DISCOVERY", None),
    "CLUSTER_DISABLED": ("CONNECTION_TYPE_READER", "CONNECTION_TYPE_PRIMARY"),
}
"""Of the two endpoints. The second one of a cluster has no type; without a cluster the reader may come first."""

_ATTACHMENTS = {
    "CLUSTER": ("CONNECTION_TYPE_DISCOVERY", None),
    "CLUSTER_DISABLED": ("CONNECTION_TYPE_PRIMARY", "CONNECTION_TYPE_READER"),
}
"""Of the two service attachments."""

_IDS: Mapping[str, str] = {
    INSTANCE: "projects/{project}/locations/{location}/instances/{instanceId}",
    ACL: "projects/{project}/locations/{location}/aclPolicies/{aclPolicyId}",
    POLICY: "projects/{project}/locations/{location}/serviceConnectionPolicies/{name}",
    SERVICE: "{project}/{service}",
    AGENT: "projects/{project}/services/{service}",
    MEMBER: "{project}/{role}/{member}",
    BUCKET_MEMBER: "b/{bucket}/{role}/{member}",
    KEY_MEMBER: "{cryptoKeyId}/{role}/{member}",
    POOL_MEMBER: "{caPool}/{role}/{member}",
    NETWORK: "projects/{project}/global/networks/{name}",
    SUBNETWORK: "projects/{project}/regions/{region}/subnetworks/{name}",
    ADDRESS: "projects/{project}/regions/{region}/addresses/{name}",
    RULE: "projects/{project}/regions/{region}/forwardingRules/{name}",
    # The provider has the instance's own id here.
    USER_ENDPOINTS: "projects/{project}/locations/{region}/instances/{name}/endpoints",
    SECRET: "projects/{project}/secrets/{secretId}",
    SECRET_VERSION: "{secret}/versions/1",
}
_NUMBERED = {ALERT: "alertPolicies", CHANNEL: "notificationChannels", DASHBOARD: "dashboards"}


def resource_id(kind: str, name: str, inputs: Inputs) -> str:
    """Google numbers some; here they have the resource's name instead."""
    if kind in _NUMBERED:
        return f"projects/{inputs['project']}/{_NUMBERED[kind]}/{name}"
    return _IDS[kind].format(**inputs)


def outputs(kind: str, name: str, inputs: Inputs) -> Inputs:
    found: Inputs = {"id": resource_id(kind, name, inputs)}
    if kind == INSTANCE:
        found |= _instance(inputs)
    if kind == AGENT:
        found["member"] = "serviceAccount:service-123@gcp-sa-memorystore.iam.gserviceaccount.com"
    if kind == ADDRESS:
        found["address"] = f"10.62.0.{sum(inputs['name'].encode()) % 250}"
    if kind == RULE:
        found["pscConnectionId"] = str(sum(inputs["name"].encode()))
    if kind in (SECRET, CHANNEL, INSTANCE, ACL):
        found["name"] = found["id"]
    return found


def _instance(inputs: Inputs) -> Inputs:
    mode = inputs.get("mode", "CLUSTER")
    connections = [
        {
            "pscAutoConnection": {
                "ipAddress": f"10.61.0.{number}",
                "port": 6379,
                **({"connectionType": kind} if kind else {}),
            }
        }
        for number, kind in enumerate(_TYPES[mode], 2)
    ]
    attachment = "projects/987/regions/{location}/serviceAttachments/gcp-memorystore-auto-{instanceId}-psc-sa"
    uri = attachment.format(**{"location": "", "instanceId": "", **inputs})
    is_managed = inputs.get("serverCaMode") in ("GOOGLE_MANAGED_PER_INSTANCE_CA", "GOOGLE_MANAGED_SHARED_CA")
    chains = [{"certificates": CERTIFICATES[:2]}, {"certificates": CERTIFICATES[2:]}]
    return {
        "endpoints": [{"connections": connections}],
        "managedServerCas": [{"caCerts": chains}] if is_managed else [],
        "pscAttachmentDetails": [
            {"serviceAttachment": f"{uri}{suffix}", **({"connectionType": kind} if kind else {})}
            for suffix, kind in zip(("", "-2"), _ATTACHMENTS[mode], strict=True)
        ],
        "discoveryEndpoints": [],
        "pscAutoConnections": [],
        "availableMaintenanceVersions": [],
        "engineVersion": inputs.get("engineVersion", "VALKEY_9_0"),
    }
