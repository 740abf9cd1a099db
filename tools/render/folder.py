"""A rendered folder, and what it must keep: passwords, authority, and what it is for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from infra import hardening
from infra.drivers import certificates
from infra.drivers.certificates import Pair
from infra.drivers.docker.plan import Secrets
from infra.drivers.files import write_private
from infra.providers.credentials import new_password
from tools.errors import ToolError

KEPT = "kept.json"

AUTHORITY_RENEWED = timedelta(days=800)
"""Before its end: longer than a certificate that it signs lives."""


@dataclass(frozen=True)
class Folder:
    """path: 0700, so that what is inside may be readable for a server's user.

    kept: what was written the last time; empty in a new folder.
    """

    path: Path
    form: str
    kept: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path, form: str) -> Folder:
        """A new folder, or one that this command made.

        Raises:
            ToolError: it holds something else.
        """
        file = path / KEPT
        if not file.exists():
            if path.exists() and (not path.is_dir() or any(not _is_partial(entry) for entry in path.iterdir())):
                raise ToolError(f"{path} is there and wasn't made by this command", fix="--out <a new folder>")
            if not path.parent.is_dir():
                raise ToolError(f"{path.parent} is no folder", fix=f"mkdir -p {path.parent}")
            return cls(path, form, {})
        try:
            kept = json.loads(file.read_text())
        except (OSError, ValueError) as problem:
            raise ToolError(f"{file} can't be read: {problem}", fix="bring it back from a backup") from None
        return cls(path, form, kept)

    def refuse_other(self, shape: Mapping[str, object]) -> None:
        """See that the folder is for what it was: other servers would not find their data.

        Raises:
            ToolError: it isn't.
        """
        wanted = {"form": self.form, **shape}
        for key, value in self.kept.get("shape", wanted).items():
            if wanted[key] != value:
                raise ToolError(f"{self.path} is for {key} {value}, not {wanted[key]}", fix="--out <a new folder>")

    def secrets(
        self, users: Iterable[hardening.User], names: list[str], shape: Mapping[str, object], version: str = ""
    ) -> Secrets:
        """What was kept, and new where something is missing or near its end; it is on the disk before it is used."""
        known = self.kept.get("passwords", {})
        passwords = {**known, **{user.name: new_password() for user in users if user.name not in known}}
        authority, former = self._authority()
        leaf = self._leaf(authority, names)
        self.path.mkdir(mode=0o700, exist_ok=True)
        self.path.chmod(0o700)
        kept = {
            "shape": {"form": self.form, **shape},
            "version": version,
            "passwords": passwords,
            "authority": vars(authority),
            "former": former,
            "leaf": vars(leaf),
        }
        write_private(self.path / KEPT, json.dumps(kept, indent=1))
        return Secrets(passwords, {}, leaf, authority.certificate + former)

    def renewed(self, now: Secrets) -> bool:
        """Whether servers that run have another certificate."""
        return bool(self.kept) and self.kept["leaf"]["certificate"] != now.certificate.certificate

    def _leaf(self, authority: Pair, names: list[str]) -> Pair:
        if self.kept and self.kept["authority"]["certificate"] == authority.certificate:
            leaf = Pair(**self.kept["leaf"])
            if not certificates.must_renew(leaf.certificate, names):
                return leaf
        return certificates.issue(authority, names)

    def _authority(self) -> tuple[Pair, str]:
        """It, and the certificate of the one before."""
        if not self.kept:
            return certificates.authority(f"Valkey {self.path.name}"), ""
        pair = Pair(**self.kept["authority"])
        if certificates.ends(pair.certificate) - datetime.now(timezone.utc) > AUTHORITY_RENEWED:
            return pair, self.kept["former"]
        return certificates.authority(f"Valkey {self.path.name}"), pair.certificate


def _is_partial(entry: Path) -> bool:
    """Whether it is what a killed write of the first file left."""
    return entry.name.startswith(f".{KEPT}.")
