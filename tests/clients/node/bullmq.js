const assert = require("node:assert");
const { randomUUID } = require("node:crypto");
const fs = require("node:fs");
const { Queue, QueueEvents, Worker } = require("bullmq");
const { Cluster } = require("ioredis");

// configuration
const { VALKEY_URL, VALKEY_TOPOLOGY, VALKEY_SENTINELS, VALKEY_CA } = process.env;
const url = new URL(VALKEY_URL);
const [username, password] = [url.username, url.password].map(decodeURIComponent);
const login = { username, password, tls: VALKEY_CA && { ca: fs.readFileSync(VALKEY_CA) }, maxRetriesPerRequest: null };
const nodes = (list) => list.split(",").map((node) => ({ host: node.split(":")[0], port: Number(node.split(":")[1]) }));
function connect() {
  if (VALKEY_SENTINELS) {
    const sentinels = { sentinels: nodes(VALKEY_SENTINELS), sentinelUsername: username, sentinelPassword: password };
    return { name: "valkey", ...login, ...sentinels };
  }
  if (VALKEY_TOPOLOGY === "cluster") return new Cluster([VALKEY_URL], { redisOptions: login });
  return { host: url.hostname, port: Number(url.port), ...login };
}
const options = { connection: connect(), prefix: "{bullmq}" }; // the braces keep a queue on one node of a cluster
const queue = new Queue(randomUUID(), options);
// end

async function main() {
  const events = new QueueEvents(queue.name, options);
  await events.waitUntilReady();
  const job = await queue.add("add", { left: 2, right: 3 });
  const worker = new Worker(queue.name, async ({ data }) => data.left + data.right, options);
  assert.equal(await job.waitUntilFinished(events, 60_000), 5);
  await worker.close();
  await events.close();
  await queue.obliterate({ force: true });
  await queue.close();
  console.log(JSON.stringify({ version: require("bullmq/package.json").version }));
  process.exit(0); // a cluster's connection is the caller's to close
}

main();
