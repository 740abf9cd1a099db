import json
import os
import secrets
from importlib.metadata import version
from urllib.parse import urlencode

from django.conf import settings
from django.core.cache import cache
from valkey.connection import parse_url

# configuration
url, ca = os.environ["VALKEY_URL"], os.environ.get("VALKEY_CA")
nodes = [node.rsplit(":", 1) for node in os.environ.get("VALKEY_SENTINELS", "").split(",") if node]
cluster = os.environ.get("VALKEY_TOPOLOGY") == "cluster"
default = {
    "BACKEND": f"django_valkey.{'cluster_cache.cache.ClusterValkeyCache' if cluster else 'cache.ValkeyCache'}",
    "LOCATION": f"{url}?{urlencode({'ssl_ca_certs': ca})}" if ca else url,
    "OPTIONS": {},
}
if nodes:
    login = {name: parse_url(url)[name] for name in ("username", "password")}
    sentinel = {"CONNECTION_FACTORY": "django_valkey.pool.SentinelConnectionFactory", "SENTINELS": nodes}
    default["OPTIONS"] = {**sentinel, "SENTINEL_KWARGS": login, "CONNECTION_POOL_KWARGS": login}
    default["LOCATION"] = "valkey://valkey/0"
CACHES = {"default": default}
# end

settings.configure(CACHES=CACHES)
key, value = f"django-valkey:{secrets.token_hex(4)}", {"price": 9.99}
cache.set(key, value, 60)
assert cache.get(key) == value
assert cache.add(f"{key}:count", 1, 60)
assert cache.incr(f"{key}:count") == 2
assert cache.delete(key)
print(json.dumps({"version": version("django-valkey")}))
