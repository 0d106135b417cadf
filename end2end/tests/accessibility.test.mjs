// Everybody can read the board: contrast, names, structure, and no page that has to be moved sideways.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { findings } from "../support/axe.mjs";
import { NARROW, WIDE, alive, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";
import { stock } from "../support/stock.mjs";

let at;
before(async () => {
  const [redis, locked] = [await Redis.start(), await Redis.start({ password: "right-one" })];
  const oracle = await Oracle.start(redis);
  const names = await stock(oracle);
  const repeat = { pattern: "30 6 * * 1-5", tz: "Europe/Berlin" };
  await oracle.ask("upsertScheduler", "parts", { schedulerId: "weekdays", repeat, template: { name: "count", data: { shelf: "B" } } });
  await oracle.ask("upsertScheduler", "stuck", { schedulerId: "at-once", repeat: { every: 3_600_000 } });
  at = await direct({ redis: redis.url, locked: locked.urlWith("wrong-one") });
  await at.drover.knows(...names);
});
after(endAll);

const PAGES = {
  "the overview with a store in trouble": () => at.overview,
  "the overview in groups, filtered by a chip": () => `${at.overview}?level=bad&level=watch&state=waiting&group=1&sort=backlog`,
  "the overview with nothing to show": () => `${at.overview}?q=nothing+has+this+name`,
  "a queue's waiting jobs": () => at.queue("orders", { query: "?state=waiting" }),
  "a queue's active jobs": () => at.queue("orders", { query: "?state=active" }),
  "a queue's failed jobs": () => at.queue("orders", { query: "?state=failed" }),
  "a queue in trouble": () => at.queue("stuck"),
  "a failed job": () => at.job("orders", "charge-1"),
  "an active job": () => at.job("orders", "held"),
  "a job in a flow": () => at.job("orders", "parcel"),
  "the workers": () => at.workers(),
  "the workers of one queue": () => at.workers("?queue=redis%2Fbull:orders"),
  "the workers that nobody finds": () => at.workers("?q=nobody+is+called+so"),
  "the schedules": () => at.schedules(),
  "a store": () => at.store(),
  "a store in trouble": () => at.store("locked"),
  "a notice": () => at.job("orders", "nobody"),
};

async function atRest(page, watch, name) {
  if (name === "a notice") watch.allow(/\b404\b/);
  await page.goto(PAGES[name]());
  await alive(page);
}

for (const theme of ["light", "dark"]) {
  for (const [width, size] of Object.entries({ "on a desk": WIDE, "on a phone": NARROW })) {
    describe(`Shown ${theme} ${width},`, () => {
      for (const name of Object.keys(PAGES)) {
        test(`${name} breaks no rule of WCAG 2 A and AA and does not scroll sideways`, () =>
          visit({ at, theme, size }, async (page, watch) => {
            await atRest(page, watch, name);
            const { scroll, inner } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, inner: innerWidth }));
            const found = await findings(page);
            assert.deepEqual(found, []);
            assert.ok(scroll <= inner, `the page is ${scroll} px wide in a window of ${inner} px`);
          }));
      }
    });
  }
}

test("the help dialog breaks no rule of WCAG 2 A and AA", () =>
  visit({ at }, async (page) => {
    await page.goto(at.overview);
    await alive(page);
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    assert.deepEqual(await findings(page), []);
  }));

test("lines that are laid out as grids are rows of a table for a screen reader", () =>
  visit({ at }, async (page) => {
    await page.goto(at.overview);
    await alive(page);
    const reader = await page.context().newCDPSession(page);
    const { nodes } = await reader.send("Accessibility.getFullAXTree");
    const roles = nodes.filter(({ ignored }) => !ignored).map(({ role }) => role.value);
    const count = (role) => roles.filter((one) => one === role).length;
    const lines = await page.locator("#queues tbody tr").count();
    assert.equal(count("rowheader"), lines);
    assert.equal(count("row"), lines + 1);
    assert.equal(count("columnheader"), 13);
    assert.equal(count("cell"), lines * 12);
  }));

test("rows are tall enough for a thumb on a phone", () =>
  visit({ at, size: NARROW }, async (page) => {
    for (const path of [at.overview, at.queue("orders", { query: "?state=waiting" })]) {
      await page.goto(path);
      await alive(page);
      const low = await page.locator("tbody tr").evaluateAll((rows) => rows.map((row) => row.getBoundingClientRect().height).filter((h) => h < 44));
      assert.deepEqual(low, [], path);
    }
  }));

test("how many rows a desk shows is told", (t) =>
  visit({ at }, async (page) => {
    await page.goto(at.queue("orders", { query: "?state=waiting" }));
    await alive(page);
    const rows = await page.locator("#jobs tbody tr").evaluateAll((rows) => {
      const boxes = rows.map((row) => row.getBoundingClientRect());
      return { seen: boxes.filter((box) => box.bottom <= innerHeight).length, top: boxes[0].top, height: boxes[0].height };
    });
    t.diagnostic(`${rows.seen} job rows of ${rows.height} px at 1440 × 900; the first begins at ${rows.top} px`);
  }));
