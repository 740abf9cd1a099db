const assert = require("node:assert");
const { randomBytes } = require("node:crypto");
const fs = require("node:fs");

const library = process.argv[2]; // ioredis, or iovalkey, which began as a copy of it
const { Redis } = require(library);

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
    await client.set(`${library}:${number}`, value, "EX", 60);
    assert.equal(await client.get(`${library}:${number}`), value);
  }
  const answers = await client.multi().del(`{${library}}`).incr(`{${library}}`).incr(`{${library}}`).exec();
  assert.deepEqual(answers.slice(1), [[null, 1], [null, 2]]);
  assert.equal(await client.eval("return ARGV[1]", 1, library, "script"), "script");
  await client.quit();
  console.log(JSON.stringify({ version: require(`${library}/package.json`).version }));
}

main();
