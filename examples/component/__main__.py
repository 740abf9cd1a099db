"""A cache and a job queue, each with a server of its own."""

import pulumi
from pulumi_valkey import Valkey, ValkeyArgs

cache = Valkey("cache", ValkeyArgs(workload="cache", memory="32mb"))
queue = Valkey("queue", ValkeyArgs(workload="queue", memory="32mb"))

pulumi.export("CACHE_URL", cache.url)
pulumi.export("QUEUE_URL", queue.url)
