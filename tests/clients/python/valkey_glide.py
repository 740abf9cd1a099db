import asyncio
import json
import os
import secrets
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urlsplit

import glide

# configuration
url, ca = urlsplit(os.environ["VALKEY_URL"]), os.environ.get("VALKEY_CA")
nodes = os.environ.get("VALKEY_NODES", f"{url.hostname}:{url.port}").split(",")
addresses = [glide.NodeAddress(host, int(port)) for host, port in (node.rsplit(":", 1) for node in nodes)]
login = glide.ServerCredentials(unquote(url.password), unquote(url.username))
tls = glide.TlsAdvancedConfiguration(root_pem_cacerts=Path(ca).read_bytes()) if ca else None
limit = 10_000  # milliseconds: the defaults are 2000 for a connection and 250 for a command
common = {"addresses": addresses, "use_tls": bool(ca), "credentials": login, "request_timeout": limit}
if os.environ.get("VALKEY_TOPOLOGY") == "cluster":
    advanced = glide.AdvancedGlideClusterClientConfiguration(connection_timeout=limit, tls_config=tls)
    settings = glide.GlideClusterClientConfiguration(**common, advanced_config=advanced)
    connect = glide.GlideClusterClient.create(settings)
else:  # asks every node for its role
    advanced = glide.AdvancedGlideClientConfiguration(connection_timeout=limit, tls_config=tls)
    settings = glide.GlideClientConfiguration(**common, advanced_config=advanced)
    connect = glide.GlideClient.create(settings)
# end


async def main() -> None:
    client = await connect
    for number in range(10):
        key, value = f"glide:{number}", secrets.token_bytes(16)
        await client.set(key, value, expiry=glide.ExpirySet(glide.ExpiryType.SEC, 60))
        assert await client.get(key) == value
    assert await client.invoke_script(glide.Script("return ARGV[1]"), keys=["glide"], args=["script"]) == b"script"
    assert await client.info()
    await client.close()


asyncio.run(main())
print(json.dumps({"version": version("valkey-glide")}))
