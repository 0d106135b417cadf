// All tabs of a browser share one event stream: a browser has six connections per host, and the application beside the
// board needs them too.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { alive, mark, shows, untouched, visit } from "../support/browser.mjs";
import { direct, proxied } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

// Eight pages on a loaded machine; how long a change takes is measured elsewhere.
const SOON = 5_000;
const QUEUES = ["ink", "paper", "glue"];

let at;
let kept;
let oracle;

before(async () => {
  const redis = await Redis.start();
  oracle = await Oracle.start(redis);
  for (const queue of QUEUES) await oracle.hold(queue, ["sheet-1", "sheet-2"]);
  at = await direct(redis);
  [kept] = await proxied(redis);
  for (const { drover } of [at, kept]) await drover.knows(...QUEUES);
});
after(endAll);

/** Event streams that the server holds open. */
async function streams(drover) {
  const text = await (await fetch(`${drover.origin}/metrics`, { headers: drover.headers })).text();
  const line = text.split("\n").find((line) => /^drover_\w*streams\w*[ {]/.test(line));
  assert.ok(line, "the metrics count open streams");
  return Number(line.split(" ").at(-1));
}

const settled = (drover, count, within) => until(`${count} open streams`, async () => (await streams(drover)) === count, within);

const delayed = (queue) => `#queues tr:has(a[href$="bull:${queue}"]) td.later`;

/** Eight tabs of one visitor: two overviews, three queues, and jobs. */
async function eight(page, at) {
  const paths = [
    at.overview,
    ...QUEUES.map((queue) => at.queue(queue, { query: "?state=active" })),
    at.job("ink", "sheet-1"),
    at.job("paper", "sheet-1"),
    at.job("glue", "sheet-2"),
    at.overview,
  ];
  const tabs = [page];
  while (tabs.length < paths.length) tabs.push(await page.context().newPage());
  for (const [i, path] of paths.entries()) {
    await tabs[i].goto(path);
    await alive(tabs[i]);
    await mark(tabs[i]);
  }
  return tabs;
}

/** Each round adds one delayed job to each queue. */
let rounds = 0;

/** Changes something in every queue and waits until each of the eight shows it. */
async function nextRound(t, tabs) {
  const round = ++rounds;
  const began = performance.now();
  const asked = QUEUES.map((queue) => oracle.add(queue, {}, { opts: { delay: 600_000, jobId: `later-${round}` } }));
  for (const [queue, jobId] of [["ink", "sheet-1"], ["paper", "sheet-1"], ["glue", "sheet-2"]]) {
    asked.push(oracle.ask("setProgress", queue, { jobId, progress: round }));
  }
  const all = new RegExp(`^${round}$`);
  const seen = [1, 2, 3].map((i) => shows(tabs[i], ".tabs .delayed b", all, SOON));
  seen.push(...[4, 5, 6].map((i) => shows(tabs[i], ".state-line", new RegExp(`\\b${round} %`), SOON)));
  for (const i of [0, 7]) seen.push(...QUEUES.map((queue) => shows(tabs[i], delayed(queue), all, SOON)));
  await Promise.all([...asked, ...seen]);
  t.diagnostic(`round ${round}: seen in eight tabs after ${Math.round(performance.now() - began)} ms`);
  for (const tab of tabs) assert.ok(await untouched(tab), tab.url());
}

describe("Eight tabs of one browser", () => {
  test("share one stream, see every change, and go on when the leading one closes", (t) =>
    visit({ at }, async (page) => {
      const tabs = await eight(page, at);
      await settled(at.drover, 1);
      await nextRound(t, tabs);
      await settled(at.drover, 1);

      // The first one came first, so it leads.
      const began = performance.now();
      await tabs[0].close();
      await settled(at.drover, 1, 1_500);
      const rest = [tabs[7], ...tabs.slice(1, 7), tabs[7]];
      await nextRound(t, rest);
      t.diagnostic(`handed over and seen after ${Math.round(performance.now() - began)} ms`);
      for (const tab of rest) await shows(tab, "#link", /^live$/, 1_000);

      // Another one goes to another page and leads no longer either.
      await tabs[1].goto(at.queue("ink", { query: "?state=delayed" }));
      await alive(tabs[1]);
      await mark(tabs[1]);
      await nextRound(t, rest);
      await settled(at.drover, 1);
    }));

  test("lose nothing while the server is restarted", (t) =>
    visit({ at }, async (page, watch) => {
      watch.allow(/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|ERR_SOCKET|\b50\d\b/);
      const tabs = await eight(page, at);
      await at.drover.stop("SIGTERM");
      await Promise.all(tabs.map((tab) => shows(tab, "#link", /^reconnecting, stale since/)));
      await at.drover.restart();
      await Promise.all(tabs.map((tab) => shows(tab, "#link", /^live$/, 20_000)));
      await at.drover.knows(...QUEUES);
      await settled(at.drover, 1);
      await nextRound(t, tabs);
    }));

  test("share one without locks too, as on plain HTTP", (t) =>
    visit({ at }, async (page) => {
      await page.context().addInitScript(() => {
        Object.defineProperty(Navigator.prototype, "locks", { get: () => undefined });
      });
      const tabs = await eight(page, at);
      await settled(at.drover, 1);
      await nextRound(t, tabs);
      await tabs[0].close();
      const rest = [tabs[7], ...tabs.slice(1, 7), tabs[7]];
      await settled(at.drover, 1);
      await nextRound(t, rest);
      await settled(at.drover, 1);
    }));

  test("have a stream each where tabs cannot reach each other", () =>
    visit({ at }, async (page) => {
      await page.context().addInitScript(() => {
        delete globalThis.BroadcastChannel;
      });
      const other = await page.context().newPage();
      for (const tab of [page, other]) {
        await tab.goto(at.overview);
        await alive(tab);
      }
      await settled(at.drover, 2);
    }));

  test("leave room for the application beside the board behind an nginx with HTTP/1.1", (t) =>
    visit({ at: kept }, async (page) => {
      const tabs = await eight(page, kept);
      await settled(kept.drover, 1);
      for (const tab of tabs) {
        const ms = await tab.evaluate(async (path) => {
          const began = performance.now();
          // Six at once need all connections that a browser has for a host, but one.
          const answers = await Promise.all(Array.from({ length: 5 }, () => fetch(path, { cache: "no-store" })));
          await Promise.all(answers.map((answer) => answer.text()));
          return performance.now() - began;
        }, `${kept.base}/api/v1/queues`);
        t.diagnostic(`answered after ${Math.round(ms)} ms`);
      }
      await nextRound(t, tabs);
    }));
});

/** Lets a tab believe that nobody looks at it, or that somebody does. */
function look(tab, hidden) {
  return tab.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

test("a hidden page changes nothing, and shows the last state as soon as it is looked at", () =>
  visit({ at }, async (page) => {
    const other = await page.context().newPage();
    for (const tab of [page, other]) {
      await tab.goto(at.overview);
      await alive(tab);
      await mark(tab);
    }
    await look(page, true);
    await page.evaluate(() => {
      globalThis.changes = [];
      const note = (changes) => globalThis.changes.push(...changes.map(({ target }) => target.parentNode?.textContent));
      new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    });
    rounds += 1;
    for (const queue of QUEUES) await oracle.add(queue, {}, { opts: { delay: 600_000, jobId: `later-${rounds}` } });
    for (const queue of QUEUES) await shows(other, delayed(queue), new RegExp(`^${rounds}$`), SOON);
    assert.deepEqual(await page.evaluate(() => globalThis.changes), []);
    await look(page, false);
    for (const queue of QUEUES) await shows(page, delayed(queue), new RegExp(`^${rounds}$`), SOON);
    assert.ok(await untouched(page));
  }));

test("a browser whose tabs are all hidden gives its stream back, and gets what it missed when one is looked at", (t) =>
  visit({ at }, async (page) => {
    // A minute passes faster here.
    await page.context().addInitScript(() => {
      const { setTimeout } = globalThis;
      globalThis.setTimeout = (then, ms, ...rest) => setTimeout(then, ms >= 60_000 ? ms / 20 : ms, ...rest);
    });
    const tabs = await eight(page, at);
    for (const tab of tabs.slice(1)) await look(tab, true);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    await settled(at.drover, 1);
    await shows(tabs[0], "#link", /^live$/);
    for (const tab of tabs.slice(1)) await shows(tab, "#link", /^paused while hidden$/);

    await look(tabs[0], true);
    await settled(at.drover, 0);
    rounds += 1;
    for (const queue of QUEUES) await oracle.add(queue, {}, { opts: { delay: 600_000, jobId: `later-${rounds}` } });
    await shows(tabs[0], "#link", /^paused while hidden$/);

    const began = performance.now();
    await look(tabs[2], false);
    await shows(tabs[2], "#link", /^live$/, SOON);
    await shows(tabs[2], ".tabs .delayed b", new RegExp(`^${rounds}$`), SOON);
    t.diagnostic(`seen ${Math.round(performance.now() - began)} ms after the tab was looked at`);
    await settled(at.drover, 1);
    for (const tab of tabs) await look(tab, false);
    await nextRound(t, tabs);
    await settled(at.drover, 1);
  }));
