"""Jobs that are added again and again: by a cron expression, or every so many seconds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from valkeykit.errors import InvalidJobError
from valkeykit.queue import cron
from valkeykit.queue.options import Spec, check_word


@dataclass(frozen=True)
class Repeat:
    """A job that any worker adds when it is due. Times that all workers missed are made up for once.

    name: of the repeat; one of the same name takes its place.
    cron: five fields, in `zone`; or `every`: seconds.
    """

    name: str
    spec: Spec
    payload: bytes = field(repr=False)
    cron: str | None
    every: float | None
    zone: str

    def after(self, moment: float) -> float:
        """The next time after `moment`; both are seconds since the epoch."""
        if self.every is not None:
            return (moment // self.every + 1) * self.every
        return cron.parse(self.cron or "", self.zone).after(moment)

    @property
    def plan(self) -> str:
        """As the server keeps it."""
        fields = [self.spec.header, self.payload.decode(), self.cron, self.every, self.zone]
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_plan(cls, name: str, plan: str) -> Repeat:
        """Read what `plan` wrote.

        Raises:
            InvalidJobError: it is something else.
        """
        try:
            header, payload, expression, every, zone = json.loads(plan)
            return cls(name, Spec.from_header(header), payload.encode(), expression, every, zone)
        except (ValueError, TypeError, AttributeError):
            raise InvalidJobError(f"the repeat {name!r} is corrupt on the server", fix="set it again") from None


def repeated(name: str, spec: Spec, payload: bytes, *, cron: str | None, every: float | None, zone: str) -> Repeat:
    """A repeat, checked.

    Raises:
        InvalidJobError: not exactly one of cron and every, or one that can't be used.
    """
    if (cron is None) == (every is None):
        raise InvalidJobError("a repeat needs either cron or every", fix='cron="0 3 * * *" or every=60')
    if every is not None and not 0.1 <= every <= 366 * 86_400:
        raise InvalidJobError(f"every is {every!r}, not a number of seconds from 0.1 to a year", fix="every=60")
    repeat = Repeat(check_word("the repeat's name", name), spec, payload, cron, every, zone)
    repeat.after(0.0)
    return repeat
