"""The clients, and what each of them can't do: what docs/clients.md and the tests have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
TOPOLOGIES = ("single", "replicated", "cluster")


@dataclass(frozen=True)
class Client:
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


CLIENTS: tuple[Client, ...] = (
    Client("redis-py", "python", "redis_py.py", "redis"),
    Client("valkey-py", "python", "valkey_py.py", "valkey"),
    Client("Valkey GLIDE (Python)", "python", "valkey_glide.py", "valkey-glide"),
    Client("Celery", "python", "celery_app.py", "celery", {"cluster": "its transport knows no cluster"}),
    Client("RQ", "python", "rq_app.py", "rq", {"cluster": "a job's keys lie in different slots"}),
    Client(
        "Django's RedisCache",
        "python",
        "django_cache.py",
        "Django",
        {"replicated": "it asks no Sentinel", "cluster": "it knows no cluster"},
    ),
    Client("django-valkey", "python", "django_valkey_cache.py", "django-valkey"),
    Client("ioredis", "node", "ioredis.js", "ioredis", arguments=("ioredis",)),
    Client("iovalkey", "node", "ioredis.js", "iovalkey", arguments=("iovalkey",)),
    Client("node-redis", "node", "node_redis.js", "redis"),
    Client("BullMQ", "node", "bullmq.js", "bullmq"),
    Client("go-redis", "go", "go-redis/main.go", "github.com/redis/go-redis/v9"),
    Client("valkey-go", "go", "valkey-go/main.go", "github.com/valkey-io/valkey-go"),
    Client("asynq", "go", "asynq/main.go", "github.com/hibiken/asynq"),
    Client("Jedis", "java", "Jedis.java", "jedis"),
    Client("Lettuce", "java", "Lettuce.java", "lettuce-core"),
    Client("redis-rb", "ruby", "redis_rb.rb", "redis"),
    Client("Sidekiq", "ruby", "sidekiq_app.rb", "sidekiq", {"cluster": "the keys of a push lie in different slots"}),
)
