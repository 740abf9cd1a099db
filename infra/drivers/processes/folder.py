"""Server folders: the layout and the owner of the folder of one server, or of a group with a folder for each server.

valkey.conf  users.acl   the server's configuration
valkey.log   valkey.pid  the server's log and process id
data/                    its working folder: the append-only files and the snapshot
claim.json               the stack that owns the folder; written first, removed last
final-<time>.rdb         the last snapshot, left by `pulumi destroy`
before-<version>-….rdb   a snapshot from before an upgrade, of a docker stack of this name
damaged-<time>/          data that a server could not load, set aside or copied before a repair
backups/<time>/          a backup by `make backup`
node-0/ sentinel-0/ …    the folders of a group's servers
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path

from valkeykit.version_numbers import parse_version

from infra.drivers.files import write_private
from infra.errors import ProvisioningError
from infra.hardening import Topology

FINAL = "final-"
BEFORE = "before-"
DAMAGED = "damaged-"
BACKUPS = "backups"

_KEPT = (f"{FINAL}*", f"{BEFORE}*", f"{DAMAGED}*", BACKUPS)
"""Files that outlive the stack."""

_LEFT = ("valkey.conf", "users.acl", "valkey.log*", "valkey.pid", ".valkey.conf.*", ".users.acl.*", ".claim.json.*")
"""A server's files apart from its data; the hidden ones are left by a killed write."""

_NODES = ("node-[0-9]*", "sentinel-[0-9]*", "scratch")
"""Folders of servers, each like this one."""


@dataclass(frozen=True)
class Ownership:
    """The owner of a folder.

    stack: project/stack.
    resource: the id of the Pulumi resource; a replaced one has another.
    version: the newest Valkey that wrote here.
    restoring: the RDB file that a new server starts with, until it has all of it.
    topology, shards: of a group's folder; neither can change.
    """

    stack: str
    resource: str
    version: str
    restoring: str = ""
    topology: Topology = "single"
    shards: int = 1


@dataclass(frozen=True)
class ServerFolder:
    path: Path

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def config(self) -> Path:
        return self.path / "valkey.conf"

    @property
    def acl(self) -> Path:
        return self.path / "users.acl"

    @property
    def log(self) -> Path:
        return self.path / "valkey.log"

    @property
    def pid(self) -> Path:
        return self.path / "valkey.pid"

    @property
    def snapshot(self) -> Path:
        return self.data / "dump.rdb"

    @property
    def _ownership_file(self) -> Path:
        return self.path / "claim.json"

    def ownership(self) -> Ownership | None:
        """The owner of the folder; None where it has none."""
        try:
            return Ownership(**json.loads(self._ownership_file.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise ProvisioningError(
                f"{self._ownership_file} is damaged, so the owner of this data is unknown",
                fix=f"restore that file, or move {self.path} away",
            ) from None

    def acquire(self, ownership: Ownership) -> None:
        """Create the folder, 0700, and record its owner."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._ownership_file, json.dumps(asdict(ownership), indent=2) + "\n")

    def validation_error(self, ownership: Ownership) -> ProvisioningError | None:
        """Why this owner can't use the folder, or None."""
        if closed := _closed_parent(self.path):
            return ProvisioningError(f"{self.path} can't be used: this user may not enter {closed}", fix=_OTHER)
        if not self.path.exists():
            return _unwritable_parent(self.path)
        if not self.path.is_dir():
            return ProvisioningError(f"{self.path} is a file, not a folder", fix=_OTHER)
        if self.path.stat().st_uid != os.geteuid() or not os.access(self.path, os.W_OK):
            return ProvisioningError(f"{self.path} belongs to another user of this machine", fix=_OTHER)
        if self.data.exists() and not os.access(self.data, os.W_OK):
            return ProvisioningError(f"{self.data} is read-only", fix=f"chmod u+w {self.data}, or mount it writable")
        return self._conflicting_owner(ownership)

    def _conflicting_owner(self, ownership: Ownership) -> ProvisioningError | None:
        present = self.ownership()
        if present is None:
            if foreign := next(self._foreign_files(), None):
                return ProvisioningError(f"{self.path} has files that belong to something else ({foreign})", fix=_OTHER)
        elif present.stack != ownership.stack:
            return ProvisioningError(f"{self.path} belongs to the stack {present.stack}", fix=_OTHER)
        elif (present.topology, present.shards) != (ownership.topology, ownership.shards):
            return ProvisioningError(
                f"{self.path} holds {_describe(present)}, not {_describe(ownership)}, which can't be changed in place",
                fix=f"pulumi config set topology {present.topology}, or make down (it leaves the data for restoreFrom)",
            )
        elif parse_version(present.version) > parse_version(ownership.version):
            return ProvisioningError(
                f"the data in {self.path} was written by Valkey {present.version}; {ownership.version} is older and "
                "may not read it",
                fix=f"install a server of {present.version} or newer",
            )
        return None

    def _foreign_files(self) -> Iterator[str]:
        """Files that no stack of this project leaves; data without a recorded owner is foreign too."""
        for entry in sorted(self.path.iterdir()):
            if _is_one_of(entry, _NODES) and entry.is_dir():
                yield from (f"{entry.name}/{name}" for name in ServerFolder(entry)._foreign_files())
            elif not (_is_one_of(entry, (*_KEPT, *_LEFT)) or (entry == self.data and not any(entry.glob("*")))):
                yield entry.name

    def clear_data(self) -> None:
        """Remove the data."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)

    def release(self, *, keep_snapshot: bool, is_saved: bool = True) -> None:
        """Remove the server's files; keep its snapshot, or all of its data where no snapshot has it."""
        if keep_snapshot and self.data.exists():
            stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
            if is_saved and self.snapshot.exists():
                self.snapshot.replace(self.path / f"{FINAL}{stamp}.rdb")
            elif any(self.data.iterdir()):
                self.data.rename(self.path / f"{FINAL}{stamp}-data")
        shutil.rmtree(self.data, ignore_errors=True)
        if not keep_snapshot:
            for damaged in self.path.glob(f"{DAMAGED}*"):
                shutil.rmtree(damaged)
        for file in (file for pattern in _LEFT for file in self.path.glob(pattern)):
            file.unlink(missing_ok=True)
        self._ownership_file.unlink(missing_ok=True)
        if self.path.exists() and not any(self.path.iterdir()):
            self.path.rmdir()


def _is_one_of(entry: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(entry.name, pattern) for pattern in patterns)


def _describe(ownership: Ownership) -> str:
    return (
        f"a cluster of {ownership.shards} shards"
        if ownership.topology == "cluster"
        else f"a {ownership.topology} deployment"
    )


_OTHER = "pulumi config set dataDir <an empty folder of yours>"


def _closed_parent(path: Path) -> Path | None:
    """The first folder on the way to a path that this user may not enter."""
    return next(
        (folder for folder in reversed(path.parents) if folder.is_dir() and not os.access(folder, os.X_OK)), None
    )


def _unwritable_parent(path: Path) -> ProvisioningError | None:
    parent = next(folder for folder in path.parents if folder.exists())
    if parent.is_dir() and os.access(parent, os.W_OK):
        return None
    return ProvisioningError(f"{path} can't be created: {parent} is not writable", fix=_OTHER)
