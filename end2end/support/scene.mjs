// What stands still: stores and queues in which nothing changes by itself, so that every visit shows the same but for
// times and measurements. Made by the library itself; only what the library cannot break is broken by hand.
import { Oracle } from "./oracle.mjs";
import { direct } from "./entrances.mjs";
import { until } from "./process.mjs";
import { Redis } from "./redis.mjs";
import { ERROR, LOG } from "./stock.mjs";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A name as an application makes it that nobody stops. */
export const LONG = "exports.nightly-customer-statements-with-attachments-for-all-regions-and-legal-entities";

const order = { orderId: "SO-0004711", amount: 12345678901234, currency: "EUR", items: [{ sku: "MUG-BLU-35", n: 2 }] };

/** Where which page of the scene is. */
export const PLACES = {
  orders: "orders.checkout",
  flow: { queue: "fulfilment.flow", job: "parcel-7" },
};

/**
 * Three stores: `redis` with something of everything, `mail` whose settings are wrong for queues, and `locked`, which
 * refuses the password. `nudge` has to be called every few minutes: it keeps each verdict what it is.
 */
export async function scene() {
  const [redis, mail, locked] = await Promise.all([Redis.start(), Redis.start(), Redis.start({ password: "right-one" })]);
  await slowLog(redis);
  await mail.say("CONFIG SET maxmemory 200mb", "CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET slowlog-log-slower-than 10000000");
  const [oracle, legacy, other] = [await Oracle.start(redis), await Oracle.start(redis, 5), await Oracle.start(mail)];
  await orders(oracle);
  await conditions(oracle);
  await flow(oracle);
  await schedules(oracle, redis);
  await legacy.add("legacy.reports", {}, { name: "report", opts: { jobId: "r-1", delay: 2 * DAY } });
  await other.ask("startWorker", "emails.transactional", { workerId: "post", name: "mailer-1" });
  await other.add("emails.transactional", { returns: "250 OK" }, { name: "invoice", opts: { jobId: "mail-1" } });
  await other.ask("waitUntil", "emails.transactional", { state: "completed", count: 1 });
  const nudges = await keeping(oracle, redis);
  const at = await direct({ redis: redis.url, mail: mail.url, locked: locked.urlWith("wrong-one") });
  await settled(at.drover);
  const nudge = async (name) => {
    const oldest = await nudges(name);
    const seen = async () => {
      const { items } = await at.drover.api("/queues");
      const [slow, busy] = ["media.transcode", PLACES.orders].map((name) => items.find((queue) => queue.name === name));
      const { counts } = busy;
      return slow.oldest_waiting === oldest && slow.counts.waiting === 1 && counts.waiting === 120 && counts.active === 2;
    };
    await until("the board to have seen the nudge", seen);
    await settled(at.drover);
  };
  return { at, nudge };
}

/** Two slow commands, and never another one, however busy the machine is. */
async function slowLog(redis) {
  await redis.say("CONFIG SET slowlog-log-slower-than 0");
  await redis.say("ZRANGE bull:orders.checkout:failed 0 -1", "KEYS session:*");
  await redis.say("CONFIG SET slowlog-log-slower-than 10000000");
}

/** Jobs in every state, and a worker that has its hands full. */
async function orders(oracle) {
  const queue = PLACES.orders;
  await oracle.ask("startWorker", queue, { workerId: "till", name: "till-eu-1", concurrency: 2 });
  const failing = { ...order, log: LOG, fail: ERROR };
  await oracle.add(queue, failing, { name: "charge", opts: { jobId: "charge-1", attempts: 2 } });
  // One after the other: their worker has two hands, and what ends last stands first.
  await oracle.ask("waitUntil", queue, { state: "failed", count: 1 });
  await oracle.add(queue, { ...order, unrecoverable: true, fail: "no such customer" }, { name: "refund", opts: { jobId: "refund-9" } });
  await oracle.ask("waitUntil", queue, { state: "failed", count: 2 });
  for (const [before, jobId] of ["charge-2", "charge-3", "charge-4"].entries()) {
    await oracle.add(queue, { ...order, returns: { receipt: "R-77" } }, { name: "charge", opts: { jobId } });
    await oracle.ask("waitUntil", queue, { state: "completed", count: before + 1 });
  }
  await oracle.add(queue, { ...order, hold: true, progress: [40], log: ["asked the bank"] }, { name: "charge", opts: { jobId: "held" } });
  await oracle.ask("waitUntil", queue, { state: "active", count: 1 });
  await oracle.add(queue, { hold: true }, { name: "audit", opts: { jobId: "audit-of-before", removeOnComplete: true } });
  await oracle.ask("waitUntil", queue, { state: "active", count: 2 });
  const timestamp = Date.now() - 20 * MINUTE;
  const waiting = Array.from({ length: 120 }, (_, i) => ({ name: i % 5 ? "charge" : "capture", data: order, opts: { jobId: `order-${1001 + i}`, timestamp } }));
  await oracle.ask("addBulk", queue, { jobs: waiting });
  await oracle.add(queue, order, { name: "charge", opts: { jobId: "first-class", priority: 3 } });
  await oracle.add(queue, order, { name: "remind", opts: { jobId: "later", delay: 2 * HOUR } });
  await oracle.add(queue, order, { name: "remind", opts: { jobId: "much-later", delay: 3 * DAY } });
}

/** A queue in each condition. */
async function conditions(oracle) {
  for (const jobId of ["c-1", "c-2", "c-3"]) {
    await oracle.add("crm.sync", {}, { name: "upsert-contact", opts: { jobId, timestamp: Date.now() - 45 * MINUTE } });
  }
  await oracle.hold("search.reindex", ["in-hand"]);
  await oracle.add("payments.refunds", {}, { name: "refund", opts: { jobId: "p-1", timestamp: Date.now() - 9 * MINUTE } });
  await oracle.ask("pause", "payments.refunds");
  await oracle.add(LONG, {}, { name: "export", opts: { jobId: "e-1", delay: 5 * DAY } });
  await oracle.add("payments.capture-dlq", {}, { name: "capture", opts: { jobId: "d-1", delay: 9 * DAY } });
  await oracle.add("payments.capture", {}, { name: "capture", opts: { jobId: "d-2", delay: 9 * DAY } });
}

/** A parcel that waits for its label; it has been picked. */
async function flow(oracle) {
  await oracle.ask("startWorker", "warehouse.tasks", { workerId: "picker", name: "picker-2" });
  const children = [
    { name: "pick", queueName: "warehouse.tasks", data: { returns: { shelf: "B-12" } }, opts: { jobId: "pick-7" } },
    { name: "label", queueName: "shipping.labels", data: {}, opts: { jobId: "label-7", delay: DAY } },
  ];
  const tree = { name: "ship-order", queueName: PLACES.flow.queue, data: order, opts: { jobId: PLACES.flow.job }, children };
  await oracle.ask("flow", PLACES.flow.queue, { tree });
  await oracle.ask("waitUntil", "warehouse.tasks", { state: "completed", count: 1 });
}

/** Schedules in an order that no day of the year changes: each begins well after the one before. */
async function schedules(oracle, redis) {
  const queue = "reports.scheduled";
  const save = (schedulerId, repeat, template) => oracle.ask("upsertScheduler", queue, { schedulerId, repeat, template });
  const later = (days) => Date.now() + days * DAY;
  await save("stock-levels", { every: 6 * HOUR, startDate: later(1) }, { name: "stock", data: { warehouse: "HAM" } });
  await save("nightly-ledger", { pattern: "0 3 * * *", startDate: later(3) }, { name: "ledger", data: { books: ["EUR", "SEK"] } });
  await save("weekday-digest", { pattern: "30 6 * * 1-5", tz: "Europe/Berlin", startDate: later(10), limit: 12 }, { name: "digest" });
  await save("lost", { every: 12 * HOUR, startDate: later(20) }, { name: "cleanup", data: {} });
  // The library takes care that this does not happen; a full disk or a hand does not.
  const [{ next }] = (await oracle.ask("schedulers", queue)).filter(({ key }) => key === "lost");
  await redis.say(`ZREM bull:${queue}:delayed repeat:lost:${next}`, `DEL bull:${queue}:repeat:lost:${next}`);
}

/**
 * Keeps what is true only for minutes true: `slow` has waited more than one minute and less than five, and something was
 * begun in the queue whose next job waits. Gives since when the slow one has waited.
 */
async function keeping(oracle, redis) {
  let before = "audit-of-before";
  let slow;
  const queue = PLACES.orders;
  // Its worker is there and has its hands full.
  await oracle.hold("media.transcode", ["in-hand-too"]);
  const nudge = async (name) => {
    const jobId = `audit-of-${name}`;
    await oracle.add(queue, { hold: true }, { name: "audit", opts: { jobId, lifo: true, removeOnComplete: true } });
    await oracle.release(queue, before);
    before = jobId;
    const begun = async () => (await oracle.ask("ids", queue, { state: "active" })).includes(jobId);
    await until(`${jobId} to have begun`, begun);
    // A job that has waited for a minute and a half, as the board knows it that has not heard of it. It is there before
    // the last one goes: what is found where nothing waited a moment ago cannot have waited for so long.
    const timestamp = Math.round(Date.now() - 1.5 * MINUTE);
    const transcode = "bull:media.transcode";
    await redis.say(
      `HSET ${transcode}:slow-${name} name transcode-720p data {} opts {} timestamp ${timestamp} delay 0 priority 0`,
      `RPUSH ${transcode}:wait slow-${name}`,
    );
    if (slow) await oracle.ask("remove", "media.transcode", { jobId: slow });
    slow = `slow-${name}`;
    return timestamp;
  };
  await nudge("the-start");
  return nudge;
}

const VERDICTS = {
  [PLACES.orders]: "bad",
  "crm.sync": "bad",
  "media.transcode": "watch",
  "payments.refunds": "paused",
  "search.reindex": "ok",
  "reports.scheduled": "ok",
  [LONG]: "ok",
  "emails.transactional": "ok",
};

/** Until the board has made up its mind: half a minute without a worker is what is the matter with a queue. */
export function settled(drover) {
  return until(
    "the board to have judged",
    async () => {
      const { items } = await drover.api("/queues");
      const is = Object.fromEntries(items.map(({ name, verdict }) => [name, `${verdict.level} ${verdict.rule}`]));
      const differ = Object.entries(VERDICTS).filter(([name, level]) => is[name]?.split(" ")[0] !== level);
      if (differ.length > 0 || is["crm.sync"] !== "bad B1") throw new Error(JSON.stringify(is));
      return true;
    },
    90_000,
    250,
  );
}

/** Whether no store is said to answer slowly: a machine that is busy with something else makes it so for a while. */
export async function calm(drover) {
  const { items } = await drover.api("/stores");
  return items.every(({ verdict }) => verdict.rule !== "R2");
}
