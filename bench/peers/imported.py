"""Seconds that `import valkeykit` takes in a fresh interpreter."""

from __future__ import annotations

import json
import time

began = time.perf_counter()
import valkeykit  # noqa: E402, F401

print(json.dumps({"seconds": time.perf_counter() - began}))
