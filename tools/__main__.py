"""`python -m tools COMMAND --stack NAME`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from valkeykit.endpoint import Endpoint
from valkeykit.errors import ValkeykitError

from tools import backend, export, pulumi_cli
from tools.stack import PROJECT, Stack


def main() -> int:
    options = _parse(sys.argv[1:])
    try:
        return int(options.run(options) or 0)
    except ValkeykitError as problem:
        _say(f"error: {problem}")
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on where this one stopped")
    return 1


def up(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    changed = stack.up()
    if failed := smoke(options):
        return failed
    _say(_how_to_use(stack.name, Endpoint.from_dict(stack.outputs()["endpoint"]), changed=changed))
    return 0


def down(options: argparse.Namespace) -> None:
    stack = Stack.open(options.stack)
    stack.down()
    export.forget(stack.root, stack.name)
    snapshots = sorted((stack.root / backend.FOLDER / stack.name).glob("final-*"))
    if snapshots:
        _say(f"the last state: {snapshots[-1]}\na new stack can start from it: pulumi config set restoreFrom <file>")


def smoke(options: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "pytest", "tests/smoke", "--stack", options.stack, *_SMOKE_STYLE, *options.pytest]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


def env(options: argparse.Namespace) -> None:
    stack = Stack.open(options.stack)
    variables = stack.outputs()["env"]
    path = export.write(stack.root, stack.name, variables, options.format, options.out)
    print(path)


def backup(options: argparse.Namespace) -> None:
    from tools import backup as backups

    print(backups.take(Stack.open(options.stack)))


def drill(options: argparse.Namespace) -> None:
    from tools import backup as backups

    for line in backups.rehearse(Stack.open(options.stack)):
        print(line)


def render(options: argparse.Namespace) -> None:
    from tools import render as rendering  # loads Pulumi, which nothing else here needs

    _say(rendering.render(options.form, options.out, options.set))


def shell(_options: argparse.Namespace) -> None:
    """Print what makes `pulumi` work by hand on this project's stacks."""
    for name, value in backend.environment(PROJECT, pulumi_cli.find()).items():
        if os.environ.get(name) != value:
            print(f"export {name}={shlex.quote(value)}")


_SMOKE_STYLE = ("-q", "--no-header", "--tb=no", "-rN", "-p", "no:cacheprovider")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools")
    commands = parser.add_subparsers(required=True)
    for run in (up, down, smoke, env, backup, drill, shell):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run, pytest=[])
        command.add_argument("--stack", default="dev")
        if run is env:
            command.add_argument("--format", default="dotenv")
            command.add_argument("--out", type=Path)
        if run is smoke:
            command.add_argument("pytest", nargs="*", help="more options for pytest")
    _add_render(commands.add_parser(render.__name__))
    return parser.parse_args(arguments)


def _add_render(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=render)
    command.add_argument("--for", dest="form", choices=("compose", "native"), required=True)
    command.add_argument("--out", type=Path, required=True, help="a folder, new or one that this made")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for pulumi config set")


def _how_to_use(stack: str, endpoint: Endpoint, *, changed: bool) -> str:
    node = endpoint.nodes[0]
    return f"""
{"Ready" if changed else "Nothing changed"}: Valkey {endpoint.version} ({endpoint.target}, {endpoint.workload}) at \
{node.host}:{node.port}, every smoke check passed.

  its URL, in a file of yours     make env STACK={stack}            (FORMAT=dotenv|shell|json|k8s)
  in a shell                      set -a; . "$(make -s env STACK={stack})"; set +a
  in Python                       valkeykit.connect()          reads VALKEY_URL, as any Redis client can
  pulumi by hand                  eval "$(make -s shell)"
  take it down                    make down STACK={stack}
"""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
