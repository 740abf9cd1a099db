"""Installation: the version, and the commands that errors print. Nothing of this project is on PyPI."""

from __future__ import annotations

import shlex

OPERATOR_TOOLS = "pip install ./client ./client/ops  # in a checkout of the repository"
"""The command that installs the distribution valkeykit-ops."""


def version() -> str:
    """The installed version of valkeykit, such as `0.1.0`."""
    from importlib import metadata  # takes 40 ms, which `worker --check` does not have

    return metadata.version("valkeykit")


def install_extra(extra: str) -> str:
    """The command that installs what an extra adds.

    It names the packages themselves, which pip finds wherever valkeykit came from.

    Args:
        extra: `cli`, `aws`, `gcp` or `otel`.

    Returns:
        Such as `pip install 'typer>=0.20' 'rich>=14'`.
    """
    from importlib import metadata

    requirements = [entry.partition(";") for entry in metadata.requires("valkeykit") or ()]
    packages = [
        package.strip() for package, _, marker in requirements if f'extra == "{extra}"' in marker.replace("'", '"')
    ]
    return shlex.join(["pip", "install", *packages])
