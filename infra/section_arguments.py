"""Arguments of the component for one target: the keys of its section, for editors and type checkers.

Generated from infra/settings by `python -m stackctl.maintenance.section_arguments`; a test compares them.
The values are checked by the settings, as those of a stack's configuration are.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

import pulumi


class DockerArgs(TypedDict, total=False):
    """Containers on a Docker engine: the local one, or the one of DOCKER_HOST or a context."""

    context: str
    """Docker context; default: DOCKER_HOST or the current context. Expected: a Docker context."""

    project: str
    """Compose project; default: valkey-<stack>. Expected: lower-case letters, digits, - and _."""

    image: str
    """Image; default: the official one of `version`. Expected: a name with a tag."""

    digest: str
    """Required digest of the image. Expected: sha256: and 64 digits."""

    imageFile: str
    """Archive to load the image from, instead of a registry. Expected: an archive of `docker save`."""

    registryUser: str
    """User of a private registry. Expected: a name."""

    registryPassword: pulumi.Input[str]
    """Password of that user, for pulls only. Expected: a password (with --secret)."""

    bind: str
    """Address to publish ports on. Expected: an IP address."""

    allowedCidrs: Sequence[str] | str
    """Networks that may connect to a public address. Expected: networks, separated by commas."""

    host: str
    """Host name for clients; default: the published address. Expected: a host name or an address."""

    names: Sequence[str] | str
    """Additional names in the certificate. Expected: names, separated by commas."""

    subnet: str
    """Network of the containers; default: derived from the stack's name. Expected: a private /24."""

    certificate: str
    """Your own certificate, with its intermediate certificates. Expected: a PEM file."""

    key: str
    """Private key of your certificate, not encrypted. Expected: a PEM file."""

    ca: str
    """Authority that signed your certificate. Expected: a PEM file."""

    backupEvery: int
    """Hours between backups; 0 for none. Expected: hours, 0 to 720."""

    backupKeep: int
    """Number of backups to keep for each node. Expected: 1 to 1000."""

    backupFolder: str
    """Folder for backups on the engine's host; default: a volume. Expected: an absolute path."""

    exporter: str
    """Image of a Prometheus exporter; empty for none. Expected: a name with a tag."""

    backupUrl: str
    """S3 location for copies of backups; empty for none. Expected: s3://bucket/path."""

    backupEndpoint: str
    """URL of an S3-compatible service; default: AWS. Expected: a URL."""

    backupRegion: str
    """Region of the bucket; default: the service's own. Expected: a region."""

    backupAccessKey: pulumi.Input[str]
    """Access key for the bucket. Expected: an access key."""

    backupSecretKey: pulumi.Input[str]
    """Secret key for the bucket. Expected: a secret key (with --secret)."""

    uploader: str
    """rclone image that copies the backups. Expected: a name with a tag."""


class AwsArgs(TypedDict, total=False):
    """ElastiCache for Valkey and its surrounding resources."""

    region: str
    """Region of all resources; required. Expected: an AWS region."""

    nodeType: str
    """Node type; default: the smallest that holds `memory`. Expected: a node type such as cache.r7g.large, or empty."""

    vpcId: pulumi.Input[str]
    """An existing VPC; default: a new, isolated one. Expected: an id such as vpc-0a1b2c3d."""

    subnetIds: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Private subnets of the existing VPC. Expected: ids such as subnet-0a1b,subnet-2c3d."""

    subnetGroup: pulumi.Input[str]
    """An existing ElastiCache subnet group, instead of `vpcId` and `subnetIds`. Expected: a subnet group's name."""

    vpcCidr: str
    """Address range of a new VPC. Expected: a private network of /16 to /26."""

    zones: int
    """Number of availability zones of a new VPC. Expected: 2 or 3."""

    allowedSecurityGroups: Sequence[str] | str
    """Security groups whose members may connect, in addition to the output `clientSecurityGroupId`. Expected: ids such
    as sg-0a1b, with the account such as 123456789012/sg-0a1b in a peered VPC."""

    securityGroups: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Existing security groups of the cache, in addition to its own. Expected: up to 4 ids such as sg-0a1b."""

    allowedPrefixLists: Sequence[str] | str
    """Prefix lists whose networks may connect. Expected: ids such as pl-0a1b."""

    allowedCidrs: Sequence[str] | str
    """Networks that may connect. Expected: networks of /8 or smaller (public ones: /24, IPv6: /32), such as
    10.0.0.0/16."""

    auth: Literal["password", "iam"]
    """Authentication; with iam each client signs its logins. Expected: password or iam."""

    users: Mapping[str, str]
    """Users of single applications, in addition to app, admin and monitor. Expected: a map of names, up to 20 lower-
    case letters and digits, and rules such as ~report:* +@read."""

    kmsKey: pulumi.Input[str]
    """Key for encryption at rest; own creates one. Expected: own, the ARN of a key, or empty for AWS's key."""

    backupDays: int
    """Retention of daily backups in days, 0 for no backups; default: 7 in prod, 1 in dev. Expected: 0 to 35, or
    empty."""

    backupWindow: str
    """Window for the start of backups. Expected: hours in UTC such as 03:00-04:00."""

    maintenanceWindow: str
    """Window for AWS maintenance. Expected: days and hours in UTC such as sun:05:00-sun:06:00."""

    applyImmediately: bool
    """Apply changes outside the maintenance window; default: true in dev, false in prod. Expected: true, false or
    empty."""

    multiZone: bool
    """Nodes in several zones; default: true if there are replicas. Expected: true, false or empty."""

    durability: Literal["", "async", "sync", "disabled"]
    """A durable log in addition to replicas (clusters, Valkey 9.0 and newer); disabled turns it off again. Expected:
    async, sync, disabled or empty."""

    enableClusterMode: bool
    """Enable cluster mode in place, in two updates: first with topology replicated, then with cluster. Expected: true
    or false."""

    nodeQuota: int
    """Quota of nodes in a cluster, where AWS has raised it. Expected: 90 to 500."""

    maxEcpu: int
    """Limit of a serverless cache in ECPU per second; to lift it, set the maximum. Expected: 1000 to 15000000, or
    empty."""

    minEcpu: int
    """ECPU per second that a serverless cache always has ready, and that AWS always bills. Expected: 1000 to 15000000,
    or empty."""

    minMemory: str
    """Memory that a serverless cache always has ready, and that AWS always bills. Expected: a size such as 10gb, or
    empty."""

    logDays: int
    """Retention of slow logs and engine logs in days. Expected: one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365,
    400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."""

    logFormat: Literal["json", "text"]
    """Format of slow logs and engine logs. Expected: json or text."""

    logFirehose: str
    """An existing Firehose stream for the logs, instead of CloudWatch. Expected: the name of a Firehose stream, or
    empty."""

    dnsName: str
    """A name for the cache in `hostedZone`; its certificate does not cover it. Expected: a host name such as
    valkey.example.org, or empty."""

    hostedZone: pulumi.Input[str]
    """The hosted zone of `dnsName`. Expected: the id of a Route 53 hosted zone, or empty."""

    alertEmails: Sequence[str] | str
    """Recipients of alerts; each must confirm once. Expected: addresses such as ops@example.org."""

    topicArn: pulumi.Input[str]
    """An existing topic for alarms and events; default: a new one. Expected: the ARN of an SNS topic, or empty."""

    topicKmsKey: pulumi.Input[str]
    """Key for messages of the new topic; CloudWatch must be allowed to use it. Expected: the ARN of a key, or empty."""

    logKmsKey: pulumi.Input[str]
    """Key for the logs; CloudWatch Logs must be allowed to use it. Expected: the ARN of a key, or empty."""

    alarms: bool
    """CloudWatch alarms. Expected: true or false."""

    alarmThresholds: Mapping[str, float]
    """Thresholds of alarms. Expected: a map of metrics and numbers, such as CurrConnections=5000."""

    autoMinorUpgrade: bool
    """Let AWS upgrade to newer minor versions in the maintenance window. Expected: true or false."""

    tags: Mapping[str, str]
    """Tags of all resources, in addition to the program's own. Expected: up to 40 names and values of letters, digits,
    spaces and _.:/=+@-, no name starting with aws:."""

    existing: str
    """An existing replication group, Redis or Valkey, to import and update to this configuration. Expected: the id of a
    replication group: up to 40 lower-case letters, digits and single hyphens."""

    allowReplacement: bool
    """Allow updates that replace the cache or downgrade its version. Expected: true or false."""


class GcpArgs(TypedDict, total=False):
    """Memorystore for Valkey and its surrounding resources."""

    project: str
    """Project of the instance; required. Expected: a project id."""

    location: str
    """Region of the instance; required. Expected: a region with Memorystore for Valkey."""

    zone: str
    """A single zone for all nodes. Expected: a zone of the location, or empty for several."""

    nodeType: str
    """Node type; default: the smallest that holds `memory`. Expected: a node type such as HIGHMEM_MEDIUM, or empty."""

    network: str
    """An existing network, also of another project (Shared VPC); default: a new one. Expected:
    projects/PROJECT/global/networks/NAME."""

    subnetworks: Sequence[str] | str
    """Subnets of the existing network, for two endpoint addresses. Expected:
    projects/PROJECT/regions/LOCATION/subnetworks/NAME, separated by commas."""

    subnetCidr: str
    """Address range of a new network. Expected: a private network of /16 to /29."""

    connectionPolicy: str
    """The existing service connection policy for Memorystore; a network has one per region; default: a new one.
    Expected: projects/PROJECT/locations/LOCATION/serviceConnectionPolicies/NAME, or empty."""

    connectionLimit: int
    """Limit of addresses for all instances of the policy. Expected: 2 to 1000, or empty."""

    allowedProducers: Sequence[str] | str
    """Where the instances of the policy may be, if the network belongs to another project without a Shared VPC;
    default: the network's project and those attached to it. Expected: projects/…, folders/… or organizations/… with an
    id or a number, separated by commas."""

    endpointNetworks: Mapping[str, str]
    """Further networks with clients, each with a subnet for two endpoint addresses. Expected:
    projects/PROJECT/global/networks/NAME=projects/PROJECT/regions/LOCATION/subnetworks/NAME, separated by commas."""

    enableApis: bool
    """Enable the required APIs. Expected: true or false."""

    auth: Literal["iam", "none"]
    """Authentication. Expected: iam or none; the SDK does not support Memorystore's own tokens."""

    acl: bool
    """Limit members to the permissions of their role with an ACL policy. Expected: true or false."""

    appMembers: Sequence[str] | str
    """Members that log in as an application. Expected: user:… or serviceAccount:… with an address; groups and domains
    cannot log in."""

    adminMembers: Sequence[str] | str
    """Members that log in as an operator. Expected: user:… or serviceAccount:… with an address; groups and domains
    cannot log in."""

    monitorMembers: Sequence[str] | str
    """Members that log in for monitoring. Expected: user:… or serviceAccount:… with an address; groups and domains
    cannot log in."""

    tls: bool
    """Encrypt connections. Expected: true or false."""

    serverCa: Literal["instance", "shared", "customer"]
    """Authority that signs the server's certificates. Expected: instance, shared or customer."""

    caPool: str
    """CA pool of a customer's authority. Expected: projects/PROJECT/locations/LOCATION/caPools/NAME."""

    caFile: str
    """Certificates of an authority that the API does not return. Expected: a PEM file."""

    checkHostname: bool
    """Verify the host name of the certificate. Expected: true or false."""

    persistence: Literal["", "disabled", "rdb", "aof"]
    """Persistence; default: rdb for a cache, else aof. Expected: disabled, rdb, aof or empty."""

    snapshotPeriod: Literal["", "1h", "6h", "12h", "24h"]
    """Interval of RDB snapshots; default: 1h. Expected: 1h, 6h, 12h, 24h or empty."""

    snapshotStart: str
    """Time of the first RDB snapshot; the others follow at the interval; default: now. Expected: a time in UTC such as
    2026-01-01T03:00:00Z, or empty."""

    appendFsync: Literal["", "always", "everysec", "no"]
    """Flush of the append-only file to disk; default: everysec. Expected: always, everysec, no or empty."""

    maintenanceVersion: str
    """Maintenance version to update to at once, instead of in the window. Expected: a version of the output
    `availableMaintenanceVersions`, or empty."""

    kmsKey: str
    """Key for encryption at rest. Expected: projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY, or empty
    for Google's key."""

    backupDays: int
    """Retention of daily backups in days, 0 for none; default: 7 in prod, 1 in dev. Expected: 0 to 365, or empty."""

    backupHour: int
    """Start of backups. Expected: 1 to 23, in UTC."""

    maintenanceWindow: str
    """Hour for Google's maintenance. Expected: a day and an hour in UTC such as sun:05:00."""

    replicationRole: Literal["", "none", "primary", "secondary"]
    """Role in cross-instance replication; none ends it. Expected: primary, secondary, none or empty."""

    primaryInstance: str
    """Primary of a secondary instance. Expected: projects/PROJECT/locations/LOCATION/instances/NAME."""

    secondaryInstances: Sequence[str] | str
    """Secondaries of a primary instance. Expected: projects/PROJECT/locations/LOCATION/instances/NAME, separated by
    commas."""

    deletionProtection: bool
    """Deletion protection of the instance; default: true in prod. Expected: true, false or empty."""

    deletionPolicy: Literal["delete", "abandon"]
    """Whether `pulumi destroy` deletes the instance with its network and permissions, or leaves them to you. Expected:
    delete or abandon."""

    alertEmails: Sequence[str] | str
    """Recipients of alerts. Expected: addresses such as ops@example.org."""

    alertChannels: Sequence[str] | str
    """Existing notification channels for alerts. Expected: projects/PROJECT/notificationChannels/NUMBER."""

    labels: Mapping[str, str]
    """Labels of all resources that support them, in addition to the program's own. Expected: up to 60 names and values
    of lower-case letters, digits, hyphens and underscores."""

    existing: str
    """An existing instance to import and update to this configuration. Expected: an instance's id."""

    allowReplacement: bool
    """Allow updates that replace the instance or downgrade its version. Expected: true or false."""
