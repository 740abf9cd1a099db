"""Dynamic providers: the drivers as resources of Pulumi.

The paths of these modules and the names of their classes are part of every stack's state: renaming one breaks
`refresh` and `destroy` of what is deployed. Providers are pickled by reference, so the code that runs is always
today's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from valkeykit.errors import ValkeykitError

Props = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")


def one_line(method: Callable[P, T]) -> Callable[P, T]:
    """Pulumi prints what a provider raises with its traceback; an operator's mistake deserves one line."""

    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except ValkeykitError:
            sys.tracebacklimit = 0
            raise

    return wrapped
