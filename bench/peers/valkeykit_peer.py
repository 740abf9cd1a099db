"""Ours, measured by the same script as the peers."""

from __future__ import annotations

import sys

from measure import PAYLOAD, Counter
from valkeykit import Queue, Worker

URL, JOBS, KIND = sys.argv[1], int(sys.argv[2]), sys.argv[3]
COUNTER = Counter(URL, JOBS)
QUEUE = Queue("bench", URL)

if KIND == "async":

    @QUEUE.handler
    async def noop(x: str) -> None:
        COUNTER.count()

else:

    @QUEUE.handler
    def noop(x: str) -> None:
        COUNTER.count()


if __name__ == "__main__":
    QUEUE.check()
    if KIND == "many":
        COUNTER.added(lambda: QUEUE.add_many("noop", ({"x": PAYLOAD} for _ in range(JOBS))) and None)
    else:
        COUNTER.added(lambda: [QUEUE.add("noop", {"x": PAYLOAD}) for _ in range(JOBS)] and None)
    COUNTER.start()
    Worker(QUEUE).run()
