// The shop's producers: a steady trickle, bursts, a tide, campaigns, flows and schedules. Each is one loop that waits
// for its own last write, so an outage neither piles up work here nor ends in a flood afterwards.
import { LIBRARIES, noteHealth, noteTrouble, quietly, sleep } from "./library.mjs";
import { chance, int, payloads, pick, shipment } from "./payloads.mjs";

const CAP_CHECK_MS = 3000;
const RETRY_MS = 2000;
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

/** Options that differ from job to job. */
function optionsOf(name) {
  if (name === "search.reindex") return { priority: pick([1, 1, 2, 5, 5, 10, 50]) };
  if (name === "payments.capture" && chance(0.05)) return { delay: int(30, 120) * 1000 };
  if (name === "emails.marketing") return { delay: int(MINUTE, 3 * HOUR) };
  return {};
}

export function openProducers(definitions, connection) {
  // Without a queue of unsent commands a write during an outage fails at once instead of waiting in memory.
  const producing = { ...connection, enableOfflineQueue: false };
  const queues = new Map(
    definitions.map((definition) => {
      const { name, major, prefix } = definition;
      const queue = new LIBRARIES[major].Queue(name, {
        connection: producing,
        prefix,
        defaultJobOptions: defaultsOf(definition),
        streams: { events: { maxLen: 2000 } },
      });
      return [name, { ...definition, queue: quietly(queue, name), room: 0, checked: 0 }];
    }),
  );
  const flows = quietly(new LIBRARIES[6].FlowProducer({ connection: producing }), "fulfilment.flow");
  // A flow does not know the queues' default options; without these its jobs would be kept for ever.
  const queuesOptions = Object.fromEntries(
    definitions.map((definition) => [definition.name, { defaultJobOptions: defaultsOf(definition) }]),
  );
  let stopped = false;

  /** How many more jobs the queue may take; asked of Redis now and then, and counted down in between. */
  async function roomOf(entry) {
    if (entry.room <= 0 || Date.now() - entry.checked > CAP_CHECK_MS) {
      const counts = await entry.queue.getJobCounts("waiting", "paused", "prioritized", "delayed", "waiting-children");
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
    await entry.queue.addBulk(Array.from({ length: size }, () => ({ ...payloads[name](...about), opts: options(name) })));
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
  }

  /** Runs `once` for ever; it returns how long to wait before the next time. */
  async function loop(name, once) {
    while (!stopped) {
      try {
        const pause = await once();
        noteHealth(name);
        await sleep(pause);
      } catch (error) {
        noteTrouble(name, error);
        await sleep(RETRY_MS);
      }
    }
  }

  /** A board with nothing on it says nothing: a first hour in a second. */
  async function seed() {
    await queues.get("inventory.sync").queue.pause();
    await schedule();
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
      ship(10),
    ]);
  }

  /** A Redis that came back empty has lost every schedule; a schedule an operator removed stays removed. */
  async function seedIfLost() {
    if ((await queues.get("reports.daily").queue.getJobSchedulersCount()) === 0) await seed();
  }

  const steady = ({ name, rate }) =>
    loop(name, async () => {
      await produce(name, 1);
      return Math.min(10_000, (-Math.log(1 - Math.random()) / rate) * 1000);
    });

  function every(name, from, to, make) {
    return loop(name, async () => {
      await make();
      return int(from, to);
    });
  }

  async function run() {
    let seeded = false;
    while (!seeded && !stopped) {
      try {
        await seed();
        seeded = true;
      } catch (error) {
        noteTrouble("seed", error);
        await sleep(RETRY_MS);
      }
    }
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
    stopped = true;
    await Promise.allSettled([...queues.values()].map(({ queue }) => queue.close()).concat(flows.close()));
  }

  return { run, close };
}
