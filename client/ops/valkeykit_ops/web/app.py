"""The web page as an ASGI application."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeGuard, get_args
from urllib.parse import parse_qs, urlencode

from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from valkeykit.commands.tables import clean, moment
from valkeykit.errors import InvalidJobError, ValkeykitError
from valkeykit.settings import ConnectionSettings
from valkeykit.vocabulary import StoredState

from valkeykit_ops.web import chart, masking
from valkeykit_ops.web.authentication import SESSION_COOKIE, Access
from valkeykit_ops.web.queues import QueueReader

FOLDER = Path(__file__).parent

MAX_FORM_BYTES = 64 * 1024
"""Size limit of a form: a hundred ids fit."""

STATES = get_args(StoredState)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send no origin with forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

_DONE = re.compile(r"paused|resumed|(?:requeued|cancelled|added) \d{1,6} of \d{1,6}")
"""What the page confirms after a change. Anything else in a URL isn't shown."""

Page = Callable[[Request], dict[str, Any]]


class RejectedRequestError(Exception):
    """A request that is refused, with its HTTP status and a text for the user."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def create_app(
    settings: ConnectionSettings,
    *,
    token: str | None,
    secret: str | None = None,
    read_only: bool = False,
    show_arguments: bool = False,
) -> Starlette:
    """Create the page.

    Args:
        settings: How to connect.
        token: What a user needs to log in. None only where the application that mounts the page checks its users.
        secret: Signs sessions; processes that serve the same page need the same one.
        read_only: Refuse all changes.
        show_arguments: Show values of arguments, results and progress, except under names that suggest a secret.

    Raises:
        ConfigurationError: The token is too short.
    """
    site = _Site(QueueReader(settings), Access(token, secret), read_only=read_only, show_arguments=show_arguments)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        site.queues.close()

    return Starlette(routes=site.routes(), lifespan=lifespan)


class _Site:
    def __init__(self, queues: QueueReader, access: Access, *, read_only: bool, show_arguments: bool) -> None:
        self.queues = queues
        self._access = access
        self._read_only = read_only
        self._show_arguments = show_arguments
        self._templates = Environment(loader=FileSystemLoader(FOLDER / "templates"), autoescape=True)
        self._templates.filters.update(clean=lambda text: clean(str(text)), cut=masking.cut, moment=moment)
        self._style = (FOLDER / "style.css").read_text(encoding="utf-8")

    def routes(self) -> list[Route]:
        return [
            Route("/", self._page("overview.html", self._overview), name="overview"),
            Route("/queue", self._page("queue.html", self._queue), name="queue"),
            Route("/jobs", self._page("jobs.html", self._jobs), name="jobs"),
            Route("/job", self._page("job.html", self._job), name="job"),
            Route("/change", self._change, methods=["POST"], name="change"),
            Route("/login", self._log_in, methods=["POST"], name="login"),
            Route("/style.css", self._css, name="style"),
        ]

    def _overview(self, _: Request) -> dict[str, Any]:
        return {"queues": self.queues.all()}

    def _queue(self, request: Request) -> dict[str, Any]:
        name = request.query_params.get("name", "")
        return {
            "queue": self.queues.one(name),
            "bars": chart.bars(self.queues.history(name)),
            "recent": self.queues.recent(name),
            "schedules": self.queues.schedules(name),
        }

    def _jobs(self, request: Request) -> dict[str, Any]:
        query = request.query_params
        name, state, text = query.get("name", ""), query.get("state", "waiting"), query.get("q", "").strip()
        number = int(page) if (page := query.get("page", "0")).isdecimal() and len(page) < 8 else 0
        if not _is_state(state):
            raise RejectedRequestError(404, f"there is no state {state!r}")
        listed = self.queues.search(name, state, text) if text else self.queues.jobs(name, state, number)
        return {"name": name, "state": state, "text": text, "number": number, "page": listed}

    def _job(self, request: Request) -> dict[str, Any]:
        name, identity = request.query_params.get("name", ""), request.query_params.get("id", "")
        job = self.queues.job(name, identity)
        if job.state.state == "missing":
            raise RejectedRequestError(
                404, f"the queue {name} has no job {identity}: it is done, was cancelled or never added"
            )
        values = {"arguments": job.arguments, "progress": job.state.progress, "result": job.state.result}
        texts = {
            label: masking.shown(value, in_full=self._show_arguments)
            for label, value in values.items()
            if value is not None
        }
        return {"name": name, "job": job, "values": texts}

    def _page(self, template: str, read: Page) -> Callable[[Request], Any]:
        """A page for users who are logged in. Without a login of its own, each visitor gets a session."""

        async def respond(request: Request) -> Response:
            cookie = request.cookies.get(SESSION_COOKIE, "")
            if not self._access.is_session(cookie):
                if self._access.needs_login:
                    return self._login_page(request)
                cookie = self._access.new_session()
            try:
                values = await run_in_threadpool(read, request)
            except (RejectedRequestError, ValkeykitError) as error:
                return self._failure(request, error)
            return self._keep(request, self._render(request, template, values, cookie), cookie)

        return respond

    def _login_page(self, request: Request) -> Response:
        """The page that asks for the token. A token in the URL logs in, and is not kept in the address."""
        given = request.query_params.get("token")
        if given is not None and self._access.is_token(given):
            return self._keep(request, _redirect(request, "overview"), self._access.new_session())
        return self._render(request, "login.html", {"is_wrong": given is not None}, status=401)

    async def _log_in(self, request: Request) -> Response:
        try:
            form = await _form(request)
        except RejectedRequestError as error:
            return self._failure(request, error)
        if not self._access.is_token(form.get("token", [""])[0]):
            return self._render(request, "login.html", {"is_wrong": True}, status=401)
        return self._keep(request, _redirect(request, "overview"), self._access.new_session())

    async def _change(self, request: Request) -> Response:
        try:
            form = await self._own_form(request)
            name, action, identities = form.get("name", [""])[0], form.get("action", [""])[0], form.get("id", [])
            done = await run_in_threadpool(self.queues.change, name, action, identities)
        except (RejectedRequestError, ValkeykitError) as error:
            return self._failure(request, error)
        return _redirect(request, "queue", name=name, done=done)

    async def _own_form(self, request: Request) -> dict[str, list[str]]:
        """A form of a page that this session was shown.

        Raises:
            RejectedRequestError: It isn't one, or nothing may be changed.
        """
        cookie = request.cookies.get(SESSION_COOKIE, "")
        if self._read_only:
            raise RejectedRequestError(403, "this page is read-only")
        if not self._access.is_session(cookie):
            raise RejectedRequestError(403, "you are not logged in: open the page again")
        form = await _form(request)
        if not self._access.is_form_token(cookie, form.get("csrf", [""])[0]):
            raise RejectedRequestError(403, "the form is not from this page: reload it")
        return form

    async def _css(self, _: Request) -> Response:
        return Response(self._style, media_type="text/css", headers=HEADERS)

    def _failure(self, request: Request, error: RejectedRequestError | ValkeykitError) -> Response:
        status = (
            error.status
            if isinstance(error, RejectedRequestError)
            else 404
            if isinstance(error, InvalidJobError)
            else 503
        )
        text, fix = str(error.args[0]), getattr(error, "fix", "")
        return self._render(request, "error.html", {"text": text, "fix": fix}, status=status)

    def _render(
        self, request: Request, template: str, values: dict[str, Any], cookie: str = "", status: int = 200
    ) -> Response:
        """Render a template. `link` makes URLs below the path where the page is mounted."""
        text = self._templates.get_template(template).render(
            link=lambda route, **query: _link(request, route, **query),
            csrf=self._access.form_token(cookie) if cookie else "",
            read_only=self._read_only,
            show_arguments=self._show_arguments,
            states=STATES,
            done=match[0] if (match := _DONE.fullmatch(request.query_params.get("done", ""))) else "",
            **values,
        )
        return HTMLResponse(text, status_code=status, headers=HEADERS)

    def _keep(self, request: Request, response: Response, cookie: str) -> Response:
        if request.cookies.get(SESSION_COOKIE) != cookie:
            response.set_cookie(
                SESSION_COOKIE,
                cookie,
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
                path=request.scope.get("root_path") or "/",
            )
        return response


async def _form(request: Request) -> dict[str, list[str]]:
    """The fields of a form.

    Raises:
        RejectedRequestError: It comes from another site, or is too large.
    """
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and origin.partition("://")[2] != host:
        raise RejectedRequestError(403, "the form is from another site")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            raise RejectedRequestError(413, f"the form has more than {MAX_FORM_BYTES} bytes")
    return parse_qs(body.decode(errors="replace"), max_num_fields=1000)


def _is_state(text: str) -> TypeGuard[StoredState]:
    return text in STATES


def _link(request: Request, route: str, **query: str | int) -> str:
    path = request.scope.get("root_path", "").rstrip("/") + request.app.url_path_for(route)
    return f"{path}?{urlencode(query)}" if query else path


def _redirect(request: Request, route: str, **query: str) -> Response:
    return RedirectResponse(_link(request, route, **query), status_code=303, headers=HEADERS)
