import json
import os
import secrets

import django
from django.conf import settings
from django.core.cache import cache

# configuration
ca = os.environ.get("VALKEY_CA")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["VALKEY_URL"],
        "OPTIONS": {"ssl_ca_certs": ca} if ca else {},
    }
}
# end

settings.configure(CACHES=CACHES)
key, value = f"django:{secrets.token_hex(4)}", {"price": 9.99}
cache.set(key, value, 60)
assert cache.get(key) == value
assert cache.incr(f"{key}:count", 1) if cache.add(f"{key}:count", 1, 60) else False
assert cache.get_or_set(f"{key}:other", lambda: 7, 60) == 7
assert cache.touch(key, 60)
assert cache.delete(key)
print(json.dumps({"version": django.__version__}))
