"""Runs the blocks of a documentation page, with a fake provider."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.cloud.config_strategies import Configuration
from harness.project import NO_PIP
from tests.support import checkout

ANSWERS = {"PULUMI_OPTION_YES": "true", "PULUMI_OPTION_SKIP_PREVIEW": "true"}
"""Where the CLI would ask for a confirmation; a page with a preview requests it."""


@dataclass(frozen=True)
class PageRunner:
    root: Path
    variables: Mapping[str, str]

    @classmethod
    def create(cls, folder: Path, plugins: Path, variables: Mapping[str, str]) -> PageRunner:
        """plugins: the folder of the fake provider's executable. variables: for the fake provider."""
        path = os.pathsep.join([str(plugins), os.environ["PATH"]])
        return cls(checkout.copy(folder / "checkout"), {**variables, **NO_PIP, **ANSWERS, "PATH": path})

    def run(self, *blocks: str) -> subprocess.CompletedProcess[str]:
        return checkout.session(self.root, 'eval "$(make -s shell)"\n', *blocks, **self.variables)


def new_stack(name: str, configuration: Configuration) -> str:
    """A block that makes another stack the selected one."""
    keys = [f"pulumi config set --path 'valkey:{key}' '{value}'\n" for key, value in configuration.items()]
    return f"pulumi stack select --create {name}\n" + "".join(keys)
