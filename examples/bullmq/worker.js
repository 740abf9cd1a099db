// Runs the jobs; start as many workers as you need.
const { Worker } = require("bullmq");
const { name, options } = require("./connection");

const worker = new Worker(name, async (job) => `sent to ${job.data.to}`, { ...options, concurrency: 10 });
worker.on("error", (problem) => console.error(problem.message));
process.on("SIGTERM", () => worker.close().then(() => process.exit(0)));
