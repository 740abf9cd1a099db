const assert = require("node:assert");
const { randomBytes } = require("node:crypto");
const fs = require("node:fs");
const { createClient, createCluster, createSentinel } = require("redis");

// configuration
const { VALKEY_URL, VALKEY_TOPOLOGY, VALKEY_SENTINELS, VALKEY_CA } = process.env;
const [username, password] = ["username", "password"].map((name) => decodeURIComponent(new URL(VALKEY_URL)[name]));
const socket = VALKEY_CA ? { tls: true, ca: fs.readFileSync(VALKEY_CA) } : {};
const nodes = (list) => list.split(",").map((node) => ({ host: node.split(":")[0], port: Number(node.split(":")[1]) }));
const login = { username, password };
function choose() {
  if (VALKEY_SENTINELS) {
    const sentinels = { sentinelRootNodes: nodes(VALKEY_SENTINELS), sentinelClientOptions: login };
    return createSentinel({ name: "valkey", nodeClientOptions: login, ...sentinels });
  }
  if (VALKEY_TOPOLOGY === "cluster") {
    return createCluster({ rootNodes: [{ url: VALKEY_URL }], defaults: { ...login, socket } });
  }
  return createClient({ url: VALKEY_URL, socket });
}
const client = choose();
// end

async function main() {
  client.on("error", (problem) => console.error(problem.message));
  await client.connect();
  for (let number = 0; number < 10; number++) {
    const value = randomBytes(16).toString("hex");
    await client.set(`node-redis:${number}`, value, { EX: 60 });
    assert.equal(await client.get(`node-redis:${number}`), value);
  }
  const answers = await client.multi().del("{node-redis}").incr("{node-redis}").incr("{node-redis}").exec();
  assert.deepEqual(answers.slice(1), [1, 2]);
  assert.equal(await client.eval("return ARGV[1]", { keys: ["node-redis"], arguments: ["script"] }), "script");
  await client.close();
  console.log(JSON.stringify({ version: require("redis/package.json").version }));
}

main();
