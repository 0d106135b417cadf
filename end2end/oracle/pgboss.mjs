// pg-boss's own word, for integration tests.
//
//   node end2end/oracle/pgboss.mjs --postgres postgres://… --major 9|10|11|12 [--schema pgboss] [--options '{…}']
//
// The protocol is that of oracle.mjs: one JSON object per line on stdin, one answer per line on stdout, matched by `id`.
// What differs between the majors is here and nowhere else: how a handler gets its jobs, how fast a worker polls, and
// which calls take the name of the queue.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Gate, createProcessor } from "./processor.mjs";

for (const level of ["log", "info", "debug", "warn"]) console[level] = console.error;

const PACKAGES = { 9: "pg-boss9", 10: "pg-boss10", 11: "pg-boss11", 12: "pg-boss" };

const { values: args } = parseArgs({
  options: {
    postgres: { type: "string" },
    major: { type: "string", default: "12" },
    schema: { type: "string", default: "pgboss" },
    options: { type: "string", default: "{}" },
  },
});
if (!args.postgres || !Object.hasOwn(PACKAGES, args.major)) {
  console.error("usage: pgboss.mjs --postgres postgres://… --major 9|10|11|12 [--schema pgboss] [--options '{…}']");
  process.exit(2);
}
const major = Number(args.major);
const library = await import(PACKAGES[major]);
const { version } = createRequire(import.meta.url)(`${PACKAGES[major]}/package.json`);
const PgBoss = library.PgBoss ?? library.default;
const boss = new PgBoss({ connectionString: args.postgres, schema: args.schema, max: 4, ...JSON.parse(args.options) });
const errors = [];
boss.on("error", (error) => {
  errors.push(String(error?.message || error));
  console.error(`pg-boss: ${error.message}`);
});

const workers = new Map();
const gate = new Gate();
const processor = createProcessor(
  { keyOf: (job) => job.id, report: () => {}, unrecoverable: (_job, message) => new Error(message) },
  gate,
);

const POLL_MS = 20;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// 9 knows a job by its id alone, and has no queues to be made.
const byName = major >= 10;
const jobOf = (queue, id) => (byName ? boss.getJobById(queue, id) : boss.getJobById(id));

const commands = {
  async createQueue({ queue, options }) {
    if (byName) await boss.createQueue(queue, major === 10 ? { name: queue, ...options } : options);
  },
  async send({ queue, data = {}, options = {} }) {
    return { jobId: await boss.send(queue, data, options) };
  },
  async sendMany({ queue, count, data = {}, options = {} }) {
    const jobs = Array.from({ length: count }, () => ({ name: queue, data, ...options }));
    await (major >= 11 ? boss.insert(queue, jobs) : boss.insert(jobs));
  },
  job: ({ queue, jobId }) => jobOf(queue, jobId),
  async startWorker({ queue, workerId, options = {} }) {
    if (workers.has(workerId)) throw new Error(`worker ${workerId} runs already`);
    const pace = major === 9 ? { newJobCheckInterval: 100 } : { pollingIntervalSeconds: 0.5 };
    const attempt = async (jobs) => {
      const results = [];
      // A batch is held, and fails, as one.
      for (const job of [jobs].flat()) {
        const known = await jobOf(queue, job.id);
        const attemptsMade = known?.retryCount ?? known?.retry_count ?? known?.retrycount ?? 0;
        results.push(await processor({ ...job, attemptsMade }));
      }
      return results[0];
    };
    workers.set(workerId, [queue, await boss.work(queue, { ...pace, ...options }, attempt)]);
  },
  async stopWorker({ workerId }) {
    const [queue, id] = workers.get(workerId) ?? [];
    workers.delete(workerId);
    await boss.offWork(major >= 12 ? queue : { id }, ...(major >= 12 ? [{ id, wait: false }] : []));
  },
  release: ({ jobId }) => ({ released: gate.release(jobId) ? 1 : 0 }),
  async waitUntil({ queue, jobId, state, timeoutMs = 10000 }) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const job = await jobOf(queue, jobId);
      if (job?.state === state) return job;
      if (Date.now() >= deadline) throw new Error(`${jobId} is ${JSON.stringify(job)}, never ${state}`);
      await sleep(POLL_MS);
    }
  },
  // What it said went wrong since it began.
  errors: () => errors,
  // Anything else the library can do, by name.
  call: ({ method, args: given = [] }) => boss[method](...given),
};

const answer = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

async function handle(line) {
  const { id, cmd, ...rest } = JSON.parse(line);
  try {
    if (!Object.hasOwn(commands, cmd)) throw new Error(`unknown command ${cmd}`);
    answer({ id, ok: (await commands[cmd](rest)) ?? null });
  } catch (error) {
    answer({ id, error: String(error?.message || error) });
  }
}

async function end() {
  // A held job would keep it open for ever.
  setTimeout(() => process.exit(0), 1000).unref();
  await boss.stop({ graceful: false, wait: false }).catch(() => {});
  process.exit(0);
}

process.stdout.on("error", () => process.exit(0));
process.on("unhandledRejection", (error) => console.error("unhandled:", error?.message ?? error));
process.on("SIGTERM", end);

await boss.start();
answer({ ready: true, version });
createInterface({ input: process.stdin, terminal: false })
  .on("line", (line) => line.trim() && handle(line))
  .on("close", end);
