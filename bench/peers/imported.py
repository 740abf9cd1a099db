"""Seconds that `import valkeykit` takes in a fresh interpreter."""

from __future__ import annotations

import importlib
import json
import time

began = time.perf_counter()
importlib.import_module("valkeykit")
print(json.dumps({"seconds": time.perf_counter() - began}))
