"""The web page without a server: tokens, sessions, masking, addresses and the chart."""

from __future__ import annotations

from pathlib import Path

import pytest
from valkeykit.errors import ConfigurationError
from valkeykit.queue import Minute
from valkeykit_ops.commands.web import is_loopback, parse_address, read_token
from valkeykit_ops.web import chart, masking
from valkeykit_ops.web.authentication import Access

TOKEN = "t" * 32


def test_sessions_are_signed_and_forms_belong_to_one() -> None:
    access = Access(TOKEN, "secret")
    one, other = access.new_session(), access.new_session()
    assert one != other
    assert access.is_session(one)
    assert access.is_form_token(one, access.form_token(one))
    assert not access.is_form_token(other, access.form_token(one))
    assert not access.is_form_token(one, "")
    assert not access.is_form_token(one, "é")


@pytest.mark.parametrize("cookie", [None, "", ".", "a.b", "é.é", "a" * 32 + "." + "0" * 64])
def test_a_forged_session_is_refused(cookie: str | None) -> None:
    assert not Access(TOKEN, "secret").is_session(cookie)


def test_a_session_ends_with_its_token_and_its_secret() -> None:
    session = Access(TOKEN, "secret").new_session()
    assert Access(TOKEN, "secret").is_session(session)
    assert not Access("u" * 32, "secret").is_session(session)
    assert not Access(TOKEN).is_session(session)


def test_only_the_token_logs_in() -> None:
    access = Access(TOKEN)
    assert access.is_token(TOKEN)
    assert not any(access.is_token(wrong) for wrong in ("", TOKEN[:-1], TOKEN + "t", "é"))
    assert not Access(None).is_token("")
    with pytest.raises(ConfigurationError, match="the token has 5 characters"):
        Access("short")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.com", False), ("localhost.example.com", False)],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_an_address_that_others_reach_needs_a_token_of_ones_own(tmp_path: Path) -> None:
    public = parse_address("0.0.0.0:8630")
    with pytest.raises(ConfigurationError, match="needs a token file"):
        read_token(None, public)
    file = tmp_path / "token"
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        read_token(file, public)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="not a text file"):
        read_token(file, public)
    file.write_text(TOKEN + "\n")
    assert read_token(file, public) == TOKEN
    assert len(read_token(None, parse_address("127.0.0.1:8630"))) > 40
    with pytest.raises(ConfigurationError, match="is not HOST:PORT"):
        parse_address("a:1,b:2")


def test_values_are_masked_and_secrets_always() -> None:
    value = {"to": "a@b", "auth": {"api_key": "k1", "items": [{"password": "p1", "n": 7}]}}
    hidden = masking.shown(value, in_full=False)
    assert '"to"' in hidden
    assert not [secret for secret in ("a@b", "k1", "p1", "7") if secret in hidden]
    full = masking.shown(value, in_full=True)
    assert "a@b" in full
    assert '"n": 7' in full
    assert not [secret for secret in ("k1", "p1") if secret in full]
    assert masking.shown("plain", in_full=False) == f'"{masking.MASK}"'


def test_long_values_are_cut_and_control_characters_escaped() -> None:
    assert masking.cut("x" * 10_000_000).endswith("9,990,000 more characters")
    assert masking.cut("a\x1b[2J") == "a\\x1b[2J"


def test_the_chart_fits_its_height() -> None:
    bars = chart.bars([Minute(0, completed=90, failed=10), Minute(60), Minute(120, completed=50)])
    assert (bars[0].completed_height, bars[0].failed_height, bars[0].failed_y) == (72, 8, 0)
    assert (bars[1].completed_height, bars[2].completed_height, bars[2].x) == (0, 40, 20)
    assert bars[0].text == "00:00 UTC: 90 completed, 10 dead letters, 0 retried"
    assert chart.bars([]) == []
