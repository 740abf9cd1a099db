import json
import os
import secrets

import valkey
from valkey.sentinel import Sentinel

# configuration
url, ca = os.environ["VALKEY_URL"], os.environ.get("VALKEY_CA")
nodes = [node.rsplit(":", 1) for node in os.environ.get("VALKEY_SENTINELS", "").split(",") if node]
login = {name: valkey.connection.parse_url(url)[name] for name in ("username", "password")}
tls = {"ssl_ca_certs": ca} if ca else {}
if nodes:
    client = Sentinel(nodes, sentinel_kwargs=login, **login).master_for("valkey")
elif os.environ.get("VALKEY_TOPOLOGY") == "cluster":
    client = valkey.ValkeyCluster.from_url(url, **tls)
else:
    client = valkey.Valkey.from_url(url, **tls)
# end

for number in range(10):
    key, value = f"valkey-py:{number}", secrets.token_bytes(16)
    client.set(key, value, ex=60)
    assert client.get(key) == value
pipeline = client.pipeline()
pipeline.delete("{valkey-py}")
pipeline.incr("{valkey-py}")
assert pipeline.execute()[1:] == [1]
assert client.eval("return ARGV[1]", 1, "valkey-py", "script") == b"script"
assert client.info("server")
print(json.dumps({"version": valkey.__version__}))
