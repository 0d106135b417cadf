// Bee-Queue's own word, for tests of what Drover makes of a library that it does not support.
//
//   node end2end/oracle/beequeue.mjs --redis redis://127.0.0.1:6379
//
// One JSON object per line on stdin, one answer per line on stdout, as oracle.mjs does.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import Queue from "bee-queue";

const { values: args } = parseArgs({ options: { redis: { type: "string" } } });
const queues = new Map();

function at(name) {
  if (!queues.has(name)) queues.set(name, new Queue(name, { redis: args.redis, activateDelayedJobs: true }));
  return queues.get(name);
}

const commands = {
  async add(queue, { count, delayed }) {
    for (let n = 0; n < count; n++) {
      const job = at(queue).createJob({ n });
      await (delayed ? job.delayUntil(Date.now() + 3_600_000) : job).save();
    }
  },
  /** Does all that waits; every third job fails. */
  async work(queue, { count }) {
    let left = count;
    await new Promise((resolve) => {
      const ended = () => --left === 0 && resolve();
      at(queue).on("succeeded", ended).on("failed", ended);
      at(queue).process(async ({ data }) => {
        if (data.n % 3 === 0) throw new Error("no");
      });
    });
  },
  counts: (queue) => at(queue).checkHealth(),
};

const answer = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const { version } = createRequire(import.meta.url)("bee-queue/package.json");
answer({ ready: true, version });
createInterface({ input: process.stdin, terminal: false })
  .on("line", async (line) => {
    const { id, cmd, queue, ...given } = JSON.parse(line);
    try {
      answer({ id, ok: (await commands[cmd](queue, given)) ?? null });
    } catch (error) {
      answer({ id, error: String(error?.message ?? error) });
    }
  })
  .on("close", () => process.exit(0));
