// What differs between the libraries, and nothing else: how a queue and a worker are made, which states there are, and
// what a few things are called. What a library has not is refused by name, so that a test never takes a gap for a zero.
import { createRequire } from "node:module";

export const PACKAGES = { bull: "bull", 3: "bullmq3", 4: "bullmq4", 5: "bullmq5", 6: "bullmq" };

/** Loads a family's package: its version, and what the commands need of it. */
export async function load(family) {
  const name = PACKAGES[family];
  const library = await import(name);
  const { version } = createRequire(import.meta.url)(`${name}/package.json`);
  return { version, ...(family === "bull" ? bull(library.default) : bullmq(library, Number(family))) };
}

const refuse = (family, what) => () => {
  throw new Error(`${family} has no ${what}`);
};

function bullmq(library, major) {
  const { Queue, Worker, FlowProducer, Job } = library;
  const called = `bullmq ${major}`;
  return {
    called,
    Job,
    // Priorities are a state of their own since v4. Until v5 a paused queue's waiting jobs lie in a list called
    // "paused"; v6 leaves them in "waiting".
    states: [
      ...["waiting", "active", "delayed", "completed", "failed", "waiting-children"],
      ...(major >= 4 ? ["prioritized"] : []),
      ...(major <= 5 ? ["paused"] : []),
    ],
    makeQueue: (name, { connection, prefix, ...opts }) => new Queue(name, { connection, prefix, ...opts }),
    makeFlowProducer: (opts) => new FlowProducer(opts),
    async startWorker(queue, processor, { connection, prefix, concurrency, name, ...opts }) {
      const worker = new Worker(queue, processor, {
        connection,
        prefix,
        concurrency,
        ...(name && { name }),
        ...opts,
      });
      worker.on("error", (error) => console.error(`worker of ${queue}: ${error.message}`));
      await worker.waitUntilReady();
      return worker;
    },
    keyOf: (job) => `${job.prefix}:${job.queueName}:${job.id}`,
    report: (job, progress) => job.updateProgress(progress),
    progressOf: (job) => job.progress,
    // Until v4 a job keeps its priority among its options only.
    priorityOf: (job) => job.priority ?? job.opts.priority,
    unrecoverable: (_job, message) => new library.UnrecoverableError(message),
    remove: (queue, jobId, opts) => queue.remove(jobId, opts),
    drain: (queue, delayed) => queue.drain(delayed),
    async log(queue, job, line, keepLogs) {
      if (major >= 4) return Job.addJobLog(queue, job.id, line, keepLogs);
      if (keepLogs !== undefined) refuse(called, "keepLogs for a single line")();
      return job.log(line);
    },
    schedulers: major >= 5,
    repeatables: major <= 5,
  };
}

function bull(Bull) {
  const called = "bull 4";
  return {
    called,
    Job: Bull.Job,
    states: ["waiting", "active", "delayed", "completed", "failed", "paused"],
    makeQueue: (name, { connection, prefix, ...opts }) => new Bull(name, { redis: connection, prefix, ...opts }),
    makeFlowProducer: refuse(called, "flows"),
    // A worker is a queue object with a handler. `name` has no meaning here: Bull's workers have none.
    async startWorker(queue, processor, { connection, prefix, concurrency, name: _name, ...opts }) {
      const worker = new Bull(queue, { redis: connection, prefix, ...opts });
      worker.on("error", (error) => console.error(`worker of ${queue}: ${error.message}`));
      await worker.isReady();
      // Ends only with the worker, so it is not awaited.
      worker.process("*", concurrency, processor).catch((error) => console.error(`worker of ${queue}: ${error}`));
      while (worker.bclient.status !== "ready") await new Promise((resolve) => setTimeout(resolve, 5));
      return worker;
    },
    keyOf: (job) => `${job.queue.keyPrefix}:${job.queue.name}:${job.id}`,
    report: (job, progress) => job.progress(progress),
    progressOf: (job) => job.progress(),
    priorityOf: (job) => job.opts.priority,
    unrecoverable(job, message) {
      job.discard();
      return new Error(message);
    },
    async remove(queue, jobId) {
      const job = await queue.getJob(jobId);
      if (!job) return 0;
      await job.remove();
      return 1;
    },
    drain(queue, delayed) {
      if (!delayed) refuse(called, "way to drain without the delayed jobs; ask with delayed: true")();
      return queue.empty();
    },
    async log(_queue, job, line, keepLogs) {
      if (keepLogs !== undefined) refuse(called, "keepLogs")();
      return job.log(line);
    },
    schedulers: false,
    repeatables: true,
  };
}
