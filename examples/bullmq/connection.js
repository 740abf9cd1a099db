// Connects to Valkey with the variables of `make env`.
const fs = require("node:fs");
const { Cluster } = require("ioredis");

const { VALKEY_URL, VALKEY_TOPOLOGY, VALKEY_SENTINELS, VALKEY_CA } = process.env;

function connection() {
  const url = new URL(VALKEY_URL);
  const [username, password] = [url.username, url.password].map(decodeURIComponent);
  const tls = VALKEY_CA && { ca: fs.readFileSync(VALKEY_CA) };
  const login = { username, password, tls, maxRetriesPerRequest: null };
  if (VALKEY_SENTINELS) {
    const sentinels = VALKEY_SENTINELS.split(",").map((node) => {
      const [host, port] = node.split(":");
      return { host, port: Number(port) };
    });
    return { name: "valkey", sentinels, sentinelUsername: username, sentinelPassword: password, ...login };
  }
  if (VALKEY_TOPOLOGY === "cluster") return new Cluster([VALKEY_URL], { redisOptions: login });
  return { host: url.hostname, port: Number(url.port), ...login };
}

// The braces are a hash tag, which keeps a queue on one node of a cluster.
module.exports = { name: "mails", options: { connection: connection(), prefix: "{shop}" } };
