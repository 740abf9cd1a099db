"""The log writer: copies standard input to a log file of limited size, and rotates it.

A server only appends to its log, and no other process of this project runs between two `pulumi up`. The log writer ends
with the server, when its input ends.
"""

from __future__ import annotations

import logging
import signal
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 5 * 1024**2
OLD_FILES = 3


def main(path: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not Path(path).exists():
        return  # the server was removed before this process was ready
    handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=OLD_FILES, encoding="utf-8", errors="replace")
    for line in sys.stdin:
        handler.emit(logging.makeLogRecord({"msg": line.rstrip("\n")}))


if __name__ == "__main__":
    main(sys.argv[1])
