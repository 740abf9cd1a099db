"""`python -m tools COMMAND --stack NAME`: what the Makefile calls."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from valkeykit.endpoint import Endpoint
from valkeykit.errors import ValkeykitError

from tools import backend, change, export, journal, keycounts, lock, pulumi_cli
from tools.errors import ToolError
from tools.stack import PROJECT, Stack


def main() -> int:
    options = _parse(sys.argv[1:])
    try:
        with _alone(options):
            return int(options.run(options) or 0)
    except ValkeykitError as problem:
        _say(f"error: {problem}")
    except OSError as problem:
        _say(f"error: {problem.strerror}: {problem.filename or options.run.__name__}")
    except KeyboardInterrupt:
        _say("interrupted: the same command again completes it")
    return 1


@contextlib.contextmanager
def _alone(options: argparse.Namespace) -> Iterator[None]:
    """No other command changes the same stack meanwhile."""
    with contextlib.ExitStack() as locks:
        if options.run in _CHANGING and not getattr(options, "dry", False):
            stack = getattr(options, "into", "") or options.stack
            locks.enter_context(lock.exclusive(PROJECT, stack, _command(options)))
        yield


def _command(options: argparse.Namespace) -> str:
    """As the operator gave it."""
    given = {
        "TO": getattr(options, "to", ""),
        **{key.upper(): getattr(options, key, "") for key in (*_SCALES, "into", "node")},
        "FROM": getattr(options, "source", ""),
        "FINISH": "1" if getattr(options, "finish", False) else "",
        "FORCE": "1" if getattr(options, "force", False) else "",
    }
    words = [f"{name}={shlex.quote(value)}" for name, value in given.items() if value]
    return " ".join(["make", options.run.__name__, f"STACK={options.stack}", *words])


def up(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack)
    if options.dry:
        stack.make()
        stack.rehearse()
        return _rehearsed()
    _warn_of_lost_keys(stack)
    if interrupted := change.interrupted(stack):
        _say(f"note: {interrupted}; this completes it")
    changed = change.update(stack)
    recovered = keycounts.recoveries(stack)
    failed = smoke(options)
    for line in recovered:
        _say(f"note: {line}")
    if failed:
        return failed
    _say(_how_to_use(stack.name, Endpoint.from_dict(stack.outputs()["endpoint"]), changed=changed))
    return 0


def down(options: argparse.Namespace) -> None:
    stack = Stack.open(options.stack)
    stack.down()
    export.forget(stack.root, stack.name)
    keycounts.forget(stack.root, stack.name)
    journal.write(stack.root, stack.name, None)
    snapshots = sorted((stack.root / backend.FOLDER / stack.name).glob("final-*"))
    if snapshots:
        _say(f"the last state: {snapshots[-1]}\na new stack can start from it: pulumi config set restoreFrom <file>")


def smoke(options: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "pytest", "tests/smoke", "--stack", options.stack, *_SMOKE_STYLE, *options.pytest]
    command += ["--accept-keys"] if getattr(options, "accept", False) else []
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


def env(options: argparse.Namespace) -> None:
    stack = Stack.open(options.stack)
    variables = stack.outputs()["env"]
    path = export.write(stack.root, stack.name, variables, options.format, options.out)
    print(path)


def rotate(options: argparse.Namespace) -> int:
    """New passwords beside the old; with --finish the old ones end."""
    from tools import rotation

    stack = Stack.open(options.stack)

    def plan() -> Mapping[str, str]:
        if options.finish:
            return rotation.second_step(stack, force=options.force, dry=options.dry)
        return rotation.first_step(stack)

    if failed := _change(options, stack, plan):
        return failed
    if not options.dry and not options.finish:
        _say(
            f"Both passwords are valid. Give every application the new one: make env STACK={stack.name}\n"
            f"Then end the old one: make rotate STACK={stack.name} FINISH=1"
        )
    return 0


def upgrade(options: argparse.Namespace) -> int:
    if not options.to:
        raise ToolError("upgrade to which version?", fix=f"make upgrade STACK={options.stack} TO=9.1")
    return _change(options, Stack.open(options.stack), lambda: {"version": options.to})


def scale(options: argparse.Namespace) -> int:
    wanted = {key: getattr(options, key) for key in _SCALES}
    changes = {key: value for key, value in wanted.items() if value}
    if not changes:
        raise ToolError("scale what?", fix=f"make scale STACK={options.stack} MEMORY=1gb, SHARDS=n or REPLICAS=n")
    return _change(options, Stack.open(options.stack), lambda: changes)


def failover(options: argparse.Namespace) -> int:
    from tools import failover as drills

    stack = Stack.open(options.stack)
    if not options.dry:
        _warn_of_lost_keys(stack)
    for line in drills.rehearse(stack) if options.dry else drills.carry_out(stack):
        print(line)
    if options.dry:
        return _rehearsed()
    change.update(stack)  # the endpoint names the new primaries first
    return smoke(options)


def restore(options: argparse.Namespace) -> int:
    """A backup as a new stack."""
    from tools import restoring

    if not options.into:
        raise ToolError("restore into which new stack?", fix=f"make restore STACK={options.stack} INTO=<name>")
    stack, into = Stack.open(options.stack), Stack.open(options.into)
    dump = restoring.prepare(stack, into, options.source, dry=options.dry)
    _say(f"{into.name}: as {stack.name} is configured, from {dump}")
    if options.dry:
        return _rehearsed()
    options.stack = into.name
    return up(options)


def repair(options: argparse.Namespace) -> int:
    """Repair a damaged node that has no healthy copy."""
    from tools import repair as repairs

    stack = Stack.open(options.stack)
    for line in (repairs.plan if options.dry else repairs.carry_out)(stack, options.node, force=options.force):
        print(line, flush=True)
    return _rehearsed() if options.dry else 0


def card(options: argparse.Namespace) -> None:
    from tools import card as cards

    print(cards.render(Stack.open(options.stack)))


def _change(options: argparse.Namespace, stack: Stack, plan: change.Plan) -> int:
    if options.dry:
        change.rehearse(stack, plan)
        return _rehearsed()
    _warn_of_lost_keys(stack)
    if interrupted := change.interrupted(stack):
        _say(f"note: {interrupted}; this command completes it too")
    change.carry_out(stack, plan, _command(options))
    return smoke(options)


def _warn_of_lost_keys(stack: Stack) -> None:
    if warning := keycounts.before_change(stack):
        _say(f"warning: before this command, {warning}")


def _rehearsed() -> int:
    _say("A rehearsal: nothing was changed. The same command without DRY=1 does it.")
    return 0


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


def policy(options: argparse.Namespace) -> None:
    from tools import policies

    policies.check(Stack.open(options.stack))


def shell(_options: argparse.Namespace) -> None:
    """Print what makes `pulumi` work by hand on this project's stacks."""
    for name, value in backend.environment(PROJECT, pulumi_cli.find()).items():
        if os.environ.get(name) != value:
            print(f"export {name}={shlex.quote(value)}")


_SCALES = ("memory", "shards", "replicas")
_REHEARSED = (up, rotate, upgrade, scale, failover, restore)
_CHANGING = (*_REHEARSED, down, repair)
_SMOKE_STYLE = ("-q", "--no-header", "--tb=no", "-rN", "-p", "no:cacheprovider")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools")
    commands = parser.add_subparsers(required=True)
    for run in (down, smoke, env, backup, drill, card, policy, shell, *_REHEARSED):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run, pytest=[])
        command.add_argument("--stack", default="dev")
        if run is env:
            command.add_argument("--format", default="dotenv")
            command.add_argument("--out", type=Path)
        if run is smoke:
            command.add_argument("--accept", action="store_true", help="take the number of keys for the right one")
            command.add_argument("pytest", nargs="*", help="more options for pytest")
        if run in _REHEARSED:
            command.add_argument("--dry", action="store_true", help="say what would happen, and change nothing")
        if run is rotate:
            command.add_argument("--finish", action="store_true", help="end the passwords before the last rotation")
            command.add_argument("--force", action="store_true", help="though somebody may still use them")
        if run is upgrade:
            command.add_argument("--to", default="")
        if run is scale:
            for key in _SCALES:
                command.add_argument(f"--{key}")
        if run is restore:
            command.add_argument("--into", default="", help="the new stack")
            command.add_argument("--from", dest="source", default="", help="instead of the newest backup")
    _add_repair(commands.add_parser(repair.__name__))
    _add_render(commands.add_parser(render.__name__))
    return parser.parse_args(arguments)


def _add_repair(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=repair)
    command.add_argument("--stack", default="dev")
    command.add_argument("--node", default="", help="the damaged node")
    command.add_argument("--force", action="store_true", help="accept that all of its data are lost")
    command.add_argument("--dry", action="store_true", help="report what is wrong, and change nothing")


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
