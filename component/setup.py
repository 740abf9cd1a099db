"""The build of the distribution: the modules of ../infra, as modules of the package `pulumi_valkey`.

They have another name here, since a program that uses the component may have a folder `infra`, which would hide them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MODULES = Path(__file__).resolve().parent.parent / "infra"

OMITTED = ("__main__.py", "local.py", "policy", "requirements.txt", ".venv", "__pycache__")
"""The program of the project itself, its policies, and what only its own stacks need."""

IMPORT = re.compile(r"^(\s*(?:from|import) )infra\b", re.MULTILINE)


class BuildPackage(build_py):
    """Adds the modules to the package."""

    def run(self) -> None:
        if self.editable_mode or not MODULES.is_dir():
            raise SystemExit("pulumi-valkey is built in a checkout of its repository: pip install ./component")
        package = Path(self.build_lib) / "pulumi_valkey"
        shutil.rmtree(package, ignore_errors=True)  # modules that no longer exist
        shutil.copytree(MODULES, package, ignore=shutil.ignore_patterns(*OMITTED))
        (package / "__init__.py").unlink()  # this package has its own
        for module in package.rglob("*.py"):
            module.write_text(IMPORT.sub(r"\1pulumi_valkey", module.read_text()))
        super().run()


setup(cmdclass={"build_py": BuildPackage})
