import json
import os
import secrets
import ssl
import subprocess
import sys
from pathlib import Path

import celery
from redis.connection import parse_url

# configuration
url, ca = os.environ["VALKEY_URL"], os.environ.get("VALKEY_CA")
sentinels = [node for node in os.environ.get("VALKEY_SENTINELS", "").split(",") if node]
login = {name: parse_url(url)[name] for name in ("username", "password")}
tls = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": ca} if ca else None
if sentinels:
    credentials = url.removeprefix("redis://").rpartition("@")[0]
    url = ";".join(f"sentinel://{credentials}@{node}/0" for node in sentinels)
options = {"master_name": "valkey", "sentinel_kwargs": login} if sentinels else {}
app = celery.Celery("celery_app", broker=url, backend=url)
app.conf.update(broker_transport_options=options, result_backend_transport_options=options)
app.conf.update(broker_use_ssl=tls, redis_backend_use_ssl=tls)
# end

app.conf.task_default_queue = os.environ.get("QUEUE", "celery")


@app.task(name="add")
def add(left: int, right: int) -> int:
    return left + right


if __name__ == "__main__":
    app.conf.task_default_queue = os.environ["QUEUE"] = f"celery-{secrets.token_hex(4)}"
    job = add.delay(2, 3)
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "solo", "--loglevel", "warning"]
    with subprocess.Popen(command, cwd=Path(__file__).parent, stdout=sys.stderr) as worker:
        try:
            assert job.get(timeout=60) == 5
        finally:
            worker.terminate()
    print(json.dumps({"version": celery.__version__}))
