// One place that knows there are four generations of one library in the shop, and what to do when their Redis goes away.
import Bull from "bull";
import * as v6 from "bullmq";
import * as v4 from "bullmq4";
import * as v5 from "bullmq5";

export const LIBRARIES = { bull: Bull, 4: v4, 5: v5, 6: v6 };

const METRICS = { maxDataPoints: v6.MetricsTime.ONE_HOUR * 2 };

/** A queue to add jobs to. */
export function openQueue({ major, name, prefix }, connection, defaultJobOptions) {
  if (major === "bull") return quietly(new Bull(name, { redis: connection, prefix, defaultJobOptions }), name);
  const streams = { events: { maxLen: 2000 } };
  return quietly(new LIBRARIES[major].Queue(name, { connection, prefix, defaultJobOptions, streams }), name);
}

/** A worker that runs. Bull's have no names. */
export function openWorker({ major, name, prefix, metrics }, connection, processor, [worker, concurrency]) {
  const options = { prefix, ...(metrics && { metrics: METRICS }) };
  if (major === "bull") {
    const queue = quietly(new Bull(name, { redis: connection, ...options }), name);
    // Ends with the queue; until then what goes wrong is an "error" event.
    queue.process("*", concurrency, (job) => processor(job)).catch((error) => noteTrouble(name, error));
    return queue;
  }
  const { Worker } = LIBRARIES[major];
  const made = new Worker(name, (job) => processor(job, LIBRARIES[major]), {
    connection,
    concurrency,
    name: worker,
    ...options,
  });
  return quietly(made, name).on("ready", () => noteHealth(name));
}

/** Everything that is not finished. */
export const unfinished = (major) => [
  ...["waiting", "paused", "delayed"],
  ...(major === "bull" ? [] : ["prioritized", "waiting-children"]),
];

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function connectionOf(url) {
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    host: hostname,
    port: Number(port || 6379),
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(pathname.length > 1 && { db: Number(pathname.slice(1)) }),
    // Back soon after an outage: the demo is for watching.
    retryStrategy: (times) => Math.min(200 * times, 2000),
  };
}

// An outage would otherwise print a line per connection and retry. One per queue says it; the next outage says it again.
const troubled = new Set();
let closing = false;

/** From now on connections break on purpose. */
export function noteClosing() {
  closing = true;
}

export function noteTrouble(queue, error) {
  if (closing || troubled.has(queue)) return;
  troubled.add(queue);
  console.error(`${queue}: ${error?.message || error?.code || error}`);
}

export const noteHealth = (queue) => troubled.delete(queue);

const RETRY_MS = 2000;

/** Things that are done over and over until the shop closes. */
export function createLoops() {
  let stopped = false;
  return {
    stop() {
      stopped = true;
    },
    /** Until it has worked once. */
    async once(name, action) {
      for (let done = false; !done && !stopped; ) {
        try {
          await action();
          done = true;
        } catch (error) {
          noteTrouble(name, error);
          await sleep(RETRY_MS);
        }
      }
    },
    /** For ever; `action` returns how long to wait before the next time. */
    async forever(name, action) {
      while (!stopped) {
        try {
          const pause = await action();
          noteHealth(name);
          await sleep(pause);
        } catch (error) {
          noteTrouble(name, error);
          await sleep(RETRY_MS);
        }
      }
    },
  };
}

export function quietly(emitter, queue) {
  emitter.on("error", (error) => noteTrouble(queue, error));
  return emitter;
}
