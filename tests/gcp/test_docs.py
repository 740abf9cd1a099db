"""The blocks of docs/gcp.md run as written. Blocks in `console` need Google: see tests/docs/test_pages.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from harness import servers
from harness.cloud.gcp import answers
from harness.cloud.stack import plugin
from harness.ports import HOST
from infra import settings
from infra.settings import loading
from stackctl.stack import PROJECT
from tests.cloud.page_runner import PageRunner
from tests.gcp.conftest import BACKEND
from tests.gcp.recorded import DeployedGcp
from tests.gcp.test_life import stored
from tests.gcp.test_requests import check
from tests.integration.client.test_credentials import google as credentials
from tests.support import checkout

PAGE = PROJECT / "docs" / "gcp.md"
MEMBER = "app@my-project.iam.gserviceaccount.com"


def test_the_session_of_a_reader(tmp_path: Path, fake_provider: dict[str, str], resources: Path) -> None:
    page_runner = PageRunner.create(tmp_path, plugin(tmp_path / "plugins", "gcp", BACKEND, PROJECT), fake_provider)
    *session, end = checkout.runnable(PAGE)
    page_runner.run(*session)
    (instance,) = stored(resources, answers.INSTANCE)
    assert instance["instanceId"] == "valkey-cloud"
    assert instance["persistenceConfig"]["mode"] == "AOF"
    assert instance["engineConfigs"]["maxmemory-policy"] == "noeviction"
    page_runner.run(end)
    assert json.loads(resources.read_text()) == {}


@pytest.mark.parametrize("text", [text for language, text in checkout.blocks(PAGE) if language == "yaml"])
def test_the_requests_of_a_documented_stack_file_are_valid(text: str) -> None:
    given = yaml.safe_load(text)["config"]
    texts = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in given.items()}
    assert check(DeployedGcp(settings.load(texts)).recorder) == []


def test_the_client_s_example_signs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a server that has the member as a user, with its token as the password."""
    monkeypatch.setattr("google.auth.default", lambda **_: (credentials(), "my-project"))
    (example,) = (text for language, text in checkout.blocks(PAGE) if language == "python")
    with servers.running(tmp_path / "server") as server:
        with server.client() as admin:
            admin.acl_setuser(
                MEMBER, enabled=True, passwords=["+ya29.made-up"], keys=["*"], categories=["+@all"], reset=True
            )
        monkeypatch.setenv("VALKEY_URL", f"redis://{quote(MEMBER)}@{HOST}:{server.port}/0")
        exec(compile(example, str(PAGE), "exec"), {})  # noqa: S102
    assert capsys.readouterr().out == "hello\n"


def test_every_key_that_is_named_is_one() -> None:
    keys = {key for key, _ in loading.describe_keys()}
    named = set(re.findall(r"[`:](gcp\.[a-z]\w*)", PAGE.read_text()))
    outputs = {
        "gcp.endpoints",
        "gcp.readerUrl",
        "gcp.secret",
        "gcp.firewall",
        "gcp.pendingUpdates",
        "gcp.availableMaintenanceVersions",
    }
    assert named - outputs <= keys
    assert len(named - outputs) > 15
