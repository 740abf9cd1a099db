"""The keys of the gcp target, each with a secure default."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.gcp.catalogue import LOCATIONS
from infra.settings.gcp.nodes import NODE_TYPES
from infra.settings.keys import Blank, Flag, Key, Section
from infra.settings.values import EMAIL, Names, Pairs, each_fits, one_of, private_network

_PROJECT = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
_NAME = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
_PLACE = rf"projects/{_PROJECT}/locations/[a-z0-9-]+"
_INSTANCE = rf"{_PLACE}/instances/[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?"
_MEMBER = rf"(user|serviceAccount):{EMAIL}"
_MEMBERS = "user:… or serviceAccount:… with an address; groups and domains can't log in"


def _lower_case(labels: dict[str, str]) -> dict[str, str]:
    for name, value in labels.items():
        if not (re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name) and re.fullmatch(r"[a-z0-9_-]{0,63}", value)):
            raise ValueError("no label")
    return labels


class GcpSettings(Section):
    """Memorystore for Valkey and what belongs to it."""

    project: Annotated[
        str,
        Field(pattern=rf"^({_PROJECT})?$"),
        Key("a project's id", "my-project", "Where the instance belongs; needed"),
    ] = ""
    location: Annotated[
        str, one_of(LOCATIONS), Key("a region that has the product", "europe-west3", "Where the instance runs; needed")
    ] = ""
    zone: Annotated[
        str,
        Field(pattern=r"^([a-z0-9-]+-[a-z])?$"),
        Key("a zone of the location, or empty for several", "europe-west3-a", "The only zone of all nodes"),
    ] = ""
    nodeType: Annotated[
        str,
        one_of(NODE_TYPES),
        Key("a node type such as HIGHMEM_MEDIUM, or empty", '""', "Instead of the smallest that holds `memory`"),
    ] = ""
    network: Annotated[
        str,
        Field(pattern=rf"^(projects/{_PROJECT}/global/networks/{_NAME})?$"),
        Key(
            "projects/PROJECT/global/networks/NAME",
            "projects/my-project/global/networks/default",
            "An existing network, also of another project (Shared VPC); empty makes one of its own",
        ),
    ] = ""
    subnetworks: Annotated[
        Names,
        each_fits(rf"projects/{_PROJECT}/regions/[a-z0-9-]+/subnetworks/{_NAME}"),
        Key(
            "projects/PROJECT/regions/LOCATION/subnetworks/NAME, with commas between",
            "projects/my-project/regions/europe-west3/subnetworks/default",
            "Subnets of that network; the endpoints take two addresses there",
        ),
    ] = ()
    subnetCidr: Annotated[
        str,
        private_network(16, 29),
        Key("a private network of /16 to /29", "10.61.0.0/24", "Addresses of the network of its own"),
    ] = "10.61.0.0/24"
    connectionPolicy: Annotated[
        str,
        Field(pattern=rf"^({_PLACE}/serviceConnectionPolicies/{_NAME})?$"),
        Key(
            "projects/PROJECT/locations/LOCATION/serviceConnectionPolicies/NAME, or empty",
            "projects/my-project/locations/europe-west3/serviceConnectionPolicies/memorystore",
            "The network's service connection policy for Memorystore, of which it can have one a region; "
            "empty makes it",
        ),
    ] = ""
    connectionLimit: Annotated[
        Annotated[int, Field(ge=2, le=1000)] | None,
        Blank,
        Key("2 to 1000, or empty", '""', "How many addresses all instances of the policy may take"),
    ] = None
    endpointProject: Annotated[
        str,
        Field(pattern=rf"^({_PROJECT})?$"),
        Key("a project's id, or empty", '""', "Where the endpoints' forwarding rules are; empty is the network's"),
    ] = ""
    enableApis: Annotated[Flag, Key("true or false", "true", "Whether the APIs that are needed are enabled")] = True
    auth: Annotated[
        Literal["iam", "none"],
        Key("iam or none; Memorystore's own tokens can't be had by this SDK", "iam", "How clients log in"),
    ] = "iam"
    acl: Annotated[
        Flag,
        Key("true or false", "true", "Whether members get the rights of their role alone, by an ACL policy"),
    ] = True
    appMembers: Annotated[
        Names,
        each_fits(_MEMBER),
        Key(_MEMBERS, "serviceAccount:app@my-project.iam.gserviceaccount.com", "Who logs in as an application"),
    ] = ()
    adminMembers: Annotated[
        Names, each_fits(_MEMBER), Key(_MEMBERS, "user:ada@example.org", "Who logs in as an operator")
    ] = ()
    monitorMembers: Annotated[
        Names,
        each_fits(_MEMBER),
        Key(_MEMBERS, "serviceAccount:monitor@my-project.iam.gserviceaccount.com", "Who reads figures"),
    ] = ()
    tls: Annotated[Flag, Key("true or false", "true", "Whether connections are encrypted")] = True
    serverCa: Annotated[
        Literal["instance", "shared", "customer"],
        Key("instance, shared or customer", "instance", "Whose authority signs the server's certificates"),
    ] = "instance"
    caPool: Annotated[
        str,
        Field(pattern=rf"^({_PLACE}/caPools/[a-zA-Z0-9-_]{{1,63}})?$"),
        Key(
            "projects/PROJECT/locations/LOCATION/caPools/NAME",
            "projects/my-project/locations/europe-west3/caPools/valkey",
            "The pool of a customer's authority",
        ),
    ] = ""
    caFile: Annotated[
        str, Key("a PEM file", "authority.pem", "The certificates of an authority that Memorystore doesn't tell")
    ] = ""
    checkHostname: Annotated[
        Flag,
        Key("true or false", "true", "Whether clients compare the certificate's name with the address"),
    ] = True
    persistence: Annotated[
        Literal["", "disabled", "rdb", "aof"],
        Key("disabled, rdb, aof or empty", '""', "What is kept on disk; empty is rdb for a cache, else aof"),
    ] = ""
    kmsKey: Annotated[
        str,
        Field(pattern=rf"^({_PLACE}/keyRings/[a-zA-Z0-9_-]{{1,63}}/cryptoKeys/[a-zA-Z0-9_-]{{1,63}})?$"),
        Key(
            "projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY, or empty for Google's key",
            "projects/my-project/locations/europe-west3/keyRings/data/cryptoKeys/valkey",
            "The key of the encryption at rest",
        ),
    ] = ""
    backupDays: Annotated[
        Annotated[int, Field(ge=1, le=365)] | None,
        Blank,
        Key("1 to 365, or empty", "7", "How long daily backups stay; empty is 7 in prod, 1 in dev"),
    ] = None
    backupHour: Annotated[int, Field(ge=0, le=23), Key("0 to 23, in UTC", "3", "When backups begin")] = 3
    maintenanceWindow: Annotated[
        str,
        Field(pattern=r"^(mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):00$"),
        Key("a day and an hour in UTC such as sun:05:00", "sun:05:00", "The hour in which Google may patch"),
    ] = "sun:05:00"
    replicationRole: Annotated[
        Literal["", "none", "primary", "secondary"],
        Key("primary, secondary, none or empty", '""', "Its part in a replication between instances; none ends one"),
    ] = ""
    primaryInstance: Annotated[
        str,
        Field(pattern=rf"^({_INSTANCE})?$"),
        Key(
            "projects/PROJECT/locations/LOCATION/instances/NAME",
            "projects/my-project/locations/europe-west1/instances/valkey-main",
            "Whom a secondary instance follows",
        ),
    ] = ""
    secondaryInstances: Annotated[
        Names,
        each_fits(_INSTANCE),
        Key(
            "projects/PROJECT/locations/LOCATION/instances/NAME, with commas between",
            "projects/my-project/locations/europe-west1/instances/valkey-far",
            "Who follows a primary instance",
        ),
    ] = ()
    deletionProtection: Annotated[
        Flag | None,
        Blank,
        Key("true, false or empty", '""', "Whether Google refuses to delete the instance; empty is yes in prod"),
    ] = None
    alertEmails: Annotated[
        Names,
        each_fits(EMAIL),
        Key("addresses such as ops@example.org", "ops@example.org", "Who gets the alerts"),
    ] = ()
    alertChannels: Annotated[
        Names,
        each_fits(rf"projects/{_PROJECT}/notificationChannels/\d+"),
        Key(
            "projects/PROJECT/notificationChannels/NUMBER",
            "projects/my-project/notificationChannels/12345",
            "Existing notification channels that get the alerts too",
        ),
    ] = ()
    labels: Annotated[
        dict[str, str],
        Field(max_length=60),  # of 64; ours come on top
        Pairs,
        AfterValidator(_lower_case),
        Key(
            "60 names and values at most, of lower-case letters, digits, hyphens and underscores",
            "team=web",
            "On everything that can have labels, beside our own",
        ),
    ] = Field(default_factory=dict)
    allowReplacement: Annotated[
        Flag,
        Key("true or false", "false", "An update may replace the instance, or go back to an older version"),
    ] = False
