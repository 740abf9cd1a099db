"""Text of the shell commands that fix findings. They need nothing but this package, and contain no password."""

from __future__ import annotations

import json
import re
import shlex
from typing import NamedTuple

from valkeykit.url import Node

HASH = 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())'
GENERATE = 'import secrets; print(secrets.token_hex(32), end="")'
PROMPT = 'import getpass, urllib.parse as u; print(u.quote(getpass.getpass(), safe=""))'

_LOGIN = "://([^@/]*@)?"

_UNPRIVILEGED = ("PING", "INFO", "ROLE", "CLUSTER NODES", "CLUSTER GETKEYSINSLOT", "SENTINEL MASTERS")


class UrlEdit(NamedTuple):
    """A change of a connection URL, as a regular expression that Python and `sed -E` understand."""

    pattern: str
    replacement: str

    def apply(self, url: str) -> str:
        single_digits = re.sub(r"\\(\d)", r"\\g<\1>", self.replacement)  # as sed reads them, also before a digit
        return re.sub(self.pattern, single_digits, url, count=1)


WITH_TLS = UrlEdit(r"^(redis|valkey)([+:])", r"\1s\2")
WITHOUT_TLS = UrlEdit(r"^(redis|valkey)s", r"\1")
AS_CLUSTER = UrlEdit(r"^([a-z]+)([+][a-z]+)?:", r"\1+cluster:")
AS_SENTINEL = UrlEdit(r"^([a-z]+)([+][a-z]+)?:", r"\1+sentinel:")
AS_SINGLE = UrlEdit(r"[+]cluster:", ":")
FIRST_DATABASE = UrlEdit(r"/[0-9]+$", "/0")


def with_host(node: Node) -> UrlEdit:
    """Replace the host and the port."""
    return UrlEdit("(://([^@/]*@)?)[^/?]+", rf"\1{node}")


def needs_admin(command: tuple[str, ...]) -> bool:
    """Whether applications' users often may not run a command."""
    return not " ".join(command).upper().startswith(_UNPRIVILEGED)


def edit_variable(variable: str, edit: UrlEdit) -> str:
    """Edit the URL in an environment variable, so that its password is neither shown nor typed."""
    return f"""export {variable}="$(printf %s "${variable}" | sed -E 's#{edit.pattern}#{edit.replacement}#')\""""


def edit_typed(edit: UrlEdit) -> str:
    """Prompt for a URL that contains a password, and edit it."""
    return f"read -rsp 'URL: ' VALKEY_URL && {edit_variable('VALKEY_URL', edit)}"


def login_in_variable(variable: str, user: str, password: str) -> str:
    """Replace the login of the URL in a variable; the password is a shell expression."""
    command = edit_variable(variable, UrlEdit(_LOGIN, "://@LOGIN@"))
    return command.replace("@LOGIN@", f"{user}:'\"{password}\"'@")


def login_in_url(url: str, user: str, password: str) -> str:
    """Set VALKEY_URL to a URL with another login; the password is a shell expression."""
    scheme, rest = re.sub(_LOGIN, "://", url, count=1).split("://", 1)
    quoted = re.sub(r'([\\"$`])', r"\\\1", rest)
    return f'export VALKEY_URL="{scheme}://{user}:{password}@{quoted}"'


def generate_password(file: str) -> str:
    """Generate a password in a private file, unless the file has one."""
    quoted = shlex.quote(file)
    return f"(test -s {quoted} || (umask 077; python3 -c {shlex.quote(GENERATE)} > {quoted}))"


def hash_of(file: str) -> str:
    """The hash of a password in a file, as a rule of a user."""
    return f'"#$(python3 -c {shlex.quote(HASH)} {shlex.quote(file)})"'


def python(code: str) -> str:
    """Run Python code."""
    return f"python3 -c {shlex.quote(code)}"


def connect(node: Node) -> str:
    """Try to open a TCP connection."""
    return python(
        f'import socket; socket.create_connection(({json.dumps(node.host)}, {node.port}), 5); print("connected")'
    )


def send(node: Node, line: str) -> str:
    """Send a line without a login and print the reply."""
    return python(
        f"import socket; s = socket.create_connection(({json.dumps(node.host)}, {node.port}), 5); "
        f's.sendall(b"{line}\\r\\n"); print(s.recv(4096))'
    )


def resolve(host: str) -> str:
    """Resolve a host name."""
    return python(f"import socket; print(socket.getaddrinfo({json.dumps(host)}, None, type=socket.SOCK_STREAM))")


def certificate(node: Node) -> str:
    """Print a server's certificate, whether or not it is valid."""
    return python(f"import ssl; print(ssl.get_server_certificate(({json.dumps(node.host)}, {node.port}), timeout=5))")
