// Pages that the server alone writes (workers, schedules, a store) move all the same, and whoever reads them is left in
// peace.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AWAY, NARROW, alive, mark, shows, text, untouched, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const HOUR = 3_600_000;

let at, redis, oracle;
before(async () => {
  redis = await Redis.start({ keep: true });
  oracle = await Oracle.start(redis);
  for (const name of ["alpha", "beta", "gamma"]) await oracle.add(name, {}, { opts: { jobId: "later", delay: HOUR } });
  await schedule("beta", "hourly", 2);
  await schedule("gamma", "rarely", 4);
  at = await direct(redis);
  await at.drover.knows("alpha", "beta", "gamma");
});
after(endAll);

/** A schedule that begins in so many hours: those that run sooner come first. */
const schedule = (queue, schedulerId, hours) => {
  const repeat = { every: HOUR, startDate: Date.now() + hours * HOUR };
  return oracle.ask("upsertScheduler", queue, { schedulerId, repeat, template: { name: schedulerId } });
};
const worker = (queue, name) => oracle.ask("startWorker", queue, { workerId: name, name });
const leaves = (name) => oracle.ask("stopWorker", undefined, { workerId: name });

const row = (queue) => `#fleet tr.crew:has(a[href$="bull:${queue}"])`;
const workers = (queue) => `${row(queue)} td[data-l="workers"]`;
const health = (part) => `.health tr:has(th:text-is("${part}")) td:nth-child(2)`;

async function opened(page, path) {
  await page.goto(path);
  await alive(page);
  await mark(page);
}

/** Remembers these elements; gives those that are no longer the same, or no longer on the page. */
async function remember(page, ...selectors) {
  const handles = await Promise.all(selectors.map((selector) => page.locator(selector).first().elementHandle()));
  return async () => {
    const same = ([handle, selector]) => handle.evaluate((element, selector) => element === document.querySelector(selector), selector);
    const asked = handles.map((handle, i) => same([handle, selectors[i]]));
    const kept = await Promise.all(asked);
    return selectors.filter((_, i) => !kept[i]);
  };
}

const focused = (page) => page.evaluate(() => document.activeElement?.textContent);
const selected = (page) => page.evaluate(() => getSelection().toString());

/** Selects the text of an element as a reader does who is about to copy it. */
function select(page, selector) {
  return page.locator(selector).first().evaluate((element) => getSelection().selectAllChildren(element));
}

describe("The page of workers", () => {
  test("shows a worker that comes and one that goes, and leaves alone what did not change", () =>
    visit({ at }, async (page) => {
      await opened(page, at.workers());
      const changed = await remember(page, "h1", "#q", "#fleet", row("alpha"), row("gamma"), "aside.note");
      await shows(page, workers("beta"), /^0$/);
      await worker("beta", "beta-1");
      await shows(page, workers("beta"), /^1$/);
      await shows(page, `${row("beta")} + tr.one`, /^beta-1 127\.0\.0\.1:\d+ \d+ s ago/);
      await shows(page, ".sums", /^1 worker on /);
      assert.deepEqual(await changed(), [], "these are other elements now");
      await leaves("beta-1");
      await shows(page, workers("beta"), /^0$/);
      assert.equal(await page.locator("tr.one").count(), 0);
      assert.deepEqual(await changed(), [], "these are other elements now");
      assert.ok(await untouched(page), "nothing was reloaded");
    }));

  test("keeps focus and selection where they are while a line comes in above them", () =>
    visit({ at }, async (page) => {
      await opened(page, at.workers());
      await page.locator(`${row("gamma")} a`).first().focus();
      await select(page, ".note li");
      const sentence = await selected(page);
      await worker("alpha", "alpha-1");
      // Rows do not move under a reader: the focus is among them until ten seconds have passed.
      await shows(page, `${row("alpha")} + tr.one`, /^alpha-1/, 20_000);
      assert.equal(await focused(page), "gamma");
      assert.equal(await selected(page), sentence);
      await leaves("alpha-1");
      await shows(page, workers("alpha"), /^0$/, 20_000);
      assert.equal(await focused(page), "gamma");
    }));

  test("waits with the exchange while somebody types in its filter", () =>
    visit({ at }, async (page) => {
      await opened(page, at.workers());
      await page.keyboard.press("/");
      await page.keyboard.type("alp");
      const asked = page.waitForResponse((response) => response.url().endsWith("/workers") && response.ok());
      await (await asked).finished();
      assert.equal(await page.locator("#q").inputValue(), "alp");
      assert.equal(await page.evaluate(() => document.activeElement.id), "q");
    }));

  test("lets ages grow", () =>
    visit({ at }, async (page) => {
      await worker("beta", "beta-2");
      await opened(page, at.workers());
      const connected = `${row("beta")} + tr.one td[data-l="connected"]`;
      const age = async () => Number(/(\d+) s ago/.exec(await text(page, connected))[1]);
      await page.locator(connected).waitFor();
      const first = await age();
      await until("the age to have grown", async () => (await age()) >= first + 3);
      await leaves("beta-2");
    }));
});

describe("The page of schedules", () => {
  test("shows a schedule that is added, and leaves alone what did not change", () =>
    visit({ at }, async (page) => {
      await opened(page, at.schedules());
      await shows(page, ".sums", /^2 schedules$/);
      const gamma = '#fleet tr.crew:has(a[href$="bull:gamma"])';
      const changed = await remember(page, "h1", '#fleet tr.crew:has(a[href$="bull:beta"])', gamma);
      await select(page, `${gamma} .name`);
      await schedule("alpha", "often", 1);
      await shows(page, ".sums", /^3 schedules$/, 25_000);
      await shows(page, "#fleet tbody tr", /^OK often alpha redis every hour/);
      assert.deepEqual(await changed(), [], "these are other elements now");
      assert.match(await selected(page), /rarely/);
      await oracle.ask("removeScheduler", "alpha", { schedulerId: "often" });
      await shows(page, ".sums", /^2 schedules$/, 25_000);
      assert.deepEqual(await changed(), [], "these are other elements now");
      assert.ok(await untouched(page), "nothing was reloaded");
    }));

  test("counts down to the next run", () =>
    visit({ at }, async (page) => {
      // The last minute is told in seconds.
      await oracle.ask("upsertScheduler", "beta", { schedulerId: "soon", repeat: { every: HOUR, startDate: Date.now() + 50_000 } });
      await until("the schedule to be known", async () => (await at.drover.api("/schedules")).total === 3, 25_000);
      await opened(page, at.schedules());
      const left = async () => Number(/in (\d+) s/.exec(await text(page, "td.next"))[1]);
      const seen = new Set();
      await until("the seconds to pass", async () => seen.add(await left()).size > 3, 6_000, 100);
      const numbers = [...seen];
      assert.deepEqual(numbers, numbers.toSorted((a, b) => b - a), "downwards, one by one");
      assert.ok(numbers[0] - numbers.at(-1) <= 4, `it jumps: ${numbers}`);
      await oracle.ask("removeScheduler", "beta", { schedulerId: "soon" });
    }));
});

describe("A store's page", () => {
  test("shows new figures, and keeps focus, scroll position and what did not change", () =>
    visit({ at, size: NARROW }, async (page) => {
      await opened(page, at.store());
      const jobs = '.weights tr:has(a[href$="bull:gamma"]) td[data-l="jobs"]';
      const link = '.weights a[href$="bull:beta"]';
      await page.locator(link).focus();
      await page.locator("#store-memory").evaluate((element) => element.scrollIntoView());
      const clients = Number(/^(\d+)/.exec(await text(page, health("Clients")))[1]);
      const changed = await remember(page, "h1", ".vitals", ".health", link);
      assert.ok((await page.evaluate(() => scrollY)) > 500, "there is something to scroll");
      // A reason or a longer figure may come above what is read: the browser then scrolls, and the text stays.
      const place = () => page.locator("#store-memory").evaluate((element) => element.getBoundingClientRect().top);
      const before = await place();
      await page.locator(jobs).waitFor();
      for (const name of ["gamma-1", "gamma-2"]) await worker("gamma", name);
      await until("more clients", async () => Number(/^(\d+)/.exec(await text(page, health("Clients")))[1]) > clients, 20_000);
      assert.equal(await focused(page), "beta");
      assert.deepEqual(await changed(), [], "these are other elements now");
      const moved = Math.round((await place()) - before);
      assert.ok(Math.abs(moved) < 60, `what is read moved by ${moved} pixels`);
      assert.ok(await untouched(page), "nothing was reloaded");
      for (const name of ["gamma-1", "gamma-2"]) await leaves(name);
    }));
});

describe("A job's page", () => {
  test("keeps open what was opened, and what was selected, while the job goes on", () =>
    visit({ at }, async (page) => {
      await oracle.hold("press", ["sheet"]);
      await at.drover.knows("press");
      await opened(page, at.job("press", "sheet"));
      await page.locator(".record summary").click();
      await select(page, "h1");
      const [title, changed] = [await selected(page), await remember(page, "h1", ".record", "section:has(#v-data)")];
      await oracle.ask("log", "press", { jobId: "sheet", line: "the first sheet is through" });
      await oracle.ask("setProgress", "press", { jobId: "sheet", progress: 30 });
      await shows(page, ".log", /the first sheet is through/);
      await shows(page, ".state-line", /30 %/);
      assert.equal(await page.locator(".record").getAttribute("open"), "");
      assert.equal(await selected(page), title);
      assert.deepEqual(await changed(), [], "these are other elements now");
      await oracle.release("press", "sheet");
      await shows(page, ".state-line", /completed/);
      assert.equal(await page.locator(".record").getAttribute("open"), "");
      assert.ok(await untouched(page), "nothing was reloaded");
    }));
});

describe("A notice", () => {
  test("stays live for as long as Drover answers, and gives way to what it missed", () =>
    visit({ at }, async (page, watch) => {
      watch.allow(/\b404\b/);
      const path = at.job("alpha", "awaited");
      await opened(page, path);
      await shows(page, "h1", /^No such job$/);
      const every = Number(await page.locator("[data-every]").getAttribute("data-every"));
      const began = Date.now();
      await page.evaluate(() => {
        globalThis.links = [];
        const link = document.querySelector("#link");
        new MutationObserver(() => globalThis.links.push(link.textContent)).observe(link, { subtree: true, childList: true, characterData: true });
      });
      const again = await page.waitForResponse((response) => response.url().endsWith(path), { timeout: 20_000 });
      await again.finished();
      const late = Date.now() - began > every + 1_000;
      await shows(page, "#link", /^live$/);
      // Only where the answer took seconds, the page has said so until it came.
      if (!late) assert.deepEqual(await page.evaluate(() => globalThis.links.filter((text) => text !== "live")), []);
      await oracle.add("alpha", {}, { name: "late", opts: { jobId: "awaited", delay: HOUR } });
      await shows(page, "h1", /^late awaited$/, 20_000);
      assert.equal(await text(page, "#link"), "live");
      assert.ok(await untouched(page), "nothing was reloaded");
    }));
});

describe("By keyboard alone", () => {
  const arrived = async (page, path) => {
    await page.waitForURL((url) => url.pathname + url.search === path);
    await alive(page);
  };
  const rows = (page) => page.locator("#fleet tr.crew [data-row]").allTextContents();

  for (const [name, path, found] of [
    ["workers", (query) => at.workers(query), "beta"],
    ["schedules", (query) => at.schedules(query), "beta"],
  ]) {
    test(`the ${name} are found, walked over, opened and left`, () =>
      visit({ at }, async (page) => {
        await opened(page, at.overview);
        await page.keyboard.press("g");
        await page.keyboard.press(name[0]);
        await arrived(page, path());
        await page.keyboard.press("/");
        await page.keyboard.type(found);
        await page.keyboard.press("Enter");
        await arrived(page, path(`?q=${found}`));
        assert.deepEqual(await rows(page), [found]);
        await page.keyboard.press("j");
        assert.equal(await focused(page), found);
        await page.keyboard.press("Enter");
        await arrived(page, at.queue(found));
        await page.goBack();
        await arrived(page, path(`?q=${found}`));
        await page.keyboard.press("Escape");
        await arrived(page, path());
        assert.ok((await rows(page)).length > 1, "Esc shows all");
        await page.keyboard.press("Escape");
        await arrived(page, at.overview);
      }));

    test(`the ${name} of one queue are left for all`, () =>
      visit({ at }, async (page) => {
        await opened(page, path(`?queue=redis%2Fbull:${found}`));
        assert.deepEqual(await rows(page), [found]);
        await page.keyboard.press("Escape");
        await arrived(page, path());
      }));
  }

  test("a store is left for all queues", () =>
    visit({ at }, async (page) => {
      await opened(page, at.store());
      await page.keyboard.press("j");
      assert.ok(["alpha", "beta", "gamma", "press"].includes(await focused(page)));
      await page.keyboard.press("Escape");
      await arrived(page, at.overview);
    }));
});

describe("Without JavaScript", () => {
  for (const [name, path] of [
    ["workers", () => at.workers()],
    ["schedules", () => at.schedules()],
  ]) {
    test(`the ${name} are filtered, and shown all again`, () =>
      visit({ at, javaScript: false }, async (page) => {
        await page.goto(path());
        const all = await page.locator("#fleet tr.crew").count();
        assert.ok(all > 1);
        await page.getByRole("searchbox", { name: "Filter" }).fill("gamma");
        await page.getByRole("button", { name: "Filter" }).click();
        assert.equal(new URL(page.url()).search, "?q=gamma");
        assert.equal(await page.locator("#fleet tr.crew").count(), 1);
        assert.equal(await page.getByRole("searchbox", { name: "Filter" }).inputValue(), "gamma");
        await page.getByRole("searchbox", { name: "Filter" }).fill("nobody is called so");
        await page.getByRole("searchbox", { name: "Filter" }).press("Enter");
        await page.waitForURL(/nobody/);
        assert.match(await text(page, ".empty"), /matches. Clear the filter to see all\./);
        await page.getByRole("link", { name: "clear" }).click();
        assert.equal(await page.locator("#fleet tr.crew").count(), all);
        assert.match(await text(page, "#link"), /^as of \d\d:\d\d:\d\d UTC$/);
      }));
  }

  test("a queue's number of workers leads to its own", () =>
    visit({ at, javaScript: false }, async (page) => {
      await page.goto(at.workers());
      await page.locator(`${workers("beta")} a`).click();
      assert.deepEqual(await page.locator("#fleet tr.crew [data-row]").allTextContents(), ["beta"]);
      await page.getByRole("link", { name: "show all" }).click();
      assert.equal(new URL(page.url()).search, "");
    }));

  test("a store weighs more jobs when it is asked to", () =>
    visit({ at, javaScript: false }, async (page) => {
      await oracle.ask("addMany", "gamma", { count: 60, opts: { delay: HOUR } });
      await page.goto(at.store());
      await page.goto(`${at.store()}?sample=200`);
      assert.match(await text(page, ".coverage"), /at most 200 of each state/);
    }));
});

describe("When its store goes down and comes back,", () => {
  const PAGES = {
    workers: [() => at.workers(), /redis has been unreachable/],
    schedules: [() => at.schedules(), /redis has been unreachable/],
    store: [() => at.store(), /redis has been unreachable for \d+ s/],
  };

  test("each page says so, and no longer when it is over", () =>
    visit({ at }, async (page, watch) => {
      const pages = [];
      for (const [path, banner] of Object.values(PAGES)) {
        const one = await page.context().newPage();
        await opened(one, path());
        pages.push([one, banner]);
      }
      watch.allow(/\b503\b/);
      await redis.kill();
      for (const [one, banner] of pages) {
        await one.bringToFront();
        await shows(one, ".banner", banner, 20_000);
        // Drover answers; what the page shows is as old as the store's last answer.
        await shows(one, "#link", /^stale since \d\d:\d\d:\d\d UTC/, 20_000);
      }
      await redis.restart();
      for (const [one] of pages) {
        await one.bringToFront();
        await one.locator(".banner").waitFor({ state: "detached", timeout: 20_000 });
        await shows(one, "#link", /^live$/, 20_000);
        assert.ok(await untouched(one), one.url());
      }
    }));
});

describe("When Drover itself is away,", () => {
  test("each page says since when it is old, and heals when it is back", () =>
    visit({ at }, async (page, watch) => {
      const pages = [];
      for (const path of [at.workers(), at.schedules(), at.store()]) {
        const one = await page.context().newPage();
        await opened(one, path);
        pages.push(one);
      }
      watch.allow(...AWAY);
      await at.drover.stop("SIGKILL");
      for (const one of pages) {
        await one.bringToFront();
        await shows(one, "#link", /^reconnecting, stale since \d\d:\d\d:\d\d UTC/, 20_000);
        await one.locator("main.stale").waitFor();
      }
      await at.drover.restart();
      for (const one of pages) {
        await one.bringToFront();
        await shows(one, "#link", /^live$/, 30_000);
        await one.locator("main:not(.stale)").waitFor();
        assert.ok(await untouched(one), one.url());
      }
    }));
});
