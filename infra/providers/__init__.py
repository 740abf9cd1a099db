"""Dynamic providers: the drivers as Pulumi resources.

The paths of these modules and the names of their classes are part of every stack's state: renaming one breaks `refresh`
and `destroy` of deployed stacks. Providers are pickled by reference, so always the current code runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from valkeykit.errors import ValkeykitError

Props = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")


def without_traceback(method: Callable[P, T]) -> Callable[P, T]:
    """Hide the traceback, which Pulumi prints for a provider's exception, of this project's own errors."""

    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except ValkeykitError:
            sys.tracebacklimit = 0
            raise

    return wrapped
