// The overview stays fluid while a thousand events a second arrive from five hundred queues.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { alive, mark, untouched, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Herd } from "../support/herd.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

/** A browser that is busy for longer than this keeps a person waiting. */
const LONGEST_MS = 100;

/** What is the browser's own doing happens every time; what another program on this machine does, does not. */
const TRIES = 3;

const PLACES = ["mail", "video", "invoice", "search", "audit"];
const NAMES = Array.from({ length: 500 }, (_, i) => `${PLACES[i % 5]}.${String(i).padStart(3, "0")}`);

let at;
let herd;

before(async () => {
  const redis = await Redis.start();
  herd = await Herd.on(redis);
  for (const name of NAMES) herd.queue(name);
  at = await direct(redis);
  await at.drover.knows(...NAMES);
});
after(async () => {
  herd?.end();
  await endAll();
});

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
    await mark(page);
    // All rows are live, not only the first.
    await page.waitForFunction(() => document.querySelectorAll("#rest tr").length === 0);
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
    assert.ok(await untouched(page), "nothing of this loaded a page");
    told = { tasks, completed, longest: Math.max(0, ...Object.values(tasks).flat()) };
  });
  return told;
}

test("five hundred queues at a thousand events a second keep the page fluid", async (t) => {
  let stopped = false;
  const load = herd.busy(NAMES, 1_000, () => stopped);
  const tries = [];
  try {
    do {
      tries.push(await work());
      const { tasks, completed, longest } = tries.at(-1);
      t.diagnostic(`longest ${longest} ms; tasks of 50 ms or more: ${JSON.stringify(tasks)}; ${completed} jobs completed`);
      assert.ok(completed > 200, `only ${completed} jobs were seen to complete`);
    } while (tries.at(-1).longest > LONGEST_MS && tries.length < TRIES);
  } finally {
    stopped = true;
    await load;
  }
  const best = Math.min(...tries.map(({ longest }) => longest));
  assert.ok(best <= LONGEST_MS, `in the best of ${TRIES} tries one task took ${best} ms`);
});
