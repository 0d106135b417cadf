// The library's own word, for integration tests.
//
//   node end2end/oracle/oracle.mjs --redis redis://127.0.0.1:6379 --bullmq bull|3|4|5|6 [--prefix bull]
//
// One JSON object per line on stdin, one answer per line on stdout, matched by `id`. Requests run concurrently, so a
// caller that needs an order waits for the answer first. The process ends when stdin closes, so it can never outlive
// the test that started it.
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { createCommands } from "./commands.mjs";
import { PACKAGES, load } from "./families.mjs";

// stdout belongs to the protocol: a stray line of a library there would be read as an answer.
for (const level of ["log", "info", "debug", "warn"]) console[level] = console.error;

const { values: args } = parseArgs({
  options: {
    redis: { type: "string" },
    bullmq: { type: "string", default: "6" },
    prefix: { type: "string", default: "bull" },
  },
});
if (!args.redis || !Object.hasOwn(PACKAGES, args.bullmq)) {
  console.error("usage: oracle.mjs --redis redis://host:port --bullmq bull|3|4|5|6 [--prefix bull]");
  process.exit(2);
}

const family = await load(args.bullmq);
const { run, close } = createCommands(family, { url: args.redis, prefix: args.prefix });

const answer = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

async function handle(line) {
  let request;
  try {
    request = JSON.parse(line);
  } catch (error) {
    answer({ id: null, error: `not JSON: ${error.message}` });
    return;
  }
  try {
    answer({ id: request.id, ok: (await run(request)) ?? null });
  } catch (error) {
    answer({ id: request.id, error: String(error?.message || error) });
  }
}

let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  // A dead Redis can keep a close() pending for ever.
  setTimeout(() => process.exit(0), 3000).unref();
  await close();
  process.exit(0);
}

// The reader of the answers is gone.
process.stdout.on("error", () => process.exit(0));
// A worker stopped by force may still fail in the background; that is the test's intention, not a crash of the oracle.
process.on("unhandledRejection", (error) => console.error("unhandled:", error?.message ?? error));
process.on("SIGTERM", end);
process.on("SIGINT", end);

answer({ ready: true, version: family.version });
createInterface({ input: process.stdin, terminal: false })
  .on("line", (line) => line.trim() && handle(line))
  .on("close", end);
