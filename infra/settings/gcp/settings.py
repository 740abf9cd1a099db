"""Configuration keys of the gcp target, with secure defaults."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.config_keys import EmptyAsNone, Key, SettingsModel, StrictBool
from infra.settings.gcp.catalogue import LOCATIONS
from infra.settings.gcp.node_types import NODE_TYPES
from infra.settings.values import EMAIL, KeyValuePairs, NameList, each_matches, one_of, private_network

_PROJECT = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
_NAME = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
_LOCATION = rf"projects/{_PROJECT}/locations/[a-z0-9-]+"
_INSTANCE = rf"{_LOCATION}/instances/[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?"
_NETWORK = rf"projects/{_PROJECT}/global/networks/{_NAME}"
_SUBNETWORK = rf"projects/{_PROJECT}/regions/[a-z0-9-]+/subnetworks/{_NAME}"
_MEMBER = rf"(user|serviceAccount):{EMAIL}"
_MEMBERS = "user:… or serviceAccount:… with an address; groups and domains cannot log in"


def _lower_case(labels: dict[str, str]) -> dict[str, str]:
    for name, value in labels.items():
        if not (re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name) and re.fullmatch(r"[a-z0-9_-]{0,63}", value)):
            raise ValueError("not a label")
    return labels


def _networks(subnetworks: dict[str, str]) -> dict[str, str]:
    for network, subnetwork in subnetworks.items():
        if not (re.fullmatch(_NETWORK, network) and re.fullmatch(_SUBNETWORK, subnetwork)):
            raise ValueError("not a network with a subnet")
    return subnetworks


def _utc_time(text: str) -> str:
    """In the form that the API returns; another one would look like a change in each update."""
    if text and f"{datetime.strptime(text, '%Y-%m-%dT%H:%M:%S%z'):%Y-%m-%dT%H:%M:%SZ}" != text:
        raise ValueError("not the API's form")
    return text


class GcpSettings(SettingsModel):
    """Memorystore for Valkey and its surrounding resources."""

    project: Annotated[
        str,
        Field(pattern=rf"^({_PROJECT})?$"),
        Key("a project id", "my-project", "Project of the instance; required"),
    ] = ""
    location: Annotated[
        str,
        one_of(LOCATIONS),
        Key("a region with Memorystore for Valkey", "europe-west3", "Region of the instance; required"),
    ] = ""
    zone: Annotated[
        str,
        Field(pattern=r"^([a-z0-9-]+-[a-z])?$"),
        Key("a zone of the location, or empty for several", "europe-west3-a", "A single zone for all nodes"),
    ] = ""
    nodeType: Annotated[
        str,
        one_of(NODE_TYPES),
        Key(
            "a node type such as HIGHMEM_MEDIUM, or empty", '""', "Node type; default: the smallest that holds `memory`"
        ),
    ] = ""
    network: Annotated[
        str,
        Field(pattern=rf"^({_NETWORK})?$"),
        Key(
            "projects/PROJECT/global/networks/NAME",
            "projects/my-project/global/networks/default",
            "An existing network, also of another project (Shared VPC); default: a new one",
        ),
    ] = ""
    subnetworks: Annotated[
        NameList,
        each_matches(_SUBNETWORK),
        Key(
            "projects/PROJECT/regions/LOCATION/subnetworks/NAME, separated by commas",
            "projects/my-project/regions/europe-west3/subnetworks/default",
            "Subnets of the existing network, for two endpoint addresses",
        ),
    ] = ()
    subnetCidr: Annotated[
        str,
        private_network(16, 29),
        Key("a private network of /16 to /29", "10.61.0.0/24", "Address range of a new network"),
    ] = "10.61.0.0/24"
    connectionPolicy: Annotated[
        str,
        Field(pattern=rf"^({_LOCATION}/serviceConnectionPolicies/{_NAME})?$"),
        Key(
            "projects/PROJECT/locations/LOCATION/serviceConnectionPolicies/NAME, or empty",
            "projects/my-project/locations/europe-west3/serviceConnectionPolicies/memorystore",
            "The existing service connection policy for Memorystore; a network has one per region; default: a new one",
        ),
    ] = ""
    connectionLimit: Annotated[
        Annotated[int, Field(ge=2, le=1000)] | None,
        EmptyAsNone,
        Key("2 to 1000, or empty", '""', "Limit of addresses for all instances of the policy"),
    ] = None
    allowedProducers: Annotated[
        NameList,
        each_matches(r"(projects|folders|organizations)/[a-z0-9-]+"),
        Key(
            "projects/…, folders/… or organizations/… with an id or a number, separated by commas",
            "projects/my-project",
            "Where the instances of the policy may be, if the network belongs to another project without a Shared VPC; "
            "default: the network's project and those attached to it",
        ),
    ] = ()
    endpointNetworks: Annotated[
        dict[str, str],
        KeyValuePairs,
        AfterValidator(_networks),
        Key(
            "projects/PROJECT/global/networks/NAME=projects/PROJECT/regions/LOCATION/subnetworks/NAME, separated by "
            "commas",
            "projects/my-project/global/networks/apps=projects/my-project/regions/europe-west3/subnetworks/apps",
            "Further networks with clients, each with a subnet for two endpoint addresses",
        ),
    ] = Field(default_factory=dict)
    enableApis: Annotated[StrictBool, Key("true or false", "true", "Enable the required APIs")] = True
    auth: Annotated[
        Literal["iam", "none"],
        Key("iam or none; the SDK does not support Memorystore's own tokens", "iam", "Authentication"),
    ] = "iam"
    acl: Annotated[
        StrictBool,
        Key("true or false", "true", "Limit members to the permissions of their role with an ACL policy"),
    ] = True
    appMembers: Annotated[
        NameList,
        each_matches(_MEMBER),
        Key(_MEMBERS, "serviceAccount:app@my-project.iam.gserviceaccount.com", "Members that log in as an application"),
    ] = ()
    adminMembers: Annotated[
        NameList, each_matches(_MEMBER), Key(_MEMBERS, "user:ada@example.org", "Members that log in as an operator")
    ] = ()
    monitorMembers: Annotated[
        NameList,
        each_matches(_MEMBER),
        Key(
            _MEMBERS, "serviceAccount:monitor@my-project.iam.gserviceaccount.com", "Members that log in for monitoring"
        ),
    ] = ()
    tls: Annotated[StrictBool, Key("true or false", "true", "Encrypt connections")] = True
    serverCa: Annotated[
        Literal["instance", "shared", "customer"],
        Key("instance, shared or customer", "instance", "Authority that signs the server's certificates"),
    ] = "instance"
    caPool: Annotated[
        str,
        Field(pattern=rf"^({_LOCATION}/caPools/[a-zA-Z0-9-_]{{1,63}})?$"),
        Key(
            "projects/PROJECT/locations/LOCATION/caPools/NAME",
            "projects/my-project/locations/europe-west3/caPools/valkey",
            "CA pool of a customer's authority",
        ),
    ] = ""
    caFile: Annotated[
        str, Key("a PEM file", "authority.pem", "Certificates of an authority that the API does not return")
    ] = ""
    checkHostname: Annotated[
        StrictBool,
        Key("true or false", "true", "Verify the host name of the certificate"),
    ] = True
    persistence: Annotated[
        Literal["", "disabled", "rdb", "aof"],
        Key("disabled, rdb, aof or empty", '""', "Persistence; default: rdb for a cache, else aof"),
    ] = ""
    snapshotPeriod: Annotated[
        Literal["", "1h", "6h", "12h", "24h"],
        Key("1h, 6h, 12h, 24h or empty", '""', "Interval of RDB snapshots; default: 1h"),
    ] = ""
    snapshotStart: Annotated[
        str,
        AfterValidator(_utc_time),
        Key(
            "a time in UTC such as 2026-01-01T03:00:00Z, or empty",
            "2026-01-01T03:00:00Z",
            "Time of the first RDB snapshot; the others follow at the interval; default: now",
        ),
    ] = ""
    appendFsync: Annotated[
        Literal["", "always", "everysec", "no"],
        Key("always, everysec, no or empty", '""', "Flush of the append-only file to disk; default: everysec"),
    ] = ""
    maintenanceVersion: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_.-]*$"),
        Key(
            "a version of the output `availableMaintenanceVersions`, or empty",
            '""',
            "Maintenance version to update to at once, instead of in the window",
        ),
    ] = ""
    kmsKey: Annotated[
        str,
        Field(pattern=rf"^({_LOCATION}/keyRings/[a-zA-Z0-9_-]{{1,63}}/cryptoKeys/[a-zA-Z0-9_-]{{1,63}})?$"),
        Key(
            "projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY, or empty for Google's key",
            "projects/my-project/locations/europe-west3/keyRings/data/cryptoKeys/valkey",
            "Key for encryption at rest",
        ),
    ] = ""
    backupDays: Annotated[
        Annotated[int, Field(ge=0, le=365)] | None,
        EmptyAsNone,
        Key("0 to 365, or empty", "7", "Retention of daily backups in days, 0 for none; default: 7 in prod, 1 in dev"),
    ] = None
    # The provider omits an hour of 0, and with it the schedule that the API requires.
    backupHour: Annotated[int, Field(ge=1, le=23), Key("1 to 23, in UTC", "3", "Start of backups")] = 3
    maintenanceWindow: Annotated[
        str,
        Field(pattern=r"^(mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):00$"),
        Key("a day and an hour in UTC such as sun:05:00", "sun:05:00", "Hour for Google's maintenance"),
    ] = "sun:05:00"
    replicationRole: Annotated[
        Literal["", "none", "primary", "secondary"],
        Key("primary, secondary, none or empty", '""', "Role in cross-instance replication; none ends it"),
    ] = ""
    primaryInstance: Annotated[
        str,
        Field(pattern=rf"^({_INSTANCE})?$"),
        Key(
            "projects/PROJECT/locations/LOCATION/instances/NAME",
            "projects/my-project/locations/europe-west1/instances/valkey-main",
            "Primary of a secondary instance",
        ),
    ] = ""
    secondaryInstances: Annotated[
        NameList,
        each_matches(_INSTANCE),
        Key(
            "projects/PROJECT/locations/LOCATION/instances/NAME, separated by commas",
            "projects/my-project/locations/europe-west1/instances/valkey-far",
            "Secondaries of a primary instance",
        ),
    ] = ()
    deletionProtection: Annotated[
        StrictBool | None,
        EmptyAsNone,
        Key("true, false or empty", '""', "Deletion protection of the instance; default: true in prod"),
    ] = None
    deletionPolicy: Annotated[
        Literal["delete", "abandon"],
        Key(
            "delete or abandon",
            "delete",
            "Whether `pulumi destroy` deletes the instance with its network and permissions, or leaves them to you",
        ),
    ] = "delete"
    alertEmails: Annotated[
        NameList,
        each_matches(EMAIL),
        Key("addresses such as ops@example.org", "ops@example.org", "Recipients of alerts"),
    ] = ()
    alertChannels: Annotated[
        NameList,
        each_matches(rf"projects/{_PROJECT}/notificationChannels/\d+"),
        Key(
            "projects/PROJECT/notificationChannels/NUMBER",
            "projects/my-project/notificationChannels/12345",
            "Existing notification channels for alerts",
        ),
    ] = ()
    labels: Annotated[
        dict[str, str],
        Field(max_length=60),  # Google allows 64; the program adds its own
        KeyValuePairs,
        AfterValidator(_lower_case),
        Key(
            "up to 60 names and values of lower-case letters, digits, hyphens and underscores",
            "team=web",
            "Labels of all resources that support them, in addition to the program's own",
        ),
    ] = Field(default_factory=dict)
    existing: Annotated[
        str,
        Field(pattern=rf"^({_NAME})?$"),
        Key("an instance's id", "my-instance", "An existing instance to import and update to this configuration"),
    ] = ""
    allowReplacement: Annotated[
        StrictBool,
        Key("true or false", "false", "Allow updates that replace the instance or downgrade its version"),
    ] = False
