// What watching a page costs the browser: seconds of its main thread in half a minute, while 40 jobs a second come and
// go in 100 and in 500 queues; nodes, paints and the time to interactive. Seconds are those in which the thread ran,
// whatever else the machine did. Needs `make build`. Prints rows of the table in docs/benchmarks.md; an argument
// selects the pages whose name contains it.
import { setTimeout as sleep } from "node:timers/promises";
import { alive, visit } from "../end2end/support/browser.mjs";
import { direct } from "../end2end/support/entrances.mjs";
import { EVENTS_IN_A_LIFE, Herd } from "../end2end/support/herd.mjs";
import { endAll } from "../end2end/support/process.mjs";
import { Redis } from "../end2end/support/redis.mjs";

const WATCHED_S = 30;
const JOBS_PER_SECOND = 40;

/** Paints are counted apart: writing a trace is work too. */
const TRACED_S = 5;

/** Budgets of the main thread in seconds, of nodes, and of milliseconds until the page can be used. */
const BUDGETS = { 100: { busy: 0.6 }, 500: { busy: 1, nodes: 8_000, interactive: 400 } };

const PLACES = ["mail", "video", "invoice", "search", "audit"];
const filter = process.argv[2] ?? "";

async function metrics(cdp) {
  const { metrics } = await cdp.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

/** How often a second the page was painted while it was traced. */
async function paints(cdp) {
  let count = 0;
  cdp.on("Tracing.dataCollected", ({ value }) => (count += value.filter(({ name }) => name === "Commit").length));
  const complete = new Promise((resolve) => cdp.once("Tracing.tracingComplete", resolve));
  await cdp.send("Tracing.start", { traceConfig: { includedCategories: ["disabled-by-default-devtools.timeline", "devtools.timeline"] } });
  await sleep(TRACED_S * 1000);
  await cdp.send("Tracing.end");
  await complete;
  return count / TRACED_S;
}

/** Seconds of the main thread in `WATCHED_S`: all of them, and those for scripts, styles and layout. */
async function busy(cdp) {
  const before = await metrics(cdp);
  await sleep(WATCHED_S * 1000);
  const after = await metrics(cdp);
  const spent = (name) => after[name] - before[name];
  return { all: spent("TaskDuration"), script: spent("ScriptDuration"), layout: spent("LayoutDuration"), style: spent("RecalcStyleDuration") };
}

function row(what, value, budget, unit = "", parts = "–") {
  const verdict = budget === undefined ? "–" : value <= budget ? "ok" : "**missed**";
  console.log(`| ${what} | ${budget === undefined ? "–" : `≤ ${budget}${unit}`} | ${Number(value.toFixed(2))}${unit} | ${parts} | ${verdict} |`);
}

/** Opens a page, leaves it alone until it is at rest, and measures. */
async function watch(at, what, path, { busy: limit, nodes, interactive } = {}, cover = false) {
  if (!what.includes(filter)) return;
  await visit({ at }, async (page) => {
    const cdp = await page.context().newCDPSession(page);
    await page.addInitScript(() => {
      new MutationObserver(() => (globalThis.interactive ??= performance.now())).observe(document, { subtree: true, attributeFilter: ["data-alive"] });
    });
    await page.goto(path);
    await alive(page);
    const ready = await page.evaluate(() => globalThis.interactive);
    await sleep(5_000);
    await cdp.send("HeapProfiler.collectGarbage");
    await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
    if (cover) await page.evaluate(hide);
    const { all, script, layout, style } = await busy(cdp);
    row(`main thread in ${WATCHED_S} s, ${what}`, all, limit, " s", `script ${script.toFixed(2)}, style ${style.toFixed(2)}, layout ${layout.toFixed(2)} s`);
    if (cover) return;
    row(`paints a second, ${what}`, await paints(cdp), 4);
    row(`nodes, ${what}`, (await metrics(cdp)).Nodes, nodes);
    row(`time to interactive, ${what}`, Math.round(ready), interactive, " ms");
  });
}

/** Makes the page believe that it is hidden: a headless browser shows every tab. */
function hide() {
  Object.defineProperty(document, "hidden", { get: () => true });
  Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
  document.dispatchEvent(new Event("visibilitychange"));
}

for (const count of [100, 500]) {
  const names = Array.from({ length: count }, (_, i) => `${PLACES[i % 5]}.${String(i).padStart(3, "0")}`);
  const redis = await Redis.start();
  const herd = await Herd.on(redis);
  for (const name of names) herd.queue(name);
  const at = await direct(redis);
  await at.drover.knows(...names);
  let stopped = false;
  const load = herd.busy(names, JOBS_PER_SECOND * EVENTS_IN_A_LIFE, () => stopped);
  const board = `${count} queues, ${JOBS_PER_SECOND} jobs/s`;
  await watch(at, `overview of ${board}`, at.overview, BUDGETS[count]);
  await watch(at, `hidden overview of ${board}`, at.overview, { busy: 0.1 }, true);
  if (count === 100) await watch(at, `a queue's page, ${board}`, at.queue(names[0], { query: "?state=completed" }), { busy: 0.6 });
  stopped = true;
  await load;
  herd.end();
}
await endAll();
