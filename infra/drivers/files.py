"""Files that are whole or not there at all, and that only their owner reads."""

from __future__ import annotations

import itertools
import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically, mode 0600; a crash leaves the old one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def set_aside_name(prefix: str, parent: Path) -> str:
    """A name by the time, such as damaged-20260101T000000Z, that nothing in the folder has yet."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    names = itertools.chain([f"{prefix}{stamp}"], (f"{prefix}{stamp}-{number}" for number in itertools.count(2)))
    return next(name for name in names if not (parent / name).exists())
