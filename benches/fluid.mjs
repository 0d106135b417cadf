// How smooth the overview stays while a thousand events a second arrive from five hundred queues: the longest task of
// the browser, while a reader opens the page, filters, groups and watches. Needs `make build`. Prints rows of the table
// in docs/benchmarks.md, for as many tries as were made.
import { alive, visit } from "../end2end/support/browser.mjs";
import { direct } from "../end2end/support/entrances.mjs";
import { Herd } from "../end2end/support/herd.mjs";
import { endAll } from "../end2end/support/process.mjs";
import { Redis } from "../end2end/support/redis.mjs";

/** A browser that is busy for longer than this keeps a person waiting. */
const LONGEST_MS = 100;

/** How often the browser is timed at laying out the whole table at one stroke, as fast as it is at this moment. */
const STROKES = 3;

/** What is the browser's own doing happens every time; what another program on this machine does, does not. */
const TRIES = 3;

const PLACES = ["mail", "video", "invoice", "search", "audit"];
const NAMES = Array.from({ length: 500 }, (_, i) => `${PLACES[i % 5]}.${String(i).padStart(3, "0")}`);

const redis = await Redis.start();
const herd = await Herd.on(redis);
for (const name of NAMES) herd.queue(name);
const at = await direct(redis);
await at.drover.knows(...NAMES);

/** Opens the page and works with it; every task of the browser that took 50 ms or more, by what the reader did then. */
async function work() {
  let told;
  await visit({ at }, async (page) => {
    await page.addInitScript(() => {
      globalThis.longTasks = [];
      new PerformanceObserver((list) => {
        for (const task of list.getEntries()) globalThis.longTasks.push(Math.round(task.duration));
      }).observe({ type: "longtask", buffered: true });
    });
    const tasks = {};
    const note = async (name) => (tasks[name] = await page.evaluate(() => globalThis.longTasks.splice(0)));
    const sum = () => page.evaluate(() => Number(document.querySelector(".totals li:nth-child(6) b").textContent.replaceAll(",", "")));
    await page.goto(at.overview);
    await alive(page);
    // All rows are there, not only the first.
    await page.waitForFunction(() => document.querySelectorAll("#queues tbody tr").length === 500);
    await note("opening");
    const before = await sum();
    const box = page.locator("#filter");
    for (const word of ["mail", "video", ""]) {
      await box.fill(word);
      await page.waitForTimeout(1_200);
    }
    await note("filtering");
    await page.mouse.wheel(0, 4_000);
    await page.getByRole("link", { name: "group by name" }).click();
    await page.waitForFunction(() => document.querySelectorAll("#queues tbody tr:not(.group)").length === 500);
    await note("grouping");
    await page.waitForTimeout(1_500);
    await note("watching");
    const completed = (await sum()) - before;
    // The time this browser takes now, beside everything else that runs, for the table alone without any program.
    const floor = await page.evaluate((strokes) => {
      const table = document.querySelector("#queues table");
      const times = Array.from({ length: strokes }, () => {
        const copy = table.cloneNode(true);
        copy.removeAttribute("id");
        const began = performance.now();
        table.after(copy);
        copy.getBoundingClientRect();
        const took = performance.now() - began;
        copy.remove();
        return Math.round(took);
      });
      return times.sort((a, b) => a - b)[Math.floor(strokes / 2)];
    }, STROKES);
    told = { tasks, completed, floor, longest: Math.max(0, ...Object.values(tasks).flat()) };
  });
  return told;
}

let stopped = false;
const load = herd.busy(NAMES, 1_000, () => stopped);
for (let n = 0; n < TRIES; n++) {
  const { tasks, completed, floor, longest } = await work();
  const each = Object.entries(tasks).map(([what, all]) => `${what} ${Math.max(0, ...all)}`);
  const verdict = longest <= LONGEST_MS ? "ok" : "**missed**";
  console.log(`| longest task of the browser, overview of 500 queues, 1000 events/s | ≤ ${LONGEST_MS} ms | ${longest} ms (${each.join(", ")}; ${completed} jobs completed) | the table at one stroke ${floor} ms | ${verdict} |`);
}
stopped = true;
await load;
herd.end();
await endAll();
