"""Networks, connection policies and endpoints of an instance."""

from __future__ import annotations

import re

from valkeykit.url import parse

from harness.cloud.gcp import answers
from harness.cloud.gcp.configurations import APPS, BATCH, FURTHER, MEMBERS, SHARED
from tests.gcp.recorded import INSTANCE, DeployedGcp


def test_a_network_of_its_own_has_one_subnet_and_a_policy() -> None:
    deployed = DeployedGcp.of({"gcp.subnetCidr": "10.9.0.0/29"})
    assert deployed.one(answers.NETWORK)["autoCreateSubnetworks"] is False
    assert deployed.one(answers.SUBNETWORK)["ipCidrRange"] == "10.9.0.0/29"
    policy = deployed.one(answers.POLICY)
    assert policy["network"] == "projects/my-project/global/networks/valkey-test"
    assert (policy["location"], policy["serviceClass"]) == ("europe-west3", "gcp-memorystore")


def test_an_existing_policy_is_read() -> None:
    policy = "projects/host-project/locations/europe-west3/serviceConnectionPolicies/theirs"
    deployed = DeployedGcp.of({"gcp.network": SHARED["gcp.network"], "gcp.connectionPolicy": policy})
    (found,) = deployed.recorder.of(answers.POLICY)
    assert (found.name, "serviceClass" in found.inputs) == ("existing-policy", False)


def test_each_network_has_a_policy_of_another_name() -> None:
    """Else its successor's name would be taken until it is gone."""
    other = {name: value.replace("shared", "other") for name, value in SHARED.items()}
    names = {DeployedGcp.of(configuration).one(answers.POLICY)["name"] for configuration in ({}, SHARED, other)}
    assert len(names) == 3
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{2,61}[a-z0-9]", name) for name in names)


def test_a_shared_vpc_has_its_policy_in_the_network_s_project_and_its_endpoints_in_the_instance_s() -> None:
    deployed = DeployedGcp.of(SHARED | {"gcp.connectionLimit": "4"})
    assert deployed.recorder.of(answers.NETWORK) == []
    policy = deployed.one(answers.POLICY)
    assert (policy["project"], policy["network"]) == ("host-project", SHARED["gcp.network"])
    assert policy["pscConfig"] == {"subnetworks": [SHARED["gcp.subnetworks"]], "limit": "4"}
    (endpoint,) = deployed.one(INSTANCE)["desiredAutoCreatedEndpoints"]
    assert endpoint == {"network": SHARED["gcp.network"], "projectId": "my-project"}
    assert deployed.one(INSTANCE)["project"] == "my-project"


def test_further_networks_have_endpoints_of_their_own() -> None:
    deployed = DeployedGcp.of({"topology": "replicated"} | FURTHER)
    endpoints = deployed.one(answers.USER_ENDPOINTS)["desiredUserCreatedEndpoints"]
    rules, addresses = deployed.all(answers.RULE), deployed.all(answers.ADDRESS)
    assert len(rules) == len(addresses) == 4
    assert {known["project"] for known in rules.values()} == {"my-project", "batch-project"}
    assert {known["connections"][0]["pscConnection"]["network"] for known in endpoints} == {APPS, BATCH}
    targets = [[known["pscConnection"]["serviceAttachment"] for known in group["connections"]] for group in endpoints]
    assert targets[0] == targets[1] == sorted(set(targets[0]))
    services = {known["project"] for known in deployed.all(answers.SERVICE).values()}
    assert services == {"my-project", "batch-project"}


def test_a_client_in_a_further_network_has_a_url_of_its_own() -> None:
    found = DeployedGcp.of({"topology": "replicated"} | FURTHER).outputs["endpoints"]
    assert set(found) == {APPS, BATCH}
    primary, reader = (parse(found[APPS][name]).host for name in ("url", "readerUrl"))
    assert {primary, reader} == {host.removesuffix("/32") for host in found[APPS]["firewall"]["destinations"]}
    cluster = DeployedGcp.of({"topology": "cluster"} | FURTHER).outputs["endpoints"]
    assert set(cluster[APPS]) == {"url", "firewall"}
    assert "endpoints" not in DeployedGcp.of({}).outputs


def test_members_may_connect_to_this_instance_and_to_no_other() -> None:
    members = DeployedGcp.of(MEMBERS).all(answers.MEMBER)
    assert {known["member"] for known in members.values()} == {
        "serviceAccount:app@my-project.iam.gserviceaccount.com",
        "user:bob@example.org",
        "user:ada@example.org",
        "serviceAccount:monitor@my-project.iam.gserviceaccount.com",
    }
    for known in members.values():
        assert known["role"] == "roles/memorystore.dbConnectionUser"
        wanted = 'resource.name == "projects/my-project/locations/europe-west3/instances/valkey-test"'
        assert known["condition"]["expression"] == wanted
