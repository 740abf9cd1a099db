// POST /mails?to=… adds a job, GET /mails/<id> returns its state, GET /health is for the platform's probe.
const http = require("node:http");
const { Queue } = require("bullmq");
const { name, options } = require("./connection");

const queue = new Queue(name, { ...options, defaultJobOptions: { attempts: 5, backoff: { type: "exponential", delay: 1000 } } });
queue.on("error", (problem) => console.error(problem.message)); // it connects again by itself

const HEALTH_MILLISECONDS = 2000;

async function answer(request, url) {
  if (request.method === "POST" && url.pathname === "/mails") {
    const job = await queue.add("send", { to: url.searchParams.get("to") });
    return [202, { id: job.id }];
  }
  if (url.pathname.startsWith("/mails/")) {
    const job = await queue.getJob(url.pathname.slice("/mails/".length));
    return job ? [200, { state: await job.getState(), result: job.returnvalue }] : [404, {}];
  }
  if (url.pathname === "/health") {
    const late = new Promise((_, refuse) => setTimeout(refuse, HEALTH_MILLISECONDS, new Error("Valkey doesn't answer")));
    return [200, await Promise.race([queue.getJobCounts("waiting", "failed"), late])];
  }
  return [404, {}];
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  const [status, body] = await answer(request, url).catch((problem) => [503, { problem: problem.message }]);
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
});

server.listen(process.env.PORT || 3000);
process.on("SIGTERM", () => server.close(() => queue.close().then(() => process.exit(0))));
