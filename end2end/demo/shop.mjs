// A throw-away shop that keeps a few dozen jobs a second moving, so that a board has something real to show.
//
//   node end2end/demo/shop.mjs --redis redis://127.0.0.1:6379
import { parseArgs } from "node:util";
import { connectionOf, noteClosing } from "./library.mjs";
import { loseWorkers } from "./mishaps.mjs";
import { openProducers } from "./producers.mjs";
import { QUEUES } from "./queues.mjs";
import { startWorkers } from "./workers.mjs";

const { values: args } = parseArgs({ options: { redis: { type: "string" } } });
if (!args.redis) {
  console.error("usage: shop.mjs --redis redis://host:port");
  process.exit(2);
}

const connection = connectionOf(args.redis);
const workers = startWorkers(QUEUES, connection);
const producers = openProducers(QUEUES, connection);
const mishaps = loseWorkers(QUEUES, connection);

let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  noteClosing();
  // Some jobs take minutes and Redis may already be gone: the shop closes anyway, and its next start finds the
  // unfinished jobs the way any crashed worker's are found.
  setTimeout(() => process.exit(0), 1500);
  await Promise.allSettled([producers.close(), mishaps.close(), ...workers.map((worker) => worker.close(true))]);
  process.exit(0);
}
process.on("SIGTERM", end);
process.on("SIGINT", end);
// The library leaves some promises of its own without a reader when a connection breaks; workers and producers retry.
process.on("unhandledRejection", (error) => ending || console.error("shop:", error?.message ?? error));

await producers.run();
