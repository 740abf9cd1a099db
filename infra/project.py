"""The project's root folder on this machine."""

from __future__ import annotations

from pathlib import Path


def root() -> Path:
    """The folder of Pulumi.yaml; Pulumi runs the program and its providers in infra/ below it."""
    current = Path.cwd().resolve()
    return next((folder for folder in (current, *current.parents) if (folder / "Pulumi.yaml").exists()), current)
