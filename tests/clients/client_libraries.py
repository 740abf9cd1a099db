"""The clients, and what each of them can't do: what docs/clients.md and the tests have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
TOPOLOGIES = ("single", "replicated", "cluster")


@dataclass(frozen=True)
class ClientLibrary:
    """
    name: of the library, as it is told to users.
    language: a key of `languages.LANGUAGES`.
    program: the source, under the language's folder.
    package: the library's name in the language's lock file.
    lacks: why the library can't do a topology.
    arguments: of a program that tries several libraries.
    """

    name: str
    language: str
    program: str
    package: str
    lacks: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    @property
    def source(self) -> Path:
        return HERE / self.language / self.program

    @property
    def topologies(self) -> Iterator[str]:
        return (topology for topology in TOPOLOGIES if topology not in self.lacks)


CLIENTS: tuple[ClientLibrary, ...] = (
    ClientLibrary("redis-py", "python", "redis_py.py", "redis"),
    ClientLibrary("valkey-py", "python", "valkey_py.py", "valkey"),
    ClientLibrary("Valkey GLIDE (Python)", "python", "valkey_glide.py", "valkey-glide"),
    ClientLibrary(
        "Celery", "python", "celery_app.py", "celery", {"cluster": "its transport does not support clusters"}
    ),
    ClientLibrary("RQ", "python", "rq_app.py", "rq", {"cluster": "the keys of a job are in different slots"}),
    ClientLibrary(
        "Django's RedisCache",
        "python",
        "django_cache.py",
        "Django",
        {"replicated": "it does not support Sentinel", "cluster": "it does not support clusters"},
    ),
    ClientLibrary("django-valkey", "python", "django_valkey_cache.py", "django-valkey"),
    ClientLibrary("ioredis", "node", "ioredis.js", "ioredis", arguments=("ioredis",)),
    ClientLibrary("iovalkey", "node", "ioredis.js", "iovalkey", arguments=("iovalkey",)),
    ClientLibrary("node-redis", "node", "node_redis.js", "redis"),
    ClientLibrary("BullMQ", "node", "bullmq.js", "bullmq"),
    ClientLibrary("go-redis", "go", "go-redis/main.go", "github.com/redis/go-redis/v9"),
    ClientLibrary("valkey-go", "go", "valkey-go/main.go", "github.com/valkey-io/valkey-go"),
    ClientLibrary("asynq", "go", "asynq/main.go", "github.com/hibiken/asynq"),
    ClientLibrary("Jedis", "java", "Jedis.java", "jedis"),
    ClientLibrary("Lettuce", "java", "Lettuce.java", "lettuce-core"),
    ClientLibrary("redis-rb", "ruby", "redis_rb.rb", "redis"),
    ClientLibrary(
        "Sidekiq", "ruby", "sidekiq_app.rb", "sidekiq", {"cluster": "the keys of a push are in different slots"}
    ),
)
