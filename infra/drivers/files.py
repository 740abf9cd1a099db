"""Private files that are written atomically, and names for files that are set aside."""

from __future__ import annotations

import itertools
import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically, mode 0600; a crash leaves the previous one."""
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


def unused_timestamp_name(parent: Path, prefix: str = "") -> str:
    """A name with the time, such as damaged-20260101T000000Z, that no file of the folder has, whatever its suffix."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    taken = {entry.stem for entry in parent.glob("*")}
    names = itertools.chain([f"{prefix}{stamp}"], (f"{prefix}{stamp}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)
