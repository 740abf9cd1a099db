"""Where the project lies on this machine."""

from __future__ import annotations

from pathlib import Path


def root() -> Path:
    """The folder of Pulumi.yaml: Pulumi runs the program and its providers in infra/ below it."""
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").exists()), here)
