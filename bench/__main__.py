"""python -m bench cache|cloud|docker|doctor|migrate|outage|queue|up"""

from __future__ import annotations

import sys

from bench import cache, cloud, docker, doctor, migrate, outage, page, queue, up

BENCHMARKS = {
    "cache": cache.run,
    "cloud": cloud.run,
    "docker": docker.run,
    "doctor": doctor.run,
    "migrate": migrate.run,
    "outage": outage.run,
    "queue": queue.run,
    "up": up.run,
}

if __name__ == "__main__":
    names = sys.argv[1:] or sorted(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(sorted(BENCHMARKS))}")
    for name in names:
        BENCHMARKS[name]()
    if not sys.argv[1:]:
        page.FILE.write_text(page.render(page.read(), page.machine()))
