"""The command line `stackctl`: `python -m stackctl COMMAND --stack NAME`."""

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

from stackctl import backend, config_change, export, journal, keycounts, lock, pulumi_cli
from stackctl.errors import StackError
from stackctl.stack import PROJECT, Stack


def main() -> int:
    options = _parse(sys.argv[1:])
    try:
        with _locked(options):
            return int(options.run(options) or 0)
    except ValkeykitError as problem:
        _say(f"error: {problem}")
    except OSError as problem:
        _say(f"error: {problem.strerror}: {problem.filename or options.run.__name__}")
    except KeyboardInterrupt:
        _say("interrupted; run the same command again to resume")
    return 1


@contextlib.contextmanager
def _locked(options: argparse.Namespace) -> Iterator[None]:
    """Lock the stack of a command that changes it."""
    with contextlib.ExitStack() as locks:
        if options.run in _CHANGING and not getattr(options, "dry", False):
            stack = getattr(options, "into", "") or options.stack
            locks.enter_context(lock.exclusive(PROJECT, stack, _command(options)))
        yield


def _command(options: argparse.Namespace) -> str:
    """The command line, as the operator typed it."""
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
        stack.create()
        stack.dry_run()
        return _report_dry_run()
    _warn_of_lost_keys(stack)
    if interrupted := config_change.interrupted(stack):
        _say(f"note: {interrupted}; this command completes it")
    changed = config_change.update(stack)
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
        _say(f"the last snapshot: {snapshots[-1]}\na new stack can start from it: pulumi config set restoreFrom <file>")


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
    """Rotate passwords; with --finish, revoke the previous ones."""
    from stackctl.operations import rotation

    stack = Stack.open(options.stack)

    def plan() -> Mapping[str, str]:
        if options.finish:
            return rotation.finish(stack, force=options.force, dry=options.dry)
        return rotation.begin(stack)

    if failed := _change(options, stack, plan):
        return failed
    if not options.dry and not options.finish:
        _say(
            f"Both passwords are valid. Give every application the new one: make env STACK={stack.name}\n"
            f"Then revoke the previous one: make rotate STACK={stack.name} FINISH=1"
        )
    return 0


def upgrade(options: argparse.Namespace) -> int:
    if not options.to:
        raise StackError("TO is required", fix=f"make upgrade STACK={options.stack} TO=9.1")
    return _change(options, Stack.open(options.stack), lambda: {"version": options.to})


def scale(options: argparse.Namespace) -> int:
    changes = {key: value for key in _SCALES if (value := getattr(options, key))}
    if not changes:
        raise StackError("MEMORY, SHARDS or REPLICAS is required", fix=f"make scale STACK={options.stack} MEMORY=1gb")
    return _change(options, Stack.open(options.stack), lambda: changes)


def failover(options: argparse.Namespace) -> int:
    from stackctl.operations import failover as drills

    stack = Stack.open(options.stack)
    if not options.dry:
        _warn_of_lost_keys(stack)
    for line in drills.preview(stack) if options.dry else drills.run(stack):
        print(line)
    if options.dry:
        return _report_dry_run()
    config_change.update(stack)  # the endpoint lists the new primaries first
    return smoke(options)


def restore(options: argparse.Namespace) -> int:
    """Restore a backup into a new stack."""
    from stackctl.operations import restore as restores

    if not options.into:
        raise StackError("INTO is required", fix=f"make restore STACK={options.stack} INTO=<new stack>")
    stack, into = Stack.open(options.stack), Stack.open(options.into)
    dump = restores.prepare(stack, into, options.source, dry=options.dry)
    _say(f"{into.name}: with the configuration of {stack.name}, from {dump}")
    if options.dry:
        return _report_dry_run()
    options.stack = into.name
    return up(options)


def repair(options: argparse.Namespace) -> int:
    """Repair a damaged node that has no healthy copy."""
    from stackctl.operations import repair as repairs

    stack = Stack.open(options.stack)
    for line in (repairs.preview if options.dry else repairs.run)(stack, options.node, force=options.force):
        print(line, flush=True)
    return _report_dry_run() if options.dry else 0


def card(options: argparse.Namespace) -> None:
    from stackctl.operations import card as cards

    print(cards.render(Stack.open(options.stack)))


def _change(options: argparse.Namespace, stack: Stack, plan: config_change.PlanChange) -> int:
    if options.dry:
        config_change.preview(stack, plan)
        return _report_dry_run()
    _warn_of_lost_keys(stack)
    if interrupted := config_change.interrupted(stack):
        _say(f"note: {interrupted}; this command completes it too")
    config_change.apply(stack, plan, _command(options))
    return smoke(options)


def _warn_of_lost_keys(stack: Stack) -> None:
    if warning := keycounts.before_change(stack):
        _say(f"warning: before this command, {warning}")


def _report_dry_run() -> int:
    _say("Dry run: nothing was changed. Run the same command without DRY=1 to apply it.")
    return 0


def backup(options: argparse.Namespace) -> None:
    from stackctl.operations import backup as backups

    print(backups.take(Stack.open(options.stack)))


def drill(options: argparse.Namespace) -> None:
    from stackctl.operations import backup as backups

    for line in backups.verify(Stack.open(options.stack)):
        print(line)


def render(options: argparse.Namespace) -> None:
    from stackctl import render as rendering  # loads pydantic and cryptography, which nothing else here needs

    _say(rendering.render(options.form, options.out, options.set))


def policy(options: argparse.Namespace) -> None:
    from stackctl.operations import policies

    policies.check(Stack.open(options.stack))


def shell(_options: argparse.Namespace) -> None:
    """Print exports with which `pulumi` works on this project's stacks."""
    for name, value in backend.environment(PROJECT, pulumi_cli.find()).items():
        if os.environ.get(name) != value:
            print(f"export {name}={shlex.quote(value)}")


_SCALES = ("memory", "shards", "replicas")
_HAVE_DRY_RUN = (up, rotate, upgrade, scale, failover, restore)
_CHANGING = (*_HAVE_DRY_RUN, down, repair)
_SMOKE_STYLE = ("-q", "--no-header", "--tb=no", "-rN", "-p", "no:cacheprovider")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stackctl")
    commands = parser.add_subparsers(required=True)
    for run in (down, smoke, env, backup, drill, card, policy, shell, *_HAVE_DRY_RUN):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run, pytest=[])
        command.add_argument("--stack", default="dev")
        if run is env:
            command.add_argument("--format", default="dotenv")
            command.add_argument("--out", type=Path)
        if run is smoke:
            command.add_argument("--accept", action="store_true", help="accept the current number of keys")
            command.add_argument("pytest", nargs="*", help="more options for pytest")
        if run in _HAVE_DRY_RUN:
            command.add_argument("--dry", action="store_true", help="preview only; change nothing")
        if run is rotate:
            command.add_argument("--finish", action="store_true", help="revoke the passwords before the last rotation")
            command.add_argument("--force", action="store_true", help="even if clients may still use them")
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
    command.add_argument("--force", action="store_true", help="accept the loss of all of its data")
    command.add_argument("--dry", action="store_true", help="report only; change nothing")


def _add_render(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=render)
    command.add_argument("--for", dest="form", choices=("compose", "native"), required=True)
    command.add_argument("--out", type=Path, required=True, help="a new folder, or one that this command created")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for pulumi config set")


def _how_to_use(stack: str, endpoint: Endpoint, *, changed: bool) -> str:
    node = endpoint.nodes[0]
    return f"""
{"Ready" if changed else "Nothing changed"}: Valkey {endpoint.version} ({endpoint.target}, {endpoint.workload}) at \
{node.host}:{node.port}, every smoke check passed.

  write its URL to a file         make env STACK={stack}            (FORMAT=dotenv|shell|json|k8s)
  use it in a shell               set -a; . "$(make -s env STACK={stack})"; set +a
  use it in Python                valkeykit.connect()          reads VALKEY_URL, as any Redis client can
  use pulumi directly             eval "$(make -s shell)"
  destroy the stack               make down STACK={stack}
"""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
