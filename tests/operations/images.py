"""The test's images under the names of the official ones, which `make upgrade` looks for."""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.docker import IMAGE, NEW, OLD
from infra.drivers.docker.engine import Engine
from infra.targets.docker.planning import image_for

_LOCK = Path(tempfile.gettempdir()) / "valkey-operations-images.lock"


@contextlib.contextmanager
def tagged() -> Iterator[None]:
    """Tag those that aren't there. The last run on this machine removes the tags, so that nothing else starts them."""
    engine = Engine()
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        for version in (OLD, NEW):
            if not engine.inspect("image", image_for(version)):
                engine.docker("tag", f"{IMAGE}:{version}", image_for(version))
        try:
            yield
        finally:
            with contextlib.suppress(BlockingIOError):  # another run uses them
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for version in (OLD, NEW):
                    if _is_own(engine, version):
                        engine.docker("image", "rm", image_for(version))


def _is_own(engine: Engine, version: str) -> bool:
    images = engine.inspect("image", image_for(version), f"{IMAGE}:{version}")
    return len({image["Id"] for image in images}) == 1
