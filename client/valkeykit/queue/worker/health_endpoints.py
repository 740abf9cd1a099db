"""HTTP probes: GET /live and GET /ready, for Kubernetes and load balancers."""

from __future__ import annotations

import errno
import json
import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from valkeykit.errors import ConfigurationError
from valkeykit.queue.job_events import logger

POLL_SECONDS = 0.1
"""Seconds until the server notices that it is to end."""

CLIENT_TIMEOUT_SECONDS = 5.0
"""Seconds that a client may take for its request."""


class ProbeServer(ThreadingHTTPServer):
    """Answers with a worker's state, over IPv6 and IPv4. It has a thread of its own, so a busy loop does not delay it.

    Raises:
        ConfigurationError: The port can't be used.
    """

    daemon_threads = True

    def __init__(self, port: int, describe: Callable[[], dict[str, Any]]) -> None:
        self.describe = describe
        try:
            self._bind(port)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise ConfigurationError(f"health_port {port} can't be used: {reason}", fix="use a free port") from None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        """Answer, until `stop`."""
        threading.Thread(target=self.serve_forever, args=(POLL_SECONDS,), name="valkeykit-health", daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        """Bind without a lookup of the host name, which takes seconds if the name server does not respond."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.port

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (its base's interface)
        """Print no traceback for a client that ended the connection."""
        logger.debug("a health probe failed", exc_info=True)

    def _bind(self, port: int) -> None:
        if socket.has_dualstack_ipv6():
            self.address_family = socket.AF_INET6
            try:
                super().__init__(("", port), _Handler)
            except OSError as problem:
                if problem.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    raise
            else:
                return
        self.address_family = socket.AF_INET
        super().__init__(("", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: ProbeServer
    timeout = CLIENT_TIMEOUT_SECONDS
    server_version = "valkeykit"
    sys_version = ""

    def do_GET(self) -> None:
        self._respond(with_body=True)

    def do_HEAD(self) -> None:
        self._respond(with_body=False)

    def _respond(self, *, with_body: bool) -> None:
        state = self.server.describe()
        is_healthy = {"/live": state["live"], "/ready": state["ready"]}.get(self.path.partition("?")[0])
        body = json.dumps(state).encode()
        self.send_response(404 if is_healthy is None else 200 if is_healthy else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (its base's name)
        pass
