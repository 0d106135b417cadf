// The shop's producers: a steady trickle, bursts, a tide, campaigns, flows and schedules. Each is one loop that waits
// for its own last write, so an outage neither piles up work here nor ends in a flood afterwards.
import { LIBRARIES, createLoops, openQueue, quietly, unfinished } from "./library.mjs";
import { chance, int, payloads, pick, shipment } from "./payloads.mjs";

const CAP_CHECK_MS = 3000;
const TIDE_MS = 6 * 60_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const CAMPAIGNS = ["spring-sale", "new-arrivals", "loyalty-points-reminder", "新作のご案内"];

const OPTIONS = {
  "orders.checkout": { attempts: 3, backoff: { type: "fixed", delay: 5000 } },
  "payments.capture": { attempts: 4, backoff: { type: "exponential", delay: 4000 } },
  "emails.transactional": { attempts: 2, backoff: { type: "fixed", delay: 15_000 } },
  "imports.csv": { attempts: 2 },
  "media.transcode": { keepLogs: 100 },
  "webhooks.outbound": { attempts: 4, backoff: { type: "exponential", delay: 3000 } },
};
const defaultsOf = ({ name, keep }) => ({ removeOnComplete: { count: keep }, removeOnFail: { count: keep }, ...OPTIONS[name] });

/** A product that changes several times within some seconds is indexed once. */
const onceAMoment = ({ sku, locale }) => ({ deduplication: { id: `${sku}-${locale}`, ttl: 15_000 } });

/** Options that differ from job to job. */
function optionsOf(name, data) {
  if (name === "search.reindex") return { priority: pick([1, 1, 2, 5, 5, 10, 50]), ...(chance(0.4) && onceAMoment(data)) };
  if (name === "stock.alerts" && chance(0.5)) return { priority: pick([1, 3, 9]) };
  if (name === "payments.capture" && chance(0.05)) return { delay: int(30, 120) * 1000 };
  if (name === "emails.marketing") return { delay: int(MINUTE, 3 * HOUR) };
  return {};
}

export function openProducers(definitions, connection) {
  // Without a queue of unsent commands a write during an outage fails at once instead of waiting in memory.
  const producing = { ...connection, enableOfflineQueue: false };
  const queues = new Map(
    definitions.map((definition) => {
      const queue = openQueue(definition, producing, defaultsOf(definition));
      return [definition.name, { ...definition, queue, room: 0, checked: 0 }];
    }),
  );
  const flows = quietly(new LIBRARIES[6].FlowProducer({ connection: producing }), "fulfilment.flow");
  // A flow does not know the queues' default options; without these its jobs would be kept for ever.
  const queuesOptions = Object.fromEntries(
    definitions.map((definition) => [definition.name, { defaultJobOptions: defaultsOf(definition) }]),
  );
  const loops = createLoops();

  /** How many more jobs the queue may take; asked of Redis now and then, and counted down in between. */
  async function roomOf(entry) {
    if (entry.room <= 0 || Date.now() - entry.checked > CAP_CHECK_MS) {
      const counts = await entry.queue.getJobCounts(...unfinished(entry.major));
      entry.room = entry.cap - Object.values(counts).reduce((sum, count) => sum + count, 0);
      entry.checked = Date.now();
    }
    return entry.room;
  }

  async function produce(name, count, options = optionsOf, ...about) {
    const entry = queues.get(name);
    const size = Math.min(count, await roomOf(entry));
    if (size <= 0) return;
    entry.room -= size;
    const jobs = Array.from({ length: size }, () => payloads[name](...about));
    await entry.queue.addBulk(jobs.map((job) => ({ ...job, opts: options(name, job.data) })));
  }

  async function ship(count) {
    const entry = queues.get("fulfilment.flow");
    for (let made = 0; made < count && (await roomOf(entry)) > 0; made++) {
      entry.room -= 1;
      await flows.add(shipment(), { queuesOptions });
    }
  }

  async function schedule() {
    const { queue, ...definition } = queues.get("reports.daily");
    const opts = { ...defaultsOf(definition), attempts: 2 };
    const every = (id, repeat, data) => queue.upsertJobScheduler(id, repeat, { name: id, data, opts });
    await every("sales-snapshot", { every: 30_000 }, { currency: "EUR", window: "30s" });
    await every("stock-valuation", { pattern: "*/2 * * * *" }, { warehouses: ["HAM", "LYS", "KRK"] });
    await every("nightly-ledger", { pattern: "0 3 * * *", tz: "Europe/Berlin" }, { book: "general", strict: true });
    await every("weekly-cohorts", { pattern: "30 6 * * 1", tz: "Europe/Stockholm" }, { weeks: 12 });
    // Its queue is paused: the run that is due waits, and every later one with it.
    const stock = queues.get("inventory.sync").queue;
    await stock.upsertJobScheduler("full-resync", { every: MINUTE }, { name: "full-resync", data: { warehouses: 3 } });
    // What schedules were called before: they have no id of their own.
    const { queue: alerts } = queues.get("stock.alerts");
    await alerts.add("daily-digest", { to: "buying" }, { repeat: { pattern: "0 7 * * *", tz: "Europe/Berlin" } });
    await alerts.add("recount", {}, { repeat: { every: 45_000 } });
    const { queue: loyalty } = queues.get("loyalty.points");
    await loyalty.add("expire-points", { olderThanDays: 365 }, { repeat: { cron: "15 2 * * *" } });
    await loyalty.add("reconcile", {}, { repeat: { every: MINUTE } });
  }

  /** What holds for a whole queue, whoever works on it. */
  async function limit() {
    for (const { queue, running, limit } of queues.values()) {
      if (running) await queue.setGlobalConcurrency(running);
      if (limit) await queue.setGlobalRateLimit(...limit);
    }
  }

  /** A board with nothing on it says nothing: a first hour in a second. */
  async function seed() {
    await queues.get("inventory.sync").queue.pause();
    await schedule();
    await limit();
    // No second attempt: some of these are to be failures now, not in a minute.
    const once = () => ({ attempts: 1 });
    await Promise.all([
      produce("orders.checkout", 160),
      produce("orders.checkout", 40, once),
      produce("payments.capture", 120, once),
      produce("payments.refunds", 30),
      produce("emails.transactional", 200, once),
      produce("emails.marketing", 1800, () => ({ delay: int(5000, 4 * HOUR) })),
      produce("media.thumbnails", 30),
      produce("media.transcode", 5),
      produce("search.reindex", 90),
      produce("webhooks.outbound", 90, once),
      produce("webhooks.outbound", 60),
      produce("inventory.sync", 38),
      produce("imports.csv", 140),
      produce("notifications.push", 200),
      produce("crm.sync", 70),
      produce("loyalty.points", 30),
      produce("stock.alerts", 40),
      ship(10),
    ]);
  }

  /** A Redis that came back empty has lost every schedule; a schedule an operator removed stays removed. */
  async function seedIfLost() {
    if ((await queues.get("reports.daily").queue.getJobSchedulersCount()) === 0) await seed();
  }

  const steady = ({ name, rate }) =>
    loops.forever(name, async () => {
      await produce(name, 1);
      return Math.min(10_000, (-Math.log(1 - Math.random()) / rate) * 1000);
    });

  function every(name, from, to, make) {
    return loops.forever(name, async () => {
      await make();
      return int(from, to);
    });
  }

  async function run() {
    await loops.once("seed", seed);
    const highTide = () => Date.now() % TIDE_MS < TIDE_MS / 2;
    await Promise.all([
      ...definitions.filter(({ rate }) => rate).map(steady),
      every("search.reindex", 12_000, 20_000, () => produce("search.reindex", int(25, 50))),
      every("notifications.push", 8000, 20_000, () => produce("notifications.push", int(50, 160))),
      every("media.transcode", 35_000, 55_000, () => produce("media.transcode", 1)),
      every("imports.csv", 900, 1100, () => produce("imports.csv", highTide() ? int(3, 6) : Number(chance(0.6)))),
      every("emails.marketing", MINUTE, 2 * MINUTE, () => produce("emails.marketing", 400, undefined, pick(CAMPAIGNS))),
      every("inventory.sync", 8000, 16_000, () => produce("inventory.sync", 1)),
      every("crm.sync", 3000, 9000, () => produce("crm.sync", 1)),
      every("fulfilment.flow", 3000, 5500, () => ship(1)),
      every("reports.daily", 10_000, 10_000, seedIfLost),
    ]);
  }

  async function close() {
    loops.stop();
    await Promise.allSettled([...queues.values()].map(({ queue }) => queue.close()).concat(flows.close()));
  }

  return { run, close };
}
