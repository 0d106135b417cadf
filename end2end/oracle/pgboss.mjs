// pg-boss's own word, for integration tests.
//
//   node end2end/oracle/pgboss.mjs --postgres postgres://… --major 9|10|11|12 [--schema pgboss] [--options '{…}']
//
// The protocol is that of oracle.mjs: one JSON object per line on stdin, one answer per line on stdout, matched by `id`.
// `send` and `job` speak as pg-boss does; `add`, `counts`, `ids` and `seen` take and give what oracle.mjs does, so that one
// test can ask either. What differs between the majors is here and nowhere else: how a handler gets its jobs, how fast a
// worker polls, which calls take the name of the queue, and what columns are called.
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import pg from "pg";
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

const table = new pg.Pool({ connectionString: args.postgres, max: 2 });
table.on("error", (error) => console.error(`pg: ${error.message}`));
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

const made = new Set();

async function make(queue) {
  if (byName && !made.has(queue) && !(await boss.getQueue(queue))) await commands.createQueue({ queue });
  made.add(queue);
}

/** Sends jobs as BullMQ's options say, to a queue that is made when it is not there. */
async function insert(queue, jobs) {
  await make(queue);
  const all = jobs.map(({ data = {}, opts: { delay, priority, attempts = 1, backoff = 0 } = {} }) => ({
    ...{ id: randomUUID(), name: queue, data, retryLimit: attempts - 1 },
    ...{ retryDelay: Math.floor((backoff.delay ?? backoff) / 1000) },
    ...(priority && { priority }),
    ...(delay && { startAfter: new Date(Date.now() + delay).toISOString() }),
  }));
  await (major >= 11 ? boss.insert(queue, all) : boss.insert(all));
  return all.map((job) => job.id);
}

const column = (name) => (major === 9 ? name.replace("_", "") : name);
const jobs = `"${args.schema.replaceAll('"', "")}".job`;
const later = `${column("start_after")} > now()`;
// The states of oracle.mjs, and the order in which the library takes their jobs or has finished them.
const STATES = {
  waiting: [`state < 'active' and not ${later}`, `priority desc, ${column("created_on")}, id`],
  delayed: [`state < 'active' and ${later}`, `${column("start_after")}, id`],
  active: ["state = 'active'", `${column("started_on")}, id`],
  completed: ["state = 'completed'", `${column("completed_on")}, id`],
  failed: [major === 9 ? "state in ('failed', 'expired')" : "state = 'failed'", `${column("completed_on")}, id`],
  cancelled: ["state = 'cancelled'", `${column("completed_on")}, id`],
};
const listed = async (queue, state) => {
  const [which, order] = STATES[state];
  const { rows } = await table.query(`select id from ${jobs} where name = $1 and ${which} order by ${order}`, [queue]);
  return rows.map((row) => row.id);
};
const countsOf = async (queue) => {
  const sums = Object.entries(STATES).map(([state, [which]]) => `count(*) filter (where ${which})::int as ${state}`);
  return (await table.query(`select ${sums} from ${jobs} where name = $1`, [queue])).rows[0];
};

const commands = {
  add: async ({ queue, ...job }) => ({ jobId: (await insert(queue, [job]))[0] }),
  addBulk: async ({ queue, jobs }) => ({ jobIds: await insert(queue, jobs) }),
  addMany: async ({ queue, count, ...job }) => ({ jobIds: await insert(queue, Array(count).fill(job)) }),
  counts: ({ queue }) => countsOf(queue),
  ids: async ({ queue, state, asc }) => (asc ? await listed(queue, state) : (await listed(queue, state)).reverse()),
  async seen({ queue, jobId }) {
    const job = await jobOf(queue, jobId);
    const field = (name) => job[name.replace(/_(.)/, (_, c) => c.toUpperCase())] ?? job[name] ?? job[column(name)];
    const at = (name) => field(name) && new Date(field(name)).getTime();
    const { id, name, data, priority, output } = job;
    const finished = ["completed", "failed", "expired", "cancelled"].includes(job.state);
    const failed = finished && job.state !== "completed";
    const queued = ["created", "retry"].includes(job.state);
    const ended = finished || job.state === "retry" ? 1 : 0;
    return {
      state: job.state === "expired" ? "failed" : queued ? (at("start_after") > Date.now() ? "delayed" : "waiting") : job.state,
      ...{ id, name, data, priority, timestamp: at("created_on"), processedOn: at("started_on") },
      delay: at("start_after") - at("created_on"),
      finishedOn: finished ? at("completed_on") : undefined,
      attemptsMade: field("retry_count") + ended,
      opts: { attempts: field("retry_limit") + 1 },
      returnvalue: failed ? undefined : output,
      failedReason: output?.message,
      stacktrace: output?.stack ? [output.stack] : [],
    };
  },
  remove: ({ queue, jobId }) => (byName ? boss.deleteJob(queue, jobId) : table.query(`delete from ${jobs} where id = $1`, [jobId])),
  // Every job that no worker has begun; of 9, which knows a queue by its jobs alone, those that wait.
  drain({ queue }) {
    if (major >= 11) return boss.deleteQueuedJobs(queue);
    return major === 10 ? boss.purgeQueue(queue) : table.query(`delete from ${jobs} where name = $1 and ${STATES.waiting[0]}`, [queue]);
  },
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
  async startWorker({ queue, workerId, concurrency = 1, options = {} }) {
    if (workers.has(workerId)) throw new Error(`worker ${workerId} runs already`);
    const pace = major === 9 ? { newJobCheckInterval: 100 } : { pollingIntervalSeconds: 0.5 };
    const attempt = async (jobs) => {
      const results = [];
      // A batch is held, and fails, as one.
      for (const job of [jobs].flat()) {
        const known = await jobOf(queue, job.id);
        const attemptsMade = known?.retryCount ?? known?.retry_count ?? known?.retrycount ?? 0;
        // Neither a log nor progress: there is none.
        const log = () => {};
        results.push(await processor({ ...job, attemptsMade, log }));
      }
      return results[0];
    };
    await make(queue);
    const begun = Array.from({ length: concurrency }, () => boss.work(queue, { ...pace, ...options }, attempt));
    workers.set(workerId, [queue, await Promise.all(begun)]);
  },
  async stopWorker({ workerId }) {
    const [queue, ids] = workers.get(workerId) ?? [];
    workers.delete(workerId);
    for (const id of ids) await boss.offWork(major >= 12 ? queue : { id }, ...(major >= 12 ? [{ id, wait: false }] : []));
  },
  release: ({ jobId, all }) => ({ released: (all ? gate.keys() : [jobId]).filter((id) => gate.release(id)).length }),
  async waitUntil({ queue, jobId, state, count, timeoutMs = 30_000 }) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      if (jobId === undefined) {
        const counts = await countsOf(queue);
        if (counts[state] === count) return counts;
        if (Date.now() >= deadline) throw new Error(`${state} is never ${count}: ${JSON.stringify(counts)}`);
        await sleep(POLL_MS);
        continue;
      }
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
