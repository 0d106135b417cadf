// The accounting department's queues: pg-boss on Postgres, with the same kinds of luck as the shop on Redis.
//
//   node end2end/demo/ledger.mjs --postgres postgres://owner@127.0.0.1:5432/postgres
import { parseArgs } from "node:util";
import { PgBoss } from "pg-boss";
import { createLoops, noteClosing, noteTrouble, sleep } from "./library.mjs";
import { chance, int, pick } from "./payloads.mjs";

const { values: args } = parseArgs({ options: { postgres: { type: "string" } } });
if (!args.postgres) {
  console.error("usage: ledger.mjs --postgres postgres://host:port/database");
  process.exit(2);
}

// `every` is milliseconds between two jobs, `takes` the span one lasts, `fails` the share that fails.
const QUEUES = [
  { name: "invoices.render", every: 900, takes: [200, 1500], fails: 0.03, size: 4, options: { retryLimit: 2, retryDelay: 5 } },
  { name: "invoices.send", every: 1100, takes: [80, 500], fails: 0.05, size: 4, options: { retryLimit: 3, retryDelay: 10, deadLetter: "invoices.undeliverable" } },
  { name: "invoices.undeliverable", size: 0, options: {} },
  { name: "ledger.postings", every: 500, takes: [20, 120], fails: 0.01, size: 8, options: { retryLimit: 1 } },
  { name: "tax.reports", every: 20_000, takes: [8000, 25_000], fails: 0.1, size: 1, options: { policy: "singleton", expireInSeconds: 120 } },
  { name: "audit.exports", every: 45_000, size: 0, options: {} },
];
const TROUBLES = ["PDF service answered 502", "customer has no billing address", "550 mailbox unavailable", "period 2026-10 is closed"];

const boss = new PgBoss({ connectionString: args.postgres, application_name: "ledger", superviseIntervalSeconds: 30 });
boss.on("error", (error) => noteTrouble("ledger", error));
await boss.start();
// A queue that others send their dead letters to has to be there first.
for (const { name, options } of QUEUES.toSorted((a, b) => Number("deadLetter" in a.options) - Number("deadLetter" in b.options))) {
  await boss.createQueue(name, { retentionSeconds: 86_400, deleteAfterSeconds: 7200, ...options });
}
await boss.schedule("tax.reports", "0 6 * * *", { period: "yesterday" }, { tz: "Europe/Berlin" });
await boss.schedule("ledger.postings", "*/5 * * * *", { kind: "accruals" });

for (const { name, takes, fails, size } of QUEUES) {
  for (let worker = 0; worker < size; worker++) {
    await boss.work(name, { pollingIntervalSeconds: 1 }, async ([job]) => {
      await sleep(int(...takes));
      if (chance(fails)) throw new Error(`${pick(TROUBLES)} (${job.data.number ?? job.id})`);
      return { posted: true, pages: int(1, 9) };
    });
  }
}

const loops = createLoops();
let number = 40_000;
for (const { name, every } of QUEUES.filter((queue) => queue.every)) {
  loops.forever(name, async () => {
    number += 1;
    const options = chance(0.1) ? { startAfter: int(30, 600) } : chance(0.1) ? { priority: int(1, 10) } : {};
    await boss.send(name, { number: `R-${number}`, customer: int(1000, 9999), total: int(500, 90_000) / 100 }, options);
    return every;
  });
}

let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  noteClosing();
  loops.stop();
  setTimeout(() => process.exit(0), 1500);
  await boss.stop({ graceful: false, timeout: 1000 });
  process.exit(0);
}
process.on("SIGTERM", end);
process.on("SIGINT", end);
