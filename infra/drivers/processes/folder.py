"""The folder of one server, or of several that each have one in it: what lies there, and whose it is.

valkey.conf  users.acl   what the server is told
valkey.log   valkey.pid  what it tells
data/                    its working folder: the append-only files and the snapshot
claim.json               which stack it belongs to; written first, removed last
final-<time>.rdb         what `pulumi destroy` leaves
before-<version>-….rdb   what a docker stack of this name saved before an upgrade
damaged-<time>/          data that a server could not load, set aside or copied before a repair
backups/<time>/          what `make backup` took
node-0/ sentinel-0/ …    where several belong together, a folder of each
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

from infra.drivers.binary import parse_version
from infra.drivers.files import write_private
from infra.errors import ProvisioningError

FINAL = "final-"
BEFORE = "before-"
DAMAGED = "damaged-"
BACKUPS = "backups"

_KEPT = (f"{FINAL}*", f"{BEFORE}*", f"{DAMAGED}*", BACKUPS)
"""What outlives a stack: whatever a command puts into the folder of a stack that may be down."""

_LEFT = ("valkey.conf", "users.acl", "valkey.log*", "valkey.pid", ".valkey.conf.*", ".users.acl.*", ".claim.json.*")
"""What a server has apart from its data; the hidden ones are of a write that was killed."""

_NODES = ("node-[0-9]*", "sentinel-[0-9]*", "scratch")
"""Folders of servers, each like this one."""


@dataclass(frozen=True)
class Claim:
    """Whose folder it is.

    stack: project/stack.
    resource: the id of the Pulumi resource; a replaced one has another.
    version: the newest Valkey that wrote here.
    restoring: the RDB file that a new server starts with, until it has all of it.
    topology, shards: what a folder of several nodes is made for; neither can change.
    """

    stack: str
    resource: str
    version: str
    restoring: str = ""
    topology: str = "single"
    shards: int = 1


@dataclass(frozen=True)
class Folder:
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
    def _claim(self) -> Path:
        return self.path / "claim.json"

    def claim(self) -> Claim | None:
        """Who claimed the folder; None where nobody did."""
        try:
            return Claim(**json.loads(self._claim.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise ProvisioningError(
                f"{self._claim} is damaged, so it can't be told whose data this is",
                fix=f"restore that file, or move {self.path} away",
            ) from None

    def take(self, claim: Claim) -> None:
        """Make the folder, 0700, and put the claim into it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._claim, json.dumps(asdict(claim), indent=2) + "\n")

    def objection(self, claim: Claim) -> ProvisioningError | None:
        """Why the folder can't be had under this claim, or None."""
        if not self.path.exists():
            return _unwritable_parent(self.path)
        if not self.path.is_dir():
            return ProvisioningError(f"{self.path} is a file, not a folder", fix=_OTHER)
        if self.path.stat().st_uid != os.geteuid() or not os.access(self.path, os.W_OK):
            return ProvisioningError(f"{self.path} belongs to another user of this machine", fix=_OTHER)
        if self.data.exists() and not os.access(self.data, os.W_OK):
            return ProvisioningError(f"{self.data} is read-only", fix=f"chmod u+w {self.data}, or mount it writable")
        return self._rival(claim)

    def _rival(self, claim: Claim) -> ProvisioningError | None:
        present = self.claim()
        if present is None:
            if foreign := next(self._foreign(), None):
                return ProvisioningError(f"{self.path} holds files of something else ({foreign})", fix=_OTHER)
        elif present.stack != claim.stack:
            return ProvisioningError(f"{self.path} belongs to the stack {present.stack}", fix=_OTHER)
        elif (present.topology, present.shards) != (claim.topology, claim.shards):
            return ProvisioningError(
                f"{self.path} holds {_shape(present)}, {_shape(claim)} is asked for: that can't be changed in place",
                fix=f"pulumi config set topology {present.topology}, or make down (it leaves the data for restoreFrom)",
            )
        elif parse_version(present.version) > parse_version(claim.version):
            return ProvisioningError(
                f"the data in {self.path} was written by Valkey {present.version}; {claim.version} is older and "
                "may not read it",
                fix=f"install a server of {present.version} or newer",
            )
        return None

    def _foreign(self) -> Iterator[str]:
        """What lies here and no stack of this project can have left; data without a claim is somebody's."""
        for entry in sorted(self.path.iterdir()):
            if _is_one_of(entry, _NODES) and entry.is_dir():
                yield from (f"{entry.name}/{name}" for name in Folder(entry)._foreign())
            elif not (_is_one_of(entry, (*_KEPT, *_LEFT)) or (entry == self.data and not any(entry.glob("*")))):
                yield entry.name

    def empty(self) -> None:
        """Remove the data, so that the next start begins with none."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)

    def retire(self, *, keep_snapshot: bool, is_saved: bool = True) -> None:
        """Remove what the server had; keep its snapshot, or all of its data where that isn't saved in one."""
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
        self._claim.unlink(missing_ok=True)
        if self.path.exists() and not any(self.path.iterdir()):
            self.path.rmdir()


def _is_one_of(entry: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(entry.name, pattern) for pattern in patterns)


def _shape(claim: Claim) -> str:
    return f"a cluster of {claim.shards} shards" if claim.topology == "cluster" else f"a {claim.topology} deployment"


_OTHER = "pulumi config set dataDir <an empty folder of yours>"


def _unwritable_parent(path: Path) -> ProvisioningError | None:
    parent = next(folder for folder in path.parents if folder.exists())
    if parent.is_dir() and os.access(parent, os.W_OK):
        return None
    return ProvisioningError(f"{path} can't be made: {parent} isn't a folder that you may write to", fix=_OTHER)
