"""docs/clients.md, made from what the tests found: `python -m tests.clients.page`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping

from stackctl.stack import PROJECT
from tests.clients.languages import LANGUAGES
from tests.clients.registry import CLIENTS, TOPOLOGIES, ClientLibrary

FILE = PROJECT / "docs" / "clients.md"
HOW = "run: make test ONLY=clients; make test ONLY=clients TLS=1; python -m tests.clients.page"
FOUND = PROJECT / "build" / "clients"
TARGETS = ("embedded", "docker")
"""In plain text, and over TLS."""

Results = dict[str, dict[str, "str | None"]]
"""The version of each client that passed in a topology; None where it failed."""

INTRODUCTION = """\
# Clients

What was tried with the variables of `make env`: as the user `app`, whose password holds every character that has
a meaning in a URL, on the embedded target in plain text and on the docker target over TLS. A client writes, reads and
runs a script; a cache stores and counts; a queue's job is run by a real worker. Nothing that one of them asked for was
refused.

*Replicated* means that it finds the primary by itself: the tests fail over first. *TLS* means each of its topologies.
On the docker target Sentinels answer with addresses inside, so there `VALKEY_NODES` counts: valkeykit and GLIDE ask the
nodes for their role.
A client of a replicated stack that reads only `VALKEY_URL` is read-only after a failover.
It needs the new URL: `make up`, then `make env`.

Made by `python -m tests.clients.page` from what `make test ONLY=clients` and `make test ONLY=clients TLS=1` found.
"""

TAIL = """\
A queue library needs a server of the `workload` `queue` or `mixed`: on a `cache` jobs are evicted. BullMQ
warns of that.

## Configuration

Each is the part of the program that the tests run that differs from library to library. `valkey` is the name by which
the Sentinels know the primary.
"""

FENCES = {"python": "python", "node": "js", "go": "go", "java": "java", "ruby": "ruby"}


def expected() -> Mapping[str, Results]:
    """What the registry says that the tests find."""
    passed: Results = {}
    for client in CLIENTS:
        version = LANGUAGES[client.language].version(client.package)
        passed[client.name] = dict.fromkeys(client.topologies, version)
    return dict.fromkeys(TARGETS, passed)


def write_results(target: str, found: Results) -> None:
    FOUND.mkdir(parents=True, exist_ok=True)
    (FOUND / f"{target}.json").write_text(json.dumps(found, indent=2) + "\n")


def render(found: Mapping[str, Results]) -> str:
    return "\n".join([INTRODUCTION, *_table(found), "", TAIL, *_snippets()])


def _table(found: Mapping[str, Results]) -> Iterator[str]:
    yield "| client | version | single | replicated | cluster | TLS |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for client in CLIENTS:
        plain, secure = (found[target].get(client.name, {}) for target in TARGETS)
        version = next(filter(None, plain.values()), "?")
        cells = [_cell(client, plain, topology) for topology in TOPOLOGIES]
        over_tls = [topology for topology in client.topologies if secure.get(topology) == version]
        whole = over_tls == list(client.topologies)
        yield f"| {' | '.join([client.name, version, *cells, 'yes' if whole else 'failed'])} |"


def _cell(client: ClientLibrary, plain: Mapping[str, str | None], topology: str) -> str:
    if topology in client.lacks:
        return f"no: {client.lacks[topology]}"
    return "yes" if plain.get(topology) else "failed"


def _snippets() -> Iterator[str]:
    for _, alike in itertools.groupby(CLIENTS, key=lambda client: client.source):
        first, *others = alike
        yield f"### {', '.join(client.name for client in (first, *others))}\n"
        yield f"```{FENCES[first.language]}\n{snippet(first)}```\n"


def snippet(client: ClientLibrary) -> str:
    """What stands between the two markers of the client's program."""
    lines = client.source.read_text().splitlines()
    first, last = (
        next(n for n, line in enumerate(lines) if line.strip() in {f"# {marker}", f"// {marker}"})
        for marker in ("configuration", "end")
    )
    inside = lines[first + 1 : last]
    indent = min(len(line) - len(line.lstrip()) for line in inside if line)
    return "".join(f"{line[indent:]}\n" for line in inside).rstrip() + "\n"


if __name__ == "__main__":
    files = {target: FOUND / f"{target}.json" for target in TARGETS}
    if missing := [str(file) for file in files.values() if not file.exists()]:
        sys.exit(f"error: {', '.join(missing)} isn't there -> {HOW}")
    FILE.write_text(render({target: json.loads(file.read_text()) for target, file in files.items()}))
