"""RDB files: which server can read one, by how it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.drivers import rdb

NINE = b"VALKEY080\xfa\nvalkey-ver\x059.1.2\xfa\nredis-bits\xc0@"
EIGHT = b"REDIS0011\xfa\nvalkey-ver\x058.1.1\xfa\nredis-bits\xc0@"
REDIS = b"REDIS0012\xfa\tredis-ver\x057.4.0"


@pytest.mark.parametrize(
    ("header", "version", "problem"),
    [
        (NINE, "9.1.2", ""),
        (NINE, "8.1", "was written by Valkey 9.1.2, Valkey 8.1 can't read it -> pulumi config set version 9.1"),
        (NINE[:9], "8.1.1", "was written by Valkey 9 or newer, Valkey 8.1.1 can't read it -> pulumi config set"),
        (EIGHT, "8.1.1", ""),
        (EIGHT, "9.1", ""),
        (REDIS, "9.1", "is of RDB version 12"),
        (b"", "9.1", "is not an RDB file"),
    ],
)
def test_a_file_that_a_version_can_not_read(tmp_path: Path, header: bytes, version: str, problem: str) -> None:
    (tmp_path / "dump.rdb").write_bytes(header)
    found = rdb.header_error(tmp_path / "dump.rdb", version)
    assert str(found or "").removeprefix(f"{tmp_path}/dump.rdb ").startswith(problem)
    assert bool(found) is bool(problem)
