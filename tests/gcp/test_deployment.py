"""What the target makes of the settings: sizes, names, members, backups, alerts, outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from valkeykit.credentials import MemorystoreIam
from valkeykit.settings import resolve_settings
from valkeykit.url import parse

from harness.cloud.config_strategies import Configuration, load
from harness.cloud.gcp import answers
from harness.cloud.gcp.configurations import BACKUP, KEY, MEMBERS, MINIMAL, SHARED
from infra import hardening
from infra.settings.gcp import sizing
from infra.settings.gcp.node_types import NODE_TYPES
from infra.targets.gcp import access, alerts, engine_configs
from infra.targets.gcp.deployment import notes
from infra.targets.gcp.names import safe_name
from tests.gcp.recorded import INSTANCE, DeployedGcp

GIB = 1024**3
LARGEST_PICO = NODE_TYPES["CUSTOM_PICO"].comfortable // 1024**2


@pytest.mark.parametrize(
    ("configuration", "node"),
    [
        ({"memory": "256mb"}, "CUSTOM_PICO"),
        ({"memory": f"{LARGEST_PICO}mb"}, "CUSTOM_PICO"),
        ({"memory": f"{LARGEST_PICO + 1}mb"}, "CUSTOM_MICRO"),
        ({"memory": "4gb"}, "HIGHMEM_MEDIUM"),
        ({"memory": "15gb"}, "STANDARD_LARGE"),
        ({"memory": "60gb"}, "HIGHMEM_2XLARGE"),
        ({"memory": "256mb", "topology": "cluster"}, "STANDARD_SMALL"),
        ({"memory": "7gb", "topology": "cluster"}, "HIGHMEM_MEDIUM"),
        ({"memory": "7gb", "topology": "cluster", "shards": "10"}, "HIGHMEM_MEDIUM"),
        ({"memory": "2gb", "topology": "cluster", "gcp.nodeType": "HIGHCPU_MEDIUM"}, "HIGHCPU_MEDIUM"),
    ],
)
def test_memory_selects_the_node_type_that_holds_it_with_headroom(configuration: Configuration, node: str) -> None:
    settings = load(MINIMAL | configuration)
    chosen = sizing.node_type(settings)
    assert chosen.name == node
    assert settings.maxmemory <= chosen.maxmemory * 0.8


def test_the_number_of_shards_does_not_depend_on_memory() -> None:
    for shards, configuration in ((3, {}), (10, {"shards": "10"})):
        instance = DeployedGcp.of({"topology": "cluster", "memory": "30gb", **configuration}).one(INSTANCE)
        assert (instance["shardCount"], instance["nodeType"]) == (shards, "HIGHMEM_XLARGE")


@pytest.mark.parametrize("topology", ["single", "cluster"])
def test_no_node_type_is_large_enough_for_everything(topology: str) -> None:
    settings = load(MINIMAL | {"topology": topology})
    assert sizing.smallest(settings.model_copy(update={"memory": "90gb"})) is None


@pytest.mark.parametrize("workload", ["cache", "queue", "mixed"])
def test_engine_configs_are_the_hardening_table_as_far_as_it_reaches(workload: str) -> None:
    settings = load(MINIMAL | {"workload": workload})
    rendered = engine_configs.engine_configs(settings, NODE_TYPES["STANDARD_SMALL"])
    wanted = {
        directive.name: directive.for_workload(settings.workload)
        for directive in hardening.DIRECTIVES
        if "gcp" in directive.clouds
    }
    assert rendered == wanted | {"maxmemory": "5200000000"}
    small = engine_configs.engine_configs(settings, NODE_TYPES["SHARED_CORE_NANO"])
    assert small["maxclients"] == "5000", "the node takes no more"


@pytest.mark.parametrize(
    ("configuration", "mode"),
    [
        ({"workload": "cache"}, "RDB"),
        ({"workload": "queue"}, "AOF"),
        ({"workload": "mixed"}, "AOF"),
        ({"workload": "cache", "gcp.persistence": "disabled"}, "DISABLED"),
        ({"gcp.persistence": "aof"}, "AOF"),
    ],
)
def test_persistence_follows_from_the_workload(configuration: Configuration, mode: str) -> None:
    found = DeployedGcp.of(configuration).one(INSTANCE)["persistenceConfig"]
    assert found["mode"] == mode
    assert ("aofConfig" in found, "rdbConfig" in found) == (mode == "AOF", mode == "RDB")


def test_snapshots_and_flushes_can_be_chosen() -> None:
    rdb = DeployedGcp.of({"workload": "cache", "gcp.snapshotPeriod": "12h"}).one(INSTANCE)["persistenceConfig"]
    assert rdb["rdbConfig"] == {"rdbSnapshotPeriod": "TWELVE_HOURS"}
    aof = DeployedGcp.of({"workload": "queue", "gcp.appendFsync": "always"}).one(INSTANCE)["persistenceConfig"]
    assert aof["aofConfig"] == {"appendFsync": "ALWAYS"}


def test_snapshots_can_start_at_a_time() -> None:
    start = "2026-01-01T03:00:00Z"
    rdb = DeployedGcp.of({"workload": "cache", "gcp.snapshotStart": start}).one(INSTANCE)["persistenceConfig"]
    assert rdb["rdbConfig"] == {"rdbSnapshotPeriod": "ONE_HOUR", "rdbSnapshotStartTime": start}


def test_a_policy_can_admit_instances_of_other_projects() -> None:
    allowed = "projects/my-project,folders/12"
    config = DeployedGcp.of(SHARED | {"gcp.allowedProducers": allowed}).one(answers.POLICY)["pscConfig"]
    assert config["producerInstanceLocation"] == "CUSTOM_RESOURCE_HIERARCHY_LEVELS"
    assert config["allowedGoogleProducersResourceHierarchyLevels"] == allowed.split(",")


def test_backups_can_be_off_in_dev_without_an_alert_for_them() -> None:
    deployed = DeployedGcp.of({"gcp.backupDays": "0"})
    assert "automatedBackupConfig" not in deployed.one(INSTANCE)
    assert "alert-backup" not in deployed.all(answers.ALERT)
    assert "there are no backups" in notes(load(MINIMAL | {"gcp.backupDays": "0"}))[0]


def test_a_maintenance_version_is_requested() -> None:
    assert DeployedGcp.of({"gcp.maintenanceVersion": "M_1"}).one(INSTANCE)["maintenanceVersion"] == "M_1"


@pytest.mark.parametrize(
    ("stack", "name"),
    [
        ("valkey/dev", "valkey-dev"),
        ("a/b", "valkey-a-b"),
        ("9lives/--a--", "valkey-9lives-a"),
        ("valkey/" + "long" * 20, None),
    ],
)
def test_names_are_what_google_takes(stack: str, name: str | None) -> None:
    made = safe_name(stack)
    assert name in (None, made)
    assert re.fullmatch(r"[a-z](?!.*--)[a-z0-9-]{2,38}[a-z0-9]", made)


def test_the_apis_are_enabled_and_stay_so() -> None:
    services = DeployedGcp.of(SHARED).all(answers.SERVICE)
    found = {(known["project"], known["service"].partition(".")[0]) for known in services.values()}
    own = ("memorystore", "networkconnectivity", "serviceconsumermanagement", "compute", "monitoring", "secretmanager")
    assert found == {
        *(("my-project", api) for api in own),
        ("host-project", "networkconnectivity"),
        ("host-project", "compute"),
    }
    assert not any(known["disableOnDestroy"] for known in services.values())
    assert DeployedGcp.of({"gcp.enableApis": "false"}).all(answers.SERVICE) == {}


@pytest.mark.parametrize(
    ("configuration", "api"), [(MEMBERS, "cloudresourcemanager"), ({"gcp.kmsKey": KEY}, "cloudkms")]
)
def test_the_apis_of_optional_resources_are_enabled_too(configuration: Configuration, api: str) -> None:
    names = {known["service"] for known in DeployedGcp.of(configuration).all(answers.SERVICE).values()}
    plain = {known["service"] for known in DeployedGcp.of({}).all(answers.SERVICE).values()}
    assert names - plain == {f"{api}.googleapis.com"}


def test_the_key_s_api_of_another_project_is_left_alone() -> None:
    key = KEY.replace("my-project", "their-project")
    assert "api-cloudkms" not in DeployedGcp.of({"gcp.kmsKey": key}).all(answers.SERVICE)


def test_the_acl_policy_gives_members_the_rights_of_their_role() -> None:
    deployed = DeployedGcp.of(MEMBERS)
    policy = deployed.recorder.one(answers.ACL)
    rights = {rule["username"]: rule["rule"] for rule in policy.inputs["rules"]}
    rules = {user.name: f"on {user.rules}" for user in hardening.USERS}
    assert rights == {
        "app@my-project.iam.gserviceaccount.com": rules["app"],
        "bob@example.org": rules["app"],
        "ada@example.org": rules["admin"],
        "monitor@my-project.iam.gserviceaccount.com": rules["monitor"],
    }
    assert "rules" in policy.secret
    assert deployed.one(INSTANCE)["aclPolicy"] == deployed.outputs["aclPolicy"]
    assert deployed.users["admin"] == "ada@example.org"


@pytest.mark.parametrize(
    ("configuration", "user"),
    [
        ({}, "default"),
        ({"gcp.acl": "false", "gcp.appMembers": MEMBERS["gcp.appMembers"]}, "default"),
        ({"gcp.auth": "none"}, ""),
    ],
)
def test_without_an_acl_policy_all_users_are_the_same(configuration: Configuration, user: str) -> None:
    deployed = DeployedGcp.of(configuration)
    assert deployed.users == dict.fromkeys(("app", "admin", "monitor"), user)
    assert deployed.recorder.of(answers.ACL) == []
    assert deployed.endpoint.users == ((user,) if user else ())
    url = parse(deployed.endpoint.url(user, None))
    assert (url.username or "", url.password) == (user, None)


def test_the_client_signs_and_checks_every_chain() -> None:
    endpoint = DeployedGcp.of({"topology": "replicated"}).endpoint
    assert endpoint.ca == "\n".join(answers.CERTIFICATES) + "\n"
    assert endpoint.variables("x")["VALKEY_CA"] == endpoint.ca
    login = MemorystoreIam(credentials=object())
    settings = resolve_settings(endpoint, credentials=login)
    assert settings.credentials is login
    assert (settings.ca, settings.check_hostname) == (endpoint.ca, True)


def test_the_host_name_s_check_can_be_left_out() -> None:
    endpoint = DeployedGcp.of({"gcp.checkHostname": "false"}).endpoint
    assert resolve_settings(endpoint).check_hostname is False
    assert endpoint.variables("x")["VALKEY_CHECK_HOSTNAME"] == "false"


def test_without_tls_there_is_no_authority() -> None:
    deployed = DeployedGcp.of({"gcp.auth": "none", "gcp.tls": "false"})
    assert (deployed.endpoint.tls, deployed.endpoint.ca) == (False, None)
    assert "serverCaMode" not in deployed.one(INSTANCE)


@pytest.mark.parametrize(("environment", "days", "protected"), [("dev", 1, False), ("prod", 7, True)])
def test_production_is_careful(environment: str, days: int, protected: bool) -> None:
    instance = DeployedGcp.of({"environment": environment}).one(INSTANCE)
    assert instance["automatedBackupConfig"]["retention"] == f"{days * 86400}s"
    assert instance["deletionProtectionEnabled"] is protected
    assert instance["zoneDistributionConfig"] == {"mode": "MULTI_ZONE"}


@pytest.mark.parametrize(
    ("source", "field", "value"),
    [
        (BACKUP, "managedBackupSource", {"backup": BACKUP}),
        ("gs://a-b/c.rdb,gs://d-e/f/g.rdb", "gcsSource", {"uris": ["gs://a-b/c.rdb", "gs://d-e/f/g.rdb"]}),
    ],
)
def test_a_source_is_a_backup_or_files_that_the_service_may_read(source: str, field: str, value: object) -> None:
    deployed = DeployedGcp.of({"restoreFrom": source})
    assert deployed.one(INSTANCE)[field] == value
    grants = deployed.all(answers.BUCKET_MEMBER)
    assert sorted(grant["bucket"] for grant in grants.values()) == (["a-b", "d-e"] if field == "gcsSource" else [])
    for grant in grants.values():
        assert grant["member"] == "serviceAccount:service-123@gcp-sa-memorystore.iam.gserviceaccount.com"
        assert grant["role"] == "roles/storage.objectViewer"


def test_a_key_of_its_own_is_granted_to_the_service() -> None:
    deployed = DeployedGcp.of({"gcp.kmsKey": KEY})
    grant = deployed.one(answers.KEY_MEMBER)
    assert (grant["cryptoKeyId"], deployed.one(INSTANCE)["kmsKey"]) == (KEY, KEY)
    assert "gcp-sa-memorystore" in grant["member"]


def test_a_customer_s_authority_is_granted_to_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pem").write_text("-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----\n")
    pool = "projects/my-project/locations/europe-west3/caPools/valkey"
    deployed = DeployedGcp.of({"gcp.serverCa": "customer", "gcp.caPool": pool, "gcp.caFile": "a.pem"})
    grant = deployed.one(answers.POOL_MEMBER)
    assert (grant["caPool"], deployed.one(INSTANCE)["serverCaPool"]) == (pool, pool)
    assert grant["role"] == "roles/privateca.certificateRequester"
    assert "gcp-sa-memorystore" in grant["member"]


def test_alerts_are_those_of_the_workload() -> None:
    def rules(**settings: str) -> dict[str, alerts.AlertRule]:
        return {rule.metric: rule for rule in alerts.rules(load(MINIMAL | settings))}

    cache, queue = rules(workload="cache"), rules(workload="queue", topology="replicated")
    assert set(cache) == {
        "cpu/maximum_utilization",
        "stats/total_rejected_connections_count",
        "backup/last_backup_status",
    }
    assert queue["memory/maximum_utilization"].threshold == 0.8
    assert queue["stats/total_evicted_keys_count"].threshold == 0
    assert queue["replication/maximum_offset_diff"].threshold == 64 * 1024**2
    assert (queue["backup/last_backup_status"].threshold, queue["backup/last_backup_status"].below) == (1, True)


def test_an_alert_selects_this_instance_and_notifies_every_contact() -> None:
    deployed = DeployedGcp.of(
        {"gcp.alertEmails": "ops@example.org", "gcp.alertChannels": "projects/my-project/notificationChannels/12345"}
    )
    made = deployed.one(answers.CHANNEL)
    assert made["labels"] == {"email_address": "ops@example.org"}
    for alert in deployed.all(answers.ALERT).values():
        (condition,) = alert["conditions"]
        selected = condition["conditionThreshold"]["filter"]
        assert 'resource.type = "memorystore.googleapis.com/Instance"' in selected
        assert '"(.*/)?valkey-test"' in selected
        assert alert["notificationChannels"] == [
            "projects/my-project/notificationChannels/alerts-ops@example.org",
            "projects/my-project/notificationChannels/12345",
        ]


def test_the_dashboard_shows_this_instance() -> None:
    body = json.loads(DeployedGcp.of({}).one(answers.DASHBOARD)["dashboardJson"])
    tiles = body["mosaicLayout"]["tiles"]
    assert len({(tile.get("xPos", 0), tile.get("yPos", 0)) for tile in tiles}) == len(tiles)
    assert 0 not in [value for tile in tiles for value in tile.values()], "the API's answer has no zeros"
    for tile in tiles:
        for series in tile["widget"]["xyChart"]["dataSets"]:
            assert '"(.*/)?valkey-test"' in series["timeSeriesQuery"]["timeSeriesFilter"]["filter"]


def test_the_secret_holds_the_connection_record_in_the_instance_s_region() -> None:
    deployed = DeployedGcp.of({"topology": "replicated"} | MEMBERS)
    record = json.loads(deployed.one(answers.SECRET_VERSION)["secretData"])
    assert record["endpoint"] == json.loads(json.dumps(deployed.endpoint.to_dict()))
    assert record["url"] == "rediss://app%40my-project.iam.gserviceaccount.com@10.61.0.3:6379/0"
    replication = deployed.one(answers.SECRET)["replication"]
    assert replication == {"userManaged": {"replicas": [{"location": "europe-west3"}]}}


def test_a_reader_has_a_url_of_its_own_where_there_are_replicas() -> None:
    assert DeployedGcp.of({"topology": "replicated"}).outputs["readerUrl"] == "rediss://default@10.61.0.2:6379/0"
    assert "readerUrl" not in DeployedGcp.of({}).outputs
    assert "readerUrl" not in DeployedGcp.of({"topology": "cluster"}).outputs


def test_the_firewall_hint_names_every_address_and_port() -> None:
    hint = DeployedGcp.of({"topology": "cluster"}).outputs["firewall"]
    assert hint["ports"] == ["6379", "11000-13047"]
    assert hint["destinations"] == ["10.61.0.2/32", "10.61.0.3/32"]
    assert hint["direction"] == "EGRESS"


def test_everything_that_can_have_labels_has_them() -> None:
    deployed = DeployedGcp.of({"gcp.labels": "team=web", "gcp.alertEmails": "ops@example.org"} | MEMBERS)
    labelled = {
        answers.INSTANCE: "labels",
        answers.POLICY: "labels",
        answers.SECRET: "labels",
        answers.ALERT: "userLabels",
        answers.CHANNEL: "userLabels",
    }
    for kind, field in labelled.items():
        for resource in deployed.recorder.of(kind):
            assert resource.inputs[field]["team"] == "web", kind
            assert resource.inputs[field]["stack"] == "test"


def test_gaps_of_the_service_are_reported() -> None:
    told = notes(load(MINIMAL | {"version": "9.1"}))
    assert any("no final snapshot" in note for note in told)
    assert any("9.1 is a preview" in note for note in told)
    assert any("no members are configured" in note for note in told)
    assert "leaves the instance" in notes(load(MINIMAL | {"gcp.deletionPolicy": "abandon"}))[0]
    assert len(notes(load(MINIMAL | MEMBERS))) == 1


def test_only_accounts_log_in() -> None:
    assert access.logins(load(MINIMAL | MEMBERS))["app"].user == "app@my-project.iam.gserviceaccount.com"
    assert all(login.password is None for login in access.logins(load(MINIMAL | MEMBERS)).values())
