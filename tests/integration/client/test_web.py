"""The web page of queues, by HTTP: pages, changes, and what is refused."""

from __future__ import annotations

import asyncio
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from valkeykit import Queue
from valkeykit.settings import resolve_settings
from valkeykit_ops.web import create_app

from harness.ports import HOST, free_port
from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import take

TOKEN = "t" * 32
MARKUP = "<script>alert(1)</script>"


class Browser:
    """Keeps cookies and follows redirects. Errors are pages too."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.headers: dict[str, str] = {}

    def get(self, path: str = "/", **query: str | int) -> tuple[int, str]:
        return self._open(urllib.request.Request(self._address(path, query)))  # noqa: S310  (loopback)

    def post(self, path: str, fields: list[tuple[str, str]], **headers: str) -> tuple[int, str]:
        body = urllib.parse.urlencode(fields).encode()
        return self._open(urllib.request.Request(self.url + path, body, headers, method="POST"))  # noqa: S310  (loopback)

    def change(self, action: str, *identities: str, csrf: str | None = None, **headers: str) -> tuple[int, str]:
        """As the forms do, with the token of the queue's page."""
        if csrf is None:
            found = re.search('name="csrf" value="([^"]*)"', self.get("/queue", name="mail")[1])
            csrf = found[1] if found else ""
        ids = [("id", identity) for identity in identities]
        return self.post("/change", [("csrf", csrf), ("name", "mail"), ("action", action), *ids], **headers)

    def _address(self, path: str, query: dict[str, Any]) -> str:
        return f"{self.url}{path}?{urllib.parse.urlencode(query)}"

    def _open(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with self._opener.open(request, timeout=60) as answer:
                self.headers = dict(answer.headers)
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                self.headers = dict(error.headers)
                return error.code, error.read().decode()


@contextmanager
def serving(page: Any) -> Iterator[str]:
    """Serve an application in a thread; yields its URL."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(page, host=HOST, port=port, log_level="error", access_log=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


@contextmanager
def page(server: ServerProcess, *, log_in: bool = True, **options: Any) -> Iterator[Browser]:
    options = {"token": TOKEN} | options
    with serving(create_app(resolve_settings(server.url), **options)) as url:
        browser = Browser(url)
        if log_in:
            assert browser.get("/", token=TOKEN)[0] == 200
        yield browser


def dead_letter(queue: Queue, name: str = "send", error: str = "ValueError: no") -> str:
    job = queue.add(name, {"to": "a@b", "password": "p1"}, attempts=1).id
    take(queue)
    queue.send(queue.protocol.fail("w", [job, 1, -1, error, "a trace"]))
    return job


def test_nothing_is_shown_without_a_login(queue: Queue, server: ServerProcess) -> None:
    job = dead_letter(queue)
    with page(server, log_in=False) as browser:
        for path in ("/", "/queue?name=mail", "/jobs?name=mail&state=dead", f"/job?name=mail&id={job}"):
            status, text = browser.get(path)
            assert (status, "mail" in text, job in text) == (401, False, False)
        assert browser.get("/", token="wrong")[0] == 401
        assert browser.post("/login", [("token", "wrong")])[0] == 401
        assert browser.post("/change", [("action", "pause"), ("name", "mail")])[0] == 403
        assert not queue.statistics().paused
        assert browser.post("/login", [("token", TOKEN)])[0] == 200
        status, text = browser.get("/")
        assert (status, "mail" in text) == (200, True)
        (cookie,) = browser.cookies
        assert (cookie.has_nonstandard_attr("HttpOnly"), cookie.get_nonstandard_attr("SameSite")) == (True, "strict")
        assert "default-src 'none'" in browser.headers["content-security-policy"]
        assert "script" not in browser.headers["content-security-policy"]


def test_pages_show_queues_jobs_and_workers(queue: Queue, server: ServerProcess) -> None:
    job = dead_letter(queue)
    other = dead_letter(queue, error="KeyError: 'x'")
    queue.add_many("send", [{}] * 130)
    queue.send(queue.protocol.renew("w1", 60_000, [], '{"host": "h1", "jobs": [["j", "send", 2]], "version": "9.9"}'))
    queue.schedule("send", every=60, name="hourly")
    with page(server) as browser:
        overview = browser.get("/")[1]
        assert ">130</a>" in overview
        assert "no worker is live" not in overview
        about = browser.get("/queue", name="mail")[1]
        assert all(text in about for text in ("w1", "h1", "9.9", "hourly", "every 60", "Run hourly now", "<svg"))
        first, second = (browser.get("/jobs", name="mail", state="waiting", page=number)[1] for number in (0, 1))
        assert (first.count('name="id"'), second.count('name="id"')) == (100, 30)
        assert ("Next page" in first, "Next page" in second, "Previous page" in second) == (True, False, True)
        found = browser.get("/jobs", name="mail", state="dead", q="KeyError")[1]
        assert (other in found, job in found) == (True, False)
        details = browser.get("/job", name="mail", id=job)[1]
        assert all(text in details for text in ("ValueError: no", "a trace", "to&#34;"))
        assert "a@b" not in details
    with page(server, show_arguments=True) as browser:
        details = browser.get("/job", name="mail", id=job)[1]
        assert ("a@b" in details, "p1" in details) == (True, False)


def test_jobs_and_queues_are_changed(queue: Queue, server: ServerProcess) -> None:
    requeued, deleted, kept = (dead_letter(queue) for _ in range(3))
    with page(server) as browser:
        assert "requeued 1 of 1" in browser.change("requeue", requeued)[1]
        assert "cancelled 1 of 2" in browser.change("cancel", deleted, "unknown")[1]
        assert [letter.id for letter in queue.dead_letters()] == [kept]
        assert [job.id for job in queue.jobs("waiting")] == [requeued]
        queue.schedule("report", {"n": 7}, every=3600, name="hourly")
        next_at = queue.schedules()[0].next_at
        assert "added 1 of 2" in browser.change("run", "hourly", "unknown")[1]
        assert [(job.name, job.arguments) for job in queue.jobs("waiting")][1:] == [("report", {"n": 7})]
        assert queue.schedules()[0].next_at == next_at
        assert "(paused)" in browser.change("pause")[1]
        assert queue.statistics().paused
        browser.change("resume")
        assert not queue.statistics().paused


def test_posts_that_no_page_of_the_session_sent_are_refused(queue: Queue, server: ServerProcess) -> None:
    queue.add("send")
    queue.schedule("send", every=60, name="hourly")
    with page(server) as browser:
        assert browser.change("pause", csrf="")[0] == 403
        assert browser.change("pause", csrf="0" * 64)[0] == 403
        assert browser.change("pause", Origin="https://evil.example")[0] == 403
        assert browser.change("pause", Origin="null")[0] == 403
        assert browser.change("purge")[0] == 404
        assert browser.change("requeue", "a b")[0] == 404
        assert browser.change("requeue", *["x" * 150] * 900)[0] == 413
        assert not queue.statistics().paused
        assert browser.change("pause", Origin=browser.url)[0] == 200
        assert queue.statistics().paused
    with page(server, read_only=True) as browser:
        assert "<button" not in browser.get("/queue", name="mail")[1]
        assert browser.change("resume", csrf="x")[0] == 403
        assert queue.statistics().paused


def test_markup_and_control_characters_are_text(server: ServerProcess) -> None:
    with Queue(MARKUP, server.url) as other:
        job = other.add(MARKUP, {MARKUP: 1}, id=MARKUP, attempts=1).id
        take(other)
        other.send(other.protocol.renew(MARKUP, 60_000, [], f'{{"host": "{MARKUP}", "handlers": ["{MARKUP}"]}}'))
        other.send(other.protocol.fail("w", [job, 1, -1, MARKUP + "\x1b[2J", MARKUP]))
    with page(server, show_arguments=True) as browser:
        for path in ("/", "/queue", "/jobs", "/job"):
            text = browser.get(path, name=MARKUP, id=job, state="dead", q=MARKUP, done=MARKUP)[1]
            assert "&lt;script&gt;" in text
            assert "<script" not in text
            assert "\x1b" not in text


@pytest.mark.parametrize(
    ("path", "query"),
    [("/queue", {"name": "typo"}), ("/queue", {"name": "a{b"}), ("/queue", {}), ("/job", {"name": "mail", "id": "no"}),
     ("/jobs", {"name": "mail", "state": "lost"}), ("/nothing", {})],
)  # fmt: skip
def test_what_does_not_exist_is_an_error_and_creates_nothing(
    queue: Queue, server: ServerProcess, path: str, query: dict[str, str]
) -> None:
    queue.add("send")
    with page(server) as browser:
        assert browser.get(path, **query)[0] == 404
        assert browser.get("/jobs", name="mail", page="x")[0] == 200
        assert "typo" not in browser.get("/", done="typo")[1]


def test_a_server_that_is_down_is_one_error(own_server: ServerProcess) -> None:
    with page(own_server) as browser:
        own_server.kill()
        status, text = browser.get("/")
        assert (status, "nothing listens" in text) == (503, True)
        own_server.start()
        wait_until(lambda: browser.get("/")[0] == 200)


def test_it_is_mounted_behind_the_login_of_an_application(queue: Queue, server: ServerProcess) -> None:
    queue.add("send")
    application = FastAPI()
    application.mount("/admin/queues", create_app(resolve_settings(server.url), token=None))
    with serving(application) as url:
        browser = Browser(f"{url}/admin/queues")
        assert 'href="/admin/queues/queue?name=mail"' in browser.get("/")[1]
        assert browser.change("pause", csrf="x")[0] == 403
        assert browser.change("pause")[0] == 200
        assert queue.statistics().paused
