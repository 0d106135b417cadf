// Drover in a real browser.
//
//   node end2end/run.mjs [filter]
//
// The filter names a file of end2end/tests (`live`), or else tests whose name contains it. TESTED_DROVER names the binary
// (target/release/drover), CHROMIUM the browser (/usr/bin/chromium), E2E_JOBS how many files run at once, and
// E2E_REFERENCES=renew has the reference pictures written instead of compared. Screenshots and the pages of failed tests are
// left in end2end/results.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { CHROMIUM, DROVER, RESULTS, TESTS, missing } from "./support/places.mjs";

const filter = process.argv.slice(2).join(" ");
const lacking = missing();
if (lacking.length > 0) {
  for (const line of lacking) console.error(`e2e: ${line}`);
  process.exit(2);
}
rmSync(RESULTS, { recursive: true, force: true });
mkdirSync(RESULTS, { recursive: true });

const all = readdirSync(TESTS).filter((file) => file.endsWith(".test.mjs")).sort();
const named = all.filter((file) => file === `${filter}.test.mjs` || basename(file, ".test.mjs") === filter);
const files = filter && named.length > 0 ? named : all;
// As a literal: a filter is part of a sentence, not a pattern.
const sentence = filter && named.length === 0 ? new RegExp(filter.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i") : undefined;
console.log(`${DROVER}\n${CHROMIUM}\n`);

const totals = new Map();
const failures = [];
const began = performance.now();
let failed = false;

/** Runs some files, `concurrency` at a time. */
async function round(files, concurrency) {
  if (files.length === 0) return;
  const events = run({
    files: files.map((file) => join(TESTS, file)),
    concurrency,
    timeout: 300_000,
    ...(sentence && { testNamePatterns: [sentence] }),
  });
  events.on("test:fail", ({ name, todo, details }) => {
    failed ||= todo === undefined;
    // A group fails with one of its tests, and says nothing more.
    if (details.type !== "suite") failures.push(`${name}: ${details.error.cause?.message ?? details.error.message}`);
  });
  events.on("test:diagnostic", ({ message, nesting }) => {
    const total = nesting === 0 && /^(tests|pass|fail|cancelled|skipped|todo) (\d+)$/.exec(message);
    if (total) totals.set(total[1], (totals.get(total[1]) ?? 0) + Number(total[2]));
  });
  for await (const text of events.compose(spec)) process.stdout.write(text);
}

await round(files, Number(process.env.E2E_JOBS ?? 2));
// Last, where whoever reads the end of a long log finds them.
for (const failure of failures) console.log(`\n# failed: ${failure}`);
for (const [word, count] of totals) console.log(`# ${word} ${count}`);
console.log(`# seconds ${Math.round((performance.now() - began) / 1000)}`);
const nothing = !(totals.get("pass") > 0);
if (nothing && !failed) console.error(`e2e: no test is about ${JSON.stringify(filter)}`);
process.exitCode = failed || nothing || totals.get("fail") > 0 || totals.get("cancelled") > 0 ? 1 : 0;
