import json
import os
import secrets

import redis
from redis.sentinel import Sentinel

# configuration
url, ca = os.environ["VALKEY_URL"], os.environ.get("VALKEY_CA")
nodes = [node.rsplit(":", 1) for node in os.environ.get("VALKEY_SENTINELS", "").split(",") if node]
login = {name: redis.connection.parse_url(url)[name] for name in ("username", "password")}
tls = {"ssl_ca_certs": ca} if ca else {}
if nodes:
    client = Sentinel(nodes, sentinel_kwargs=login, **login).master_for("valkey")
elif os.environ.get("VALKEY_TOPOLOGY") == "cluster":
    client = redis.RedisCluster.from_url(url, **tls)
else:
    client = redis.Redis.from_url(url, **tls)
# end

for number in range(10):
    key, value = f"redis-py:{number}", secrets.token_bytes(16)
    client.set(key, value, ex=60)
    assert client.get(key) == value
pipeline = client.pipeline()
pipeline.delete("{redis-py}")
pipeline.incr("{redis-py}")
assert pipeline.execute()[1:] == [1]
assert client.eval("return ARGV[1]", 1, "redis-py", "script") == b"script"
assert client.info("server")
print(json.dumps({"version": redis.__version__}))
