"""The smoke suite's checks of Google's descriptions, with correct and incorrect ones, and how it logs in."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.cloud import memorystore_v1beta as api
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError

from harness import servers, tls
from harness.cloud.gcp import answers
from harness.cloud.gcp.configurations import MEMBERS
from harness.ports import HOST
from stackctl import stack as stacks
from tests.gcp import requests
from tests.gcp.recorded import INSTANCE, DeployedGcp
from tests.smoke import test_gcp as checks
from tests.smoke import test_tls
from tests.smoke.subject import Subject


def outputs(deployed: DeployedGcp) -> dict[str, Any]:
    """Of a stack, as `pulumi stack output` prints them."""
    url = deployed.endpoint.url(deployed.users["app"], None)
    return {
        "endpoint": deployed.endpoint.to_dict(),
        "url": url,
        "adminUrl": url,
        "monitorUrl": url,
        "gcp": deployed.outputs,
    }


@pytest.fixture
def subject_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Subject]:
    def create(deployed: DeployedGcp, **variables: str) -> Subject:
        class Opened:
            def outputs(self) -> dict[str, Any]:
                return outputs(deployed)

        monkeypatch.setattr(stacks.Stack, "open", lambda _name: Opened())
        return Subject.of_stack("any", variables)

    return create


def described(deployed: DeployedGcp) -> Any:
    """The instance as the API would describe it."""
    asked = deployed.one(INSTANCE)
    found = requests.instance(asked)
    found.state = api.Instance.State.ACTIVE
    found.endpoints = [
        {"connections": [{"psc_auto_connection": {"ip_address": node.host}} for node in deployed.endpoint.nodes]}
    ]
    return found


class FakeMemorystoreClient:
    """Google's, as far as the checks use it."""

    def __init__(self, known: Any) -> None:
        self._known = known

    def get_instance(self, name: str) -> Any:
        assert name == self._known.name
        return self._known


def verdicts(instance: Any, subject: Subject) -> set[str]:
    """The names of the checks that fail."""
    failed = set()
    for check in (checks.test_active, checks.test_backups):
        try:
            check(instance)
        except AssertionError:
            failed.add(check.__name__)
    for judge in (checks.test_encrypted, checks.test_login, checks.test_rights, checks.test_endpoints):
        try:
            judge(instance, subject)
        except AssertionError:
            failed.add(judge.__name__)
    return failed


@pytest.mark.parametrize(
    "configuration",
    [{}, MEMBERS, {"topology": "cluster"}, {"gcp.auth": "none", "gcp.tls": "false"}],
    ids=["single", "members", "cluster", "open"],
)
def test_the_requested_configuration_passes(configuration: dict[str, str], subject_of: Callable[..., Subject]) -> None:
    deployed = DeployedGcp.of(configuration)
    subject = subject_of(deployed)
    assert subject.gcp is not None
    instance = checks.describe(subject.gcp["instance"], FakeMemorystoreClient(described(deployed)))
    assert verdicts(instance, subject) == set()


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"state": api.Instance.State.UPDATING}, {"test_active"}),
        ({"transit_encryption_mode": 1}, {"test_encrypted"}),
        ({"authorization_mode": 1}, {"test_login"}),
        ({"acl_policy": ""}, {"test_rights"}),
        ({"automated_backup_config": {}}, {"test_backups"}),
        ({"endpoints": []}, {"test_endpoints"}),
    ],
)
def test_what_differs_fails(change: dict[str, Any], failed: set[str], subject_of: Callable[..., Subject]) -> None:
    deployed = DeployedGcp.of(MEMBERS)
    instance = described(deployed)
    for name, value in change.items():
        setattr(instance, name, value)
    assert verdicts(instance, subject_of(deployed)) == failed


def test_the_suite_signs_as_the_member_of_the_url(
    subject_of: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[str] = []
    monkeypatch.setattr("valkeykit.credentials.MemorystoreIam", signed.append)
    subject = subject_of(DeployedGcp.of(MEMBERS))
    subject.at(subject.nodes[0]).close()
    assert signed == ["app@my-project.iam.gserviceaccount.com"]
    subject.as_user(subject.nodes[0], None, None).close()
    subject.as_user(subject.nodes[0], "default", "wrong").close()
    assert len(signed) == 1, "these try to get in without a signature"
    assert subject.lacks("admin")
    assert subject.lacks("roles")
    assert subject.lacks("rights") is None
    assert subject.lacks("files")


def test_a_forward_changes_the_address_alone(subject_of: Callable[..., Subject]) -> None:
    deployed = DeployedGcp.of({"topology": "replicated"})
    subject = subject_of(deployed, VALKEY_FORWARD="127.0.0.1:7000")
    assert (subject.address.host, subject.address.port, subject.address.tls) == ("127.0.0.1", 7000, True)
    assert len(subject.nodes) == 1
    assert (subject.check_hostname, subject.ca) == (False, "\n".join(answers.CERTIFICATES) + "\n")
    assert subject.endpoint == Endpoint.from_dict(deployed.endpoint.to_dict())
    assert subject_of(deployed).check_hostname


def test_a_cluster_isn_t_checked_through_a_forward(subject_of: Callable[..., Subject]) -> None:
    with pytest.raises(ConfigurationError, match="unset VALKEY_FORWARD"):
        subject_of(DeployedGcp.of({"topology": "cluster"}), VALKEY_FORWARD="127.0.0.1:7000")


def test_through_a_forward_the_chain_is_checked_and_the_name_is_not(
    tmp_path: Path, subject_of: Callable[..., Subject]
) -> None:
    """The certificate is the instance's, which has another address than the forward."""
    certificate = tls.context(tmp_path, names="IP:10.61.0.3")
    with servers.running(tmp_path / "server") as server, tls.end(tmp_path, server.port, certificate) as forward:
        subject = subject_of(DeployedGcp.of({}), VALKEY_FORWARD=f"{HOST}:{forward.port}")
        signed = replace(subject, ca=str(forward.ca))
        test_tls.test_certificate(signed)
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            test_tls.test_certificate(replace(signed, check_hostname=True))
        (tmp_path / "other").mkdir()
        tls.context(tmp_path / "other")
        with pytest.raises(ssl.SSLCertVerificationError):
            test_tls.test_certificate(replace(subject, ca=str(tmp_path / "other" / "certificate.pem")))
