"""The smoke suite's setup: the deployment, which checks apply, and the table of results."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import pytest
from valkeykit.connection import Client
from valkeykit.errors import ValkeykitError

from tests.smoke.subject import Subject


@dataclass
class Report:
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, result: str, check: str, detail: str = "") -> None:
        self.rows.append((result, check, detail))


REPORT = pytest.StashKey[Report]()
SUBJECT = pytest.StashKey[Subject]()

_COLORS = {"ok": "green", "warning": "yellow", "FAILED": "red", "n/a": "yellow"}
"""Of each result, in their order."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("smoke")
    group.addoption("--stack", help="the Pulumi stack to check")
    group.addoption("--url", help="a URL to check; rather set VALKEY_URL, a command line is no place for a password")
    group.addoption("--disruptive", action="store_true", help="also kill the server and bring it back")
    group.addoption(
        "--within", type=float, default=10, metavar="SECONDS", help="how long writes may stop in a failover (10)"
    )
    group.addoption("--brief", action="store_true", help="print failures, warnings and totals only")
    group.addoption("--accept-keys", action="store_true", help="take the number of keys for the right one")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gate: what comes after makes no sense without it")
    config.addinivalue_line("markers", "needs(*what): can't apply without these; see Subject.lacks")
    config.addinivalue_line("markers", "disruptive: runs with --disruptive only")
    config.stash[REPORT] = Report()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what can't apply, and say so in the table."""
    subject, report = _subject(config), config.stash[REPORT]
    applicable = []
    for item in sorted(items, key=lambda item: item.get_closest_marker("gate") is None):
        reason = _why_not(item, subject, disruptive=config.getoption("--disruptive"))
        if reason:
            report.add("n/a", _name(item), reason)
        else:
            applicable.append(item)
    items[:] = applicable


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    outcome = yield
    failed = outcome.failed
    if call.when == "call" or failed:
        detail = _reason(call) if failed else ", ".join(str(value) for _, value in item.user_properties)
        passed = "warning" if any(name == "warning" for name, _ in item.user_properties) else "ok"
        item.config.stash[REPORT].add("FAILED" if failed else passed, _name(item), detail)
    if failed and item.get_closest_marker("gate"):
        item.session.shouldfail = "the server can't be used, so the other checks weren't run"
    return outcome


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """With --brief, no dot for each check."""
    return (report.outcome, "", "") if config.getoption("--brief") and report.when == "call" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = sorted(config.stash[REPORT].rows, key=lambda row: list(_COLORS).index(row[0]))
    is_brief = config.getoption("--brief")
    if rows and not is_brief:
        terminalreporter.section("smoke checks")
    for result, check, detail in rows:
        if not is_brief or result in {"warning", "FAILED"}:
            terminalreporter.write(f"{result:7}", **{_COLORS[result]: True})
            terminalreporter.write_line(f" {check}{f': {detail}' if detail else ''}")
    if is_brief:
        for line in _totals(Counter(result for result, _, _ in rows), config.getoption("--stack")):
            terminalreporter.write_line(line)
    if SUBJECT in config.stash and (note := config.stash[SUBJECT].note):
        terminalreporter.write_line(f"note: {note}")


def _totals(results: Counter[str], stack: str | None) -> Iterator[str]:
    passed = results["ok"] + results["warning"]
    yield f"{passed} checks passed"
    if results["FAILED"]:
        shell = 'eval "$(make -s shell)" && ' if stack else ""  # it finds Pulumi
        doctor = f"{shell}.venv/bin/valkeykit doctor{f' --stack {stack}' if stack else ''}"
        yield f"{results['FAILED']} of {passed + results['FAILED']} checks failed -> {doctor}"
    if results["n/a"]:
        yield f"{results['n/a']} checks do not apply (VERBOSE=1 lists them)"


@pytest.fixture(scope="session")
def subject(pytestconfig: pytest.Config) -> Subject:
    return _subject(pytestconfig)


@pytest.fixture
def app(subject: Subject) -> Iterator[Client]:
    with contextlib.closing(subject.as_app()) as client:
        yield client


@pytest.fixture
def key(app: Client) -> Iterator[str]:
    """A name of our own, whose brace keeps what is made of it on one shard. Gone afterwards, and by itself
    should we be killed.
    """
    name = f"{{smoke:{uuid.uuid4().hex}}}"
    yield name
    app.delete(name, f"{name}:active")


def _subject(config: pytest.Config) -> Subject:
    if SUBJECT not in config.stash:
        try:
            config.stash[SUBJECT] = _find_subject(config.getoption("--stack"), config.getoption("--url"))
        except ValkeykitError as problem:
            pytest.exit(f"error: {problem}", returncode=1)
    return config.stash[SUBJECT]


def _find_subject(stack: str | None, url: str | None) -> Subject:
    if stack:
        return Subject.of_stack(stack)
    named = url or os.environ.get("VALKEY_URL") or os.environ.get("REDIS_URL")
    if not named:
        pytest.exit("error: which server? -> --stack NAME, or set VALKEY_URL", returncode=1)
    return Subject.of_environment({**os.environ, "VALKEY_URL": named})


def _why_not(item: pytest.Item, subject: Subject, *, disruptive: bool) -> str | None:
    if item.get_closest_marker("disruptive") and not disruptive:
        return "it takes servers away for a moment: make smoke DISRUPTIVE=1"
    needs = [need for marker in item.iter_markers("needs") for need in marker.args]
    return next((reason for need in needs if (reason := subject.lacks(need))), None)


def _name(item: pytest.Item) -> str:
    doc = getattr(getattr(item, "function", None), "__doc__", None)
    return doc.splitlines()[0].rstrip(".") if doc else item.name


def _reason(call: pytest.CallInfo[None]) -> str:
    return str(call.excinfo.value).splitlines()[0] if call.excinfo else ""
