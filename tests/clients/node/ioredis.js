const assert = require("node:assert");
const { randomBytes } = require("node:crypto");
const fs = require("node:fs");
const { Redis } = require("ioredis");

// configuration
const { VALKEY_URL, VALKEY_TOPOLOGY, VALKEY_SENTINELS, VALKEY_CA } = process.env;
const [username, password] = ["username", "password"].map((name) => decodeURIComponent(new URL(VALKEY_URL)[name]));
const tls = VALKEY_CA && { ca: fs.readFileSync(VALKEY_CA) };
const nodes = (list) => list.split(",").map((node) => ({ host: node.split(":")[0], port: Number(node.split(":")[1]) }));
function connect() {
  if (VALKEY_SENTINELS) {
    const sentinels = { sentinels: nodes(VALKEY_SENTINELS), sentinelUsername: username, sentinelPassword: password };
    return new Redis({ name: "valkey", username, password, ...sentinels });
  }
  if (VALKEY_TOPOLOGY === "cluster") return new Redis.Cluster([VALKEY_URL], { redisOptions: { username, password, tls } });
  return new Redis(VALKEY_URL, tls ? { tls } : {});
}
const client = connect();
// end

async function main() {
  for (let number = 0; number < 10; number++) {
    const value = randomBytes(16).toString("hex");
    await client.set(`ioredis:${number}`, value, "EX", 60);
    assert.equal(await client.get(`ioredis:${number}`), value);
  }
  const answers = await client.multi().del("{ioredis}").incr("{ioredis}").incr("{ioredis}").exec();
  assert.deepEqual(answers.slice(1), [[null, 1], [null, 2]]);
  assert.equal(await client.eval("return ARGV[1]", 1, "ioredis", "script"), "script");
  await client.quit();
  console.log(JSON.stringify({ version: require("ioredis/package.json").version }));
}

main();
