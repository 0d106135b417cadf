// What happens in a queue is seen on every open page, without a reload.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { alive, mark, shows, text, untouched, visit } from "../support/browser.mjs";
import { direct, proxied } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const WAYS = [
  ["directly", "press-direct"],
  ["behind nginx that keeps the prefix", "press-keep"],
  ["behind nginx that strips the prefix", "press-strip"],
];

const entrances = [];
let oracle;

before(async () => {
  const redis = await Redis.start();
  oracle = await Oracle.start(redis);
  for (const [, queue] of WAYS) await oracle.hold(queue, ["sheet-1", "sheet-2"]);
  entrances.push(await direct(redis), ...(await proxied(redis)));
  for (const { drover } of entrances) await drover.knows(...WAYS.map(([, queue]) => queue));
});
after(endAll);

/** Opens pages of one visitor at these paths; each is alive and marked. */
async function open(page, ...paths) {
  const pages = [page];
  while (pages.length < paths.length) pages.push(await page.context().newPage());
  for (const [i, path] of paths.entries()) {
    await pages[i].goto(path);
    await alive(pages[i]);
    await mark(pages[i]);
  }
  return pages;
}

/** Asks the library for something and measures until each sight is seen. */
async function seenSoon(t, ask, sights) {
  const began = performance.now();
  const asked = ask();
  const times = await Promise.all(
    Object.entries(sights).map(async ([name, see]) => {
      await see();
      return [name, Math.round(performance.now() - began)];
    }),
  );
  await asked;
  for (const [name, ms] of times) t.diagnostic(`${name}: seen after ${ms} ms`);
}

/** A cell of the overview, by the label it has on a phone. */
const cell = (queue, label) => `#queues tr:has(a[href$="bull:${queue}"]) td[data-l="${label}"]`;

for (const [i, [way, queue]] of WAYS.entries()) {
  describe(`Seen ${way},`, () => {
    let at;
    before(() => {
      at = entrances[i];
    });

    test("a job's progress moves on the queue's page and on its own", (t) =>
      visit({ at }, async (page) => {
        const [list, job] = await open(page, at.queue(queue, { query: "?state=active" }), at.job(queue, "sheet-1"));
        const row = `#jobs tr:has(a[href$="/sheet-1"]) .detail`;
        for (const progress of [17, 58]) {
          await seenSoon(t, () => oracle.ask("setProgress", queue, { jobId: "sheet-1", progress }), {
            [`${progress} % in the list`]: () => shows(list, row, new RegExp(`\\b${progress} %`)),
            [`${progress} % on the job`]: () => shows(job, ".state-line", new RegExp(`\\b${progress} %`)),
          });
        }
        assert.ok(await untouched(list));
        assert.ok(await untouched(job));
      }));

    test("a job that completes changes the overview, the tabs and its own page", (t) =>
      visit({ at }, async (page) => {
        const [overview, list, job] = await open(page, at.overview, at.queue(queue, { query: "?state=active" }), at.job(queue, "sheet-1"));
        assert.equal(await text(overview, cell(queue, "active")), "2");
        assert.equal(await text(list, ".tabs .active b"), "2");
        assert.match(await text(job, ".state-line"), /active/);
        await seenSoon(t, () => oracle.release(queue, "sheet-1"), {
          "one active on the overview": () => shows(overview, cell(queue, "active"), /^1$/),
          "one active on its tab": () => shows(list, ".tabs .active b", /^1$/),
          "one completed on its tab": () => shows(list, ".tabs .completed b", /^1$/),
          "completed on the job": () => shows(job, ".state-line", /completed/),
          "finished on the timeline": () => shows(job, ".timeline", /completed/),
        });
        // The row stays in its place, and the list is tidied once nobody has touched the page for a while.
        await shows(list, `#jobs tr:has(a[href$="/sheet-1"]) .detail`, /completed/);
        await shows(list, ".list-head b", /^1–1 of 1 active$/, 20_000);
        assert.equal(await list.locator("#jobs tbody tr").count(), 1);
        for (const one of [overview, list, job]) assert.ok(await untouched(one), one.url());
      }));

    test("a job that is added and one that fails change what is counted", (t) =>
      visit({ at }, async (page) => {
        const [overview, list] = await open(page, at.overview, at.queue(queue, { query: "?state=delayed" }));
        await seenSoon(t, () => oracle.add(queue, {}, { opts: { delay: 600_000, jobId: "tomorrow" } }), {
          "one delayed on its tab": () => shows(list, ".tabs .delayed b", /^1$/),
          "its line in the list": () => shows(list, "#jobs tbody", /tomorrow/),
        });
        await seenSoon(t, () => oracle.add(queue, { fail: "out of ink" }, { opts: { jobId: "blank" } }), {
          "one failed on the overview": () => shows(overview, cell(queue, "failed"), /^1$/),
          "one failed on its tab": () => shows(list, ".tabs .failed b", /^1$/),
        });
        for (const one of [overview, list]) assert.ok(await untouched(one), one.url());
      }));

    test("a new queue appears on the overview by itself, and its counts are right", (t) =>
      visit({ at }, async (page) => {
        const [overview] = await open(page, at.overview);
        const name = `new-${queue}`;
        const began = performance.now();
        await oracle.ask("startWorker", name, { workerId: name });
        await oracle.add(name);
        await shows(overview, `#queues tr:has(a[href$="bull:${name}"]) .name`, new RegExp(name));
        t.diagnostic(`seen after ${Math.round(performance.now() - began)} ms`);
        await oracle.ask("waitUntil", name, { state: "completed", count: 1 });
        await shows(overview, cell(name, "waiting"), /^0$/);
        assert.ok(await untouched(overview));
      }));
  });
}

test("a new queue's counts are right although its first jobs finish just as it is found", async () => {
  const { drover } = entrances[0];
  const known = async (name) => (await drover.api("/queues")).items.find((queue) => queue.name === name);
  // The moment is short: several queues, each found at another point of the collector's round.
  const names = Array.from({ length: 8 }, (_, i) => `found-${i}`);
  for (const name of names) {
    await oracle.ask("startWorker", name, { workerId: name });
    await until(`${name} to be found`, () => known(name), 10_000, 2);
    await oracle.add(name);
    await oracle.ask("waitUntil", name, { state: "completed", count: 1 });
  }
  const right = async () => (await Promise.all(names.map(known))).every((queue) => queue.counts.completed === 1);
  await until("every count to be right", right, 5_000).catch(async () => {
    const queues = await Promise.all(names.map(known));
    const wrong = queues.filter((queue) => queue.counts.completed !== 1).map(({ name, counts }) => `${name} ${JSON.stringify(counts)}`);
    assert.deepEqual(wrong, [], "five seconds after the last job completed");
  });
});
