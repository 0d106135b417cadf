// Hundreds of queues and a thousand events a second, written in BullMQ's layout: what the library itself could not make
// on a machine that also runs a browser.
import { connect } from "node:net";

const SEED = `
local q, now, waiting, failed = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('HSET', q .. ':meta', 'opts.maxLenEvents', 10000, 'version', 'bullmq:6.7.0')
for id = 1, waiting + failed do
  redis.call('HSET', q .. ':' .. id, 'name', 'send', 'data', '{}', 'opts', '{"attempts":3}', 'timestamp', now, 'delay', 0, 'priority', 0)
  if id <= waiting then redis.call('LPUSH', q .. ':wait', id)
  else redis.call('ZADD', q .. ':failed', now + id, id); redis.call('HSET', q .. ':' .. id, 'failedReason', 'no', 'processedOn', now, 'finishedOn', now) end
end
redis.call('SET', q .. ':id', waiting + failed)
redis.call('XADD', q .. ':events', 'MAXLEN', '~', 10000, '*', 'event', 'drained')`;

// One job's life: five events.
const LIFE = `
local q, now = KEYS[1], ARGV[1]
local id = redis.call('INCR', q .. ':id')
local job = q .. ':' .. id
redis.call('HSET', job, 'name', 'send', 'data', '{}', 'opts', '{}', 'timestamp', now, 'processedOn', now, 'finishedOn', now, 'returnvalue', 'null')
for _, event in ipairs({'added', 'waiting', 'active', 'progress', 'completed'}) do
  redis.call('XADD', q .. ':events', 'MAXLEN', '~', 10000, '*', 'event', event, 'jobId', id, 'name', 'send', 'data', '5', 'prev', 'waiting')
end
redis.call('ZADD', q .. ':completed', now, id)`;

export const EVENTS_IN_A_LIFE = 5;

/** A connection that sends and does not read what it gets. */
export class Herd {
  #socket;

  static async on(redis) {
    const herd = new Herd();
    herd.#socket = connect(redis.port, "127.0.0.1");
    herd.#socket.resume();
    herd.#socket.on("error", () => {});
    await new Promise((resolve) => herd.#socket.once("connect", resolve));
    return herd;
  }

  #send(...parts) {
    this.#socket.write(`*${parts.length}\r\n${parts.map((part) => `$${Buffer.byteLength(String(part))}\r\n${part}\r\n`).join("")}`);
  }

  /** Writes a queue with so many waiting and failed jobs; they were created just now, or so many minutes ago. */
  queue(name, { waiting = 0, failed = 0, minutesAgo = 0 } = {}) {
    this.#send("EVAL", SEED, 1, `bull:${name}`, Date.now() - minutesAgo * 60_000, waiting, failed);
  }

  /** Lets jobs come and go in these queues, one after the other, until the given function says stop. */
  async busy(names, eventsPerSecond, stop) {
    const began = performance.now();
    for (let lives = 0; !stop(); ) {
      const due = ((performance.now() - began) / 1000) * (eventsPerSecond / EVENTS_IN_A_LIFE);
      for (; lives < due; lives++) this.#send("EVAL", LIFE, 1, `bull:${names[lives % names.length]}`, Date.now());
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  end() {
    this.#socket.destroy();
  }
}
