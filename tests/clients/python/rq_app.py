import json
import operator
import os
import secrets

import redis
import rq
from redis.sentinel import Sentinel

# configuration
url, ca = os.environ["VALKEY_URL"], os.environ.get("VALKEY_CA")
nodes = [node.rsplit(":", 1) for node in os.environ.get("VALKEY_SENTINELS", "").split(",") if node]
login = {name: redis.connection.parse_url(url)[name] for name in ("username", "password")}
if nodes:
    client = Sentinel(nodes, sentinel_kwargs=login, **login).master_for("valkey")
else:
    client = redis.Redis.from_url(url, **({"ssl_ca_certs": ca} if ca else {}))
queue = rq.Queue(f"rq-{secrets.token_hex(4)}", connection=client)
# end

job = queue.enqueue(operator.add, 2, 3)
rq.Worker([queue], connection=client).work(burst=True, logging_level="WARNING")
assert job.return_value(refresh=True) == 5
print(json.dumps({"version": rq.VERSION}))
