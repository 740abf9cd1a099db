"""A rendered folder, and the passwords, the CA and the layout that it keeps between two runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from infra import hardening
from infra.drivers import certificates
from infra.drivers.certificates import CertificatePair
from infra.drivers.docker.plan import Secrets
from infra.drivers.files import write_private
from infra.drivers.passwords import new_password
from stackctl.errors import StackError

KEPT_FILE = "kept.json"


@dataclass(frozen=True)
class RenderedFolder:
    """path: 0700, so files inside may be readable for a server's user.

    kept: the values of the last run; empty in a new folder.
    """

    path: Path
    form: str
    kept: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path, form: str) -> RenderedFolder:
        """Open a new folder, or one that this command created.

        Raises:
            StackError: it has other files.
        """
        file = path / KEPT_FILE
        if not file.exists():
            if path.exists() and (not path.is_dir() or any(not _is_partial(entry) for entry in path.iterdir())):
                raise StackError(f"{path} exists and was not created by this command", fix="--out <a new folder>")
            if not path.parent.is_dir():
                raise StackError(f"{path.parent} is not a folder", fix=f"mkdir -p {path.parent}")
            return cls(path, form, {})
        try:
            kept = json.loads(file.read_text())
        except (OSError, ValueError) as problem:
            raise StackError(f"{file} can't be read: {problem}", fix="restore it from a backup") from None
        return cls(path, form, kept)

    def reject_other_layout(self, layout: Mapping[str, object]) -> None:
        """Check that the layout has not changed: servers of another layout would not find their data.

        Raises:
            StackError: it has changed.
        """
        requested = {"form": self.form, **layout}
        for key, value in self.kept.get("shape", requested).items():
            if requested[key] != value:
                raise StackError(f"{self.path} has {key} {value}, not {requested[key]}", fix="--out <a new folder>")

    def secrets(
        self, users: Iterable[hardening.User], names: list[str], layout: Mapping[str, object], version: str = ""
    ) -> Secrets:
        """The kept secrets, with missing and expiring ones replaced; they are saved before they are used."""
        kept_passwords = self.kept.get("passwords", {})
        new = {user.name: new_password() for user in users if user.name not in kept_passwords}
        passwords = {**kept_passwords, **new}
        authority, previous = self._authority()
        leaf = self._leaf(authority, names)
        self.path.mkdir(mode=0o700, exist_ok=True)
        self.path.chmod(0o700)
        kept = {
            "shape": {"form": self.form, **layout},
            "version": version,
            "passwords": passwords,
            "authority": vars(authority),
            "former": previous,
            "leaf": vars(leaf),
        }
        write_private(self.path / KEPT_FILE, json.dumps(kept, indent=1))
        return Secrets(passwords, {}, leaf, authority.certificate + previous)

    def renewed(self, now: Secrets) -> bool:
        """Whether running servers have an older certificate."""
        return bool(self.kept) and self.kept["leaf"]["certificate"] != now.certificate.certificate

    def _leaf(self, authority: CertificatePair, names: list[str]) -> CertificatePair:
        if self.kept and self.kept["authority"]["certificate"] == authority.certificate:
            leaf = CertificatePair(**self.kept["leaf"])
            if not certificates.must_renew(leaf.certificate, names):
                return leaf
        return certificates.issue_certificate(authority, names)

    def _authority(self) -> tuple[CertificatePair, str]:
        """The CA, and the certificate of the previous one."""
        if not self.kept:
            return certificates.create_authority(f"Valkey {self.path.name}"), ""
        pair = CertificatePair(**self.kept["authority"])
        if certificates.expires_at(pair.certificate) - datetime.now(timezone.utc) > certificates.RENEW_AUTHORITY_BEFORE:
            return pair, self.kept["former"]
        return certificates.create_authority(f"Valkey {self.path.name}"), pair.certificate


def _is_partial(entry: Path) -> bool:
    """Whether a killed write of the first file left it."""
    return entry.name.startswith(f".{KEPT_FILE}.")
