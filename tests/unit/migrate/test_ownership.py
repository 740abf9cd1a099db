"""The keys of the target that a migration may write or delete."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from valkeykit_ops.migrate import glob, preserved
from valkeykit_ops.migrate.options import Scope
from valkeykit_ops.migrate.ownership import KeyOwnership, scratch_prefix
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.state import MigrationState


@pytest.mark.parametrize(
    ("pattern", "name", "matched"),
    [
        (b"*", b"", True), (b"", b"", True), (b"", b"a", False), (b"a*c", b"abbc", True), (b"a*c", b"abbd", False),
        (b"?", b"\n", True), (b"*", b"a\nb", True), (b"a?c", b"ac", False), (b"[a-c]x", b"bx", True),
        (b"[c-a]x", b"bx", True), (b"[^a-c]x", b"bx", False), (b"[^a]", b"b", True), (b"[a", b"a", True),
        (b"[]", b"a", False), (b"[^]", b"a", True), (rb"\*", b"*", True), (rb"\*", b"a", False), (b"a\\", b"a\\", True),
        (rb"[\]]", b"]", True), (b"[a-]", b"b", False), (b"a.c", b"abc", False), (b"\xff*", b"\xff1", True),
    ],
)  # fmt: skip
def test_patterns(pattern: bytes, name: bytes, matched: bool) -> None:
    assert glob.matches(pattern, name) is matched


@pytest.mark.parametrize(
    ("scope", "database", "name"),
    [
        (Scope(match="shop:*"), 0, b"mail:1"),
        (Scope(rename=("a:", "b:")), 0, b"a:1"),
        (Scope(databases=frozenset({3})), 0, b"a"),
    ],
)
def test_a_key_out_of_scope_is_never_written(scope: Scope, database: int, name: bytes) -> None:
    with pytest.raises(UnsafeOperationError):
        KeyOwnership(scope, b"scratch:").check(database, [name])


def test_keys_in_scope_and_incomplete_ones_are_written() -> None:
    KeyOwnership(Scope(match="shop:*"), b"scratch:").check(0, [b"shop:1", b"scratch:shop:2"])
    KeyOwnership(Scope(rename=("a:", "b:")), b"scratch:").check(0, [b"b:1"])
    KeyOwnership(Scope(), b"scratch:").check(7, [b"anything"])


def test_keys_of_other_types_and_the_targets_own_are_not_deleted() -> None:
    ownership = KeyOwnership(Scope(types=frozenset({"hash"})), b"scratch:", frozenset({(0, b"kept")}))
    names = [b"kept", b"string", b"gone", b"hash"]
    assert ownership.deletable(0, names, ["hash", "string", "none", "hash"]) == [b"hash"]
    assert ownership.deletable(1, [b"kept"], ["hash"]) == [b"kept"], "of another database"


def test_preserved_keys_come_back(tmp_path: Path) -> None:
    keys = frozenset({(0, b""), (3, b"a b\n\xff")})
    with contextlib.closing(MigrationState(tmp_path / "state")) as state:
        preserved.save_preserved(state, keys)
    assert preserved.load_preserved(tmp_path / "state") == keys
    assert preserved.load_preserved(tmp_path / "none") == frozenset()


def test_incomplete_keys_of_each_migration_have_names_of_their_own(tmp_path: Path) -> None:
    prefixes = []
    for name in ("one", "one", "two"):
        with contextlib.closing(MigrationState(tmp_path / name)) as state:
            prefixes.append(scratch_prefix(state))
    assert prefixes[0] == prefixes[1] != prefixes[2]
