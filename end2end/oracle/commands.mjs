// The oracle's commands, the same for every library and major. Everything is asked of the library itself; Redis is
// never touched directly, or the answers would prove nothing.
import { Redis } from "ioredis";
import { Gate, createProcessor } from "./processor.mjs";

const BULK = 1000;
const POLL_MS = 20;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A client of an application that names its connections itself, whatever the library asks for. */
function named(connection, connectionName) {
  class Own extends Redis {
    duplicate(options) {
      return super.duplicate({ ...options, connectionName });
    }
  }
  return new Own({ ...connection, connectionName, maxRetriesPerRequest: null });
}

export function createCommands(family, { url, prefix: defaultPrefix }) {
  const { Job, states } = family;
  const { port, hostname, username, password, pathname } = new URL(url);
  const connection = {
    host: hostname,
    port: Number(port || 6379),
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(pathname.length > 1 && { db: Number(pathname.slice(1)) }),
  };
  const queues = new Map();
  const flows = new Map();
  const workers = new Map();
  const gate = new Gate();
  const processor = createProcessor(family, gate);

  const noisy = (what, emitter) => emitter.on("error", (error) => console.error(`${what}: ${error.message}`));

  function cached(map, key, make) {
    if (!map.has(key)) map.set(key, make());
    return map.get(key);
  }
  function queueOf({ queue, prefix = defaultPrefix }) {
    if (!queue) throw new Error("queue is missing");
    return cached(queues, `${prefix}:${queue}`, () => {
      const made = family.makeQueue(queue, { connection, prefix });
      noisy(`queue ${queue}`, made);
      return made;
    });
  }
  async function jobOf(request) {
    const job = await queueOf(request).getJob(String(request.jobId));
    if (!job) throw new Error(`no job ${request.jobId}`);
    return job;
  }
  function workerOf({ workerId }) {
    const worker = workers.get(workerId);
    if (!worker) throw new Error(`no worker ${workerId}`);
    return worker;
  }

  const countsOf = (queue) => queue.getJobCounts(...states);
  function mustHave(state) {
    if (!states.includes(state)) throw new Error(`${family.called} has no state ${state}`);
    return state;
  }
  function mustHaveFeature(feature) {
    if (!family[feature]) throw new Error(`${family.called} has no ${feature}`);
  }

  const commands = {
    async add({ name = "job", data = {}, opts, ...at }) {
      // v6 would take it for a plain job without a word.
      if (opts?.repeat) mustHaveFeature("repeatables");
      // A repeatable beyond its limit adds nothing.
      const job = await queueOf(at).add(name, data, opts);
      return { jobId: job && String(job.id) };
    },
    async addBulk({ jobs, ...at }) {
      return { jobIds: (await queueOf(at).addBulk(jobs)).map((job) => String(job.id)) };
    },
    async addMany({ count, name = "job", data = {}, opts, ...at }) {
      const queue = queueOf(at);
      for (let left = count; left > 0; left -= BULK) {
        await queue.addBulk(Array.from({ length: Math.min(BULK, left) }, () => ({ name, data, opts })));
      }
      return { added: count };
    },
    async flow({ tree, prefix = defaultPrefix }) {
      const producer = cached(flows, prefix, () => {
        const made = family.makeFlowProducer({ connection, prefix });
        noisy("flow producer", made);
        return made;
      });
      const plain = ({ job, children = [] }) => ({
        queue: job.queueName,
        jobId: job.id,
        children: children.map(plain),
      });
      return plain(await producer.add(tree));
    },
    async upsertScheduler({ schedulerId, repeat, template, ...at }) {
      mustHaveFeature("schedulers");
      return { jobId: (await queueOf(at).upsertJobScheduler(schedulerId, repeat, template))?.id };
    },
    async removeScheduler({ schedulerId, ...at }) {
      mustHaveFeature("schedulers");
      return queueOf(at).removeJobScheduler(schedulerId);
    },
    async schedulers(at) {
      mustHaveFeature("schedulers");
      return queueOf(at).getJobSchedulers();
    },
    // The schedules of before the schedulers: made by `add` with `opts.repeat`.
    async repeatables(at) {
      mustHaveFeature("repeatables");
      return queueOf(at).getRepeatableJobs();
    },

    counts: (at) => countsOf(queueOf(at)),
    // Where the library keeps a paused queue's waiting jobs apart, "waiting" means those as well, as in its own getJobs.
    async ids({ state, start = 0, end = -1, asc = false, ...at }) {
      const asked = new Set([state].flat().map(mustHave));
      if (asked.has("waiting") && states.includes("paused")) asked.add("paused");
      return queueOf(at).getRanges([...asked], start, end, asc);
    },
    async job(request) {
      const job = await jobOf(request);
      const [state, logs] = await Promise.all([job.getState(), queueOf(request).getJobLogs(job.id)]);
      const { id, name, data, opts, returnvalue, failedReason, stacktrace } = job;
      const { attemptsMade, attemptsStarted, stalledCounter, timestamp, processedOn, finishedOn } = job;
      const { delay, parentKey, parent, processedBy, repeatJobKey, deduplicationId } = job;
      const [progress, priority] = [family.progressOf(job), family.priorityOf(job)];
      return {
        ...{ id, name, data, opts, state, progress, returnvalue, failedReason, stacktrace, logs: logs.logs },
        ...{ attemptsMade, attemptsStarted, stalledCounter, timestamp, processedOn, finishedOn },
        ...{ delay, priority, parentKey, parent, processedBy, repeatJobKey, deduplicationId },
      };
    },
    isPaused: (at) => queueOf(at).isPaused(),
    pause: (at) => queueOf(at).pause(),
    resume: (at) => queueOf(at).resume(),
    drain: async ({ delayed = false, ...at }) => family.drain(queueOf(at), delayed),
    obliterate: ({ force = true, ...at }) => queueOf(at).obliterate({ force }),
    remove: ({ jobId, removeChildren = true, ...at }) => family.remove(queueOf(at), String(jobId), { removeChildren }),
    async setProgress(request) {
      await family.report(await jobOf(request), request.progress);
    },
    async log({ line, keepLogs, ...request }) {
      return family.log(queueOf(request), await jobOf(request), line, keepLogs);
    },
    async waitUntil({ state, count, op = "eq", timeoutMs = 30_000, ...at }) {
      const holds = { eq: (n) => n === count, gte: (n) => n >= count, lte: (n) => n <= count }[op];
      if (!holds) throw new Error(`unknown op ${op}`);
      const queue = queueOf(at);
      const deadline = Date.now() + timeoutMs;
      for (;;) {
        const counts = await countsOf(queue);
        if (!(state in counts)) throw new Error(`unknown state ${state}`);
        if (holds(counts[state])) return counts;
        if (Date.now() >= deadline) {
          throw new Error(`${state} is ${counts[state]}, wanted ${op} ${count}; counts ${JSON.stringify(counts)}`);
        }
        await sleep(POLL_MS);
      }
    },

    async workers(at) {
      const list = await queueOf(at).getWorkers();
      return { count: list.length, names: list.map((worker) => worker.rawname ?? worker.name) };
    },
    async startWorker({ workerId, queue, prefix = defaultPrefix, concurrency = 1, name, ownName, opts }) {
      if (workers.has(workerId)) throw new Error(`worker ${workerId} runs already`);
      // Taken at once: two starts of the same name must not both succeed.
      workers.set(workerId, undefined);
      try {
        const as = ownName ? named(connection, ownName) : connection;
        const given = { connection: as, prefix, concurrency, name, ...opts };
        workers.set(workerId, await family.startWorker(queue, processor, given));
      } catch (error) {
        workers.delete(workerId);
        throw error;
      }
    },
    async stopWorker({ workerId, force = false }) {
      const worker = workerOf({ workerId });
      workers.delete(workerId);
      // By force the locks are no longer renewed and the jobs stay active: to the queue this is a crashed worker.
      await worker.close(force);
    },
    async release({ jobId, all, queue, prefix = defaultPrefix }) {
      const base = `${prefix}:${queue}:`;
      if (!all) return { released: gate.release(base + jobId) ? 1 : 0 };
      // A job is active in Redis a moment before its processor begins; `all` means those as well.
      const active = (await queueOf({ queue, prefix }).getRanges(["active"], 0, -1)).map((id) => base + id);
      const held = gate.keys().filter((key) => key.startsWith(base));
      const keys = new Set([...held, ...active]);
      for (const key of keys) gate.release(key);
      return { released: keys.size };
    },

    // Anything else the library can do, by name, so that a test never has to wait for a new command.
    async call({ method, args = [], ...at }) {
      return plainValue(await queueOf(at)[method](...args));
    },
    async callJob({ method, args = [], ...at }) {
      return plainValue(await (await jobOf(at))[method](...args));
    },
  };

  // Job objects hold their queue and its connection; the id says which one it is.
  function plainValue(value) {
    if (Array.isArray(value)) return value.map(plainValue);
    return value instanceof Job ? { jobId: value.id } : value;
  }

  async function run(request) {
    const { id, cmd, ...rest } = request;
    if (!Object.hasOwn(commands, cmd)) throw new Error(`unknown command ${cmd}`);
    return commands[cmd](rest);
  }

  async function close() {
    // A held job would keep its worker open for ever.
    const byForce = gate.keys().length > 0;
    await Promise.allSettled([...workers.values()].map((worker) => worker?.close(byForce)));
    await Promise.allSettled([...queues.values(), ...flows.values()].map((one) => one.close()));
  }

  return { run, close };
}
